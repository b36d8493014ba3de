#pragma once

#include <memory>
#include <utility>

#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/impl/handles.hpp"
#include "kadoro/io/posix/udp_channel.hpp"

// Asio last: see context.hpp.
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

namespace kadoro::inline KADORO_ABI::io::asio {

class context;

namespace detail {

/// A UDP port on an asio loop. The handlers inside asio share it with the handle that the program holds, so that either
/// may go first.
class udp_state final : public coro::list_node, public std::enable_shared_from_this<udp_state> {
 public:
  KADORO_DECL udp_state(context& owner, int descriptor);

  KADORO_DECL void set_receiver(udp_port::receiver* to) noexcept;
  KADORO_DECL void send(endpoint const& to, bytes_view data) noexcept;
  endpoint local() const noexcept { return channel_.local(); }
  udp_counters const& counters() const noexcept { return channel_.counters(); }

  /// Hands the queue to the system.
  KADORO_DECL void flush();

  /// Sends what is queued, as far as the system takes it at once, and lets go of the socket. No callback afterwards.
  KADORO_DECL void close() noexcept;

 private:
  KADORO_DECL void wait_readable();
  KADORO_DECL void wait_writable();

  context* owner_;  // null once closed
  ::asio::posix::basic_stream_descriptor<::asio::io_context::executor_type> descriptor_;
  posix::udp_channel channel_;
  bool flush_due_ = false;  // the owner will call `flush` at the end of its turn
  bool reading_ = false;    // asio holds a handler for it
  bool writing_ = false;    // asio holds a handler for it
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::asio

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/asio/context.hpp"  // its end has the bodies
#endif
