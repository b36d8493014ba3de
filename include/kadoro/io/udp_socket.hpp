#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/io/context.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// Where a received datagram came from, and how long it is.
struct received {
  endpoint from;
  std::size_t size_bytes = 0;
};

/// UDP for programs: datagrams out at once, datagrams in by `co_await`, from a bounded inbox. Movable. Must be
/// destroyed before its context, and not while a `receive` waits (unless the frame that waits is destroyed first).
class udp_socket {
 public:
  /// What arrives while so many datagrams wait to be received is dropped and counted.
  static constexpr std::size_t inbox_capacity = 256;

  /// Binds `local`; port 0 asks for a free one. Errors: as `context::open_udp`.
  KADORO_DECL static result<udp_socket> open(context& on, endpoint const& local);

  udp_socket(udp_socket&&) noexcept = default;
  udp_socket& operator=(udp_socket&&) noexcept = default;

  /// Queues a copy, which leaves by the end of this loop turn, as `udp_port::send` says. Success does not mean arrival.
  void send(endpoint const& to, bytes_view data) noexcept { state_->port->send(to, data); }

  /// Completes with the oldest datagram in the inbox, copied into `into`, as soon as there is one. Several may wait;
  /// each datagram goes to one of them. `into` must live until completion. Errors: `cancelled` (also as `timed_out`,
  /// by `with_deadline`); `too_large` if `into` is too small, then the datagram is lost.
  KADORO_DECL coro::task<result<received>> receive(bytes_span into);

  endpoint local() const noexcept { return state_->port->local(); }
  udp_counters const& counters() const noexcept { return state_->port->counters(); }
  /// Datagrams that found the inbox full.
  std::uint64_t dropped_inbox_full() const noexcept { return state_->dropped; }
  /// How often ICMP said that nobody listens where a datagram went. Forgeable: good for texts, not for decisions.
  std::uint64_t unreachable_hints() const noexcept { return state_->unreachable; }

 private:
  struct letter {
    endpoint from;
    bytes data;  // keeps its capacity for the next one
  };

  /// Stays where it is when the socket moves: the port knows its address.
  class state final : public udp_port::receiver {
   public:
    KADORO_DECL explicit state(std::unique_ptr<udp_port> opened);
    KADORO_DECL void on_datagrams(std::span<datagram> batch) override;
    void on_unreachable(endpoint const&) override { ++unreachable; }

    std::vector<letter> inbox;  // a ring
    std::size_t first = 0;
    std::size_t count = 0;
    std::uint64_t dropped = 0;
    std::uint64_t unreachable = 0;
    coro::event arrived;
    std::unique_ptr<udp_port> port;  // last: it goes first, and stops calling
  };

  explicit udp_socket(std::unique_ptr<state> opened) noexcept : state_(std::move(opened)) {}

  std::unique_ptr<state> state_;
};

}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/impl/udp_socket.ipp"
#endif
