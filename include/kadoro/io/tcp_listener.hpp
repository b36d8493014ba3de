#pragma once

#include <cstdint>
#include <memory>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/io/tcp_stream.hpp"

namespace kadoro::inline KADORO_ABI::io {

struct tcp_listener_counters {
  std::uint64_t accepted = 0;
  std::uint64_t gone = 0;                ///< connections that ended before they were accepted
  std::uint64_t out_of_descriptors = 0;  ///< attempts that found too many open files; repeated after a pause
};

/// Accepts TCP connections. What fails for one of them, or for a while, is counted and does not end the listener: a
/// connection that is gone already is skipped, and where there are too many open files it waits, 10 ms at first, then
/// longer, at most a second, while the connections wait in the backlog.
class tcp_listener {
 public:
  /// Listens at `local`; port 0 asks for a free one. At most `backlog` connections wait to be accepted; what happens to
  /// more is the system's affair (Linux ignores them, so that they come again). Errors: `address_in_use`,
  /// `out_of_descriptors`, `invalid_argument` (a backlog of 0 or above `max_tcp_backlog`), `io_failure`.
  KADORO_DECL static result<tcp_listener> open(context& on, endpoint const& local,
                                               std::size_t backlog = default_tcp_backlog);

  tcp_listener(tcp_listener&&) noexcept = default;
  tcp_listener& operator=(tcp_listener&& other) noexcept {
    if (this != &other) {
      close();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  /// As `close`.
  ~tcp_listener() { close(); }

  /// Completes with the connection that has waited longest, as soon as there is one. Several may wait; each connection
  /// goes to one of them. Does not refer to this object: it may be moved or destroyed meanwhile. Errors: `cancelled`
  /// (also as `timed_out`, by `with_deadline`); `closed`; `io_failure` if the listener is broken.
  KADORO_DECL coro::task<result<tcp_stream>> accept();

  /// Frees the port; connections in the backlog hear a reset. Who waits in `accept` gets `closed`.
  KADORO_DECL void close() noexcept;

  /// The bound address, with the real port.
  endpoint const& local() const noexcept { return state_->local; }
  tcp_listener_counters const& counters() const noexcept { return state_->counters; }

 private:
  /// Shared with the `accept` calls under way.
  class state final : public tcp_acceptor::owner {
   public:
    KADORO_DECL explicit state(std::unique_ptr<tcp_acceptor> opened);
    void on_acceptable() override { acceptable.set(); }

    endpoint local;
    tcp_listener_counters counters;
    coro::event acceptable;
    unsigned at_once = 0;                    // connections in a row that were there already
    std::unique_ptr<tcp_acceptor> acceptor;  // null once closed; last: it goes first, and stops calling
  };

  explicit tcp_listener(std::shared_ptr<state> opened) noexcept : state_(std::move(opened)) {}
  KADORO_DECL static coro::task<result<tcp_stream>> accept_from(std::shared_ptr<state> self);

  std::shared_ptr<state> state_;
};

}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/impl/tcp_listener.ipp"
#endif
