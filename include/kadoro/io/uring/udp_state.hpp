#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/impl/handles.hpp"
#include "kadoro/io/posix/udp_channel.hpp"
#include "kadoro/io/uring/poll_operation.hpp"
#include "kadoro/io/uring/ring.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

class context;

namespace detail {

class udp_state;

/// A receive of many shots: the kernel puts datagram after datagram into the context's buffers.
class receive_operation final : public operation {
 public:
  receive_operation(receive_buffers& buffers, int descriptor, udp_state& port) noexcept
      : buffers_(buffers), header_(receive_buffers::header()), descriptor_(descriptor), port_(port) {}

 private:
  KADORO_DECL void prepare(io_uring_sqe& entry) noexcept override;
  KADORO_DECL void complete(int result, std::uint32_t flags) noexcept override;

  receive_buffers& buffers_;
  msghdr header_;  // the kernel may look at it until the end
  int descriptor_;
  udp_state& port_;  // not once disposed
};

/// A UDP port on a uring context. The context's lists share it with the handle that the program holds, so that either
/// may go first; what the kernel holds is parked in the ring.
class udp_state final : public coro::list_node, public std::enable_shared_from_this<udp_state> {
 public:
  /// Owns `descriptor` from now on.
  KADORO_DECL udp_state(context& owner, int descriptor);
  KADORO_DECL ~udp_state();

  KADORO_DECL void set_receiver(udp_port::receiver* to) noexcept;
  KADORO_DECL void send(endpoint const& to, bytes_view data) noexcept;
  endpoint local() const noexcept { return channel_.local(); }
  udp_counters const& counters() const noexcept { return channel_.counters(); }

  /// Hands the queue to the system.
  KADORO_DECL void flush();

  /// Hands what has come to the receiver, and goes on receiving. Once for every `deliver_later`.
  KADORO_DECL void deliver();

  /// Sends what is queued, as far as the system takes it at once, and lets go of the socket. No callback afterwards.
  KADORO_DECL void close() noexcept;

 private:
  friend class receive_operation;

  KADORO_DECL void received(int result, std::uint32_t flags) noexcept;
  KADORO_DECL void deliver_later() noexcept;
  KADORO_DECL void hand_out();
  KADORO_DECL void go_on() noexcept;
  static void on_readable(void* self) noexcept { static_cast<udp_state*>(self)->deliver_later(); }
  KADORO_DECL static void on_writable(void* self) noexcept;

  /// Tries again a little later what the kernel has refused for a reason that may pass.
  class retry_timer final : public coro::timer_node {
   public:
    explicit retry_timer(udp_state& of) noexcept : timer_node(&retry_timer::on_due), of_(of) {}

   private:
    static void on_due(timer_node& node) { static_cast<retry_timer&>(node).of_.go_on(); }
    udp_state& of_;
  };

  context* owner_;  // null once closed
  int descriptor_;
  posix::udp_channel channel_;
  operation_ptr<operation> receive_;  // null once closed
  operation_ptr<operation> writable_;
  receive_buffers::held_list held_;  // what has come in this turn
  retry_timer retry_;
  bool deliver_due_ = false;  // the owner will call `deliver` in this turn
  bool handing_out_ = false;  // the receiver looks at what is in `held_`
  bool flush_due_ = false;    // the owner will call `flush` at the end of its turn
  bool errors_ = false;       // the kernel has told of one
  bool refused_ = false;      // and it was none that the network can cause
  bool starved_ = false;      // something waits for this port, but others had taken all buffers
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::uring

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/context.hpp"  // its end has the bodies
#endif
