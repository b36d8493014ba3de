#pragma once

#include <memory>
#include <optional>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/io/context.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// TCP for programs: bytes in order, both ways, by `co_await`. Small writes leave at once (no Nagle delay).
///
/// One read and one write may be under way at a time; a second of either fails with `invalid_argument` and harms
/// nothing. Every operation completes exactly once, is cancellable, and is bounded by `with_deadline`. None of them
/// refers to this object: it may be moved or destroyed meanwhile, and then they fail with `closed`.
/// It may be destroyed after its context.
///
/// After any error but `cancelled`, `timed_out` and `invalid_argument` the connection is broken and stays so: every
/// later operation gives the same error. Errors: `reset`, `no_answer` (the system's own time-out, on Linux some 15
/// minutes), `closed`, `io_failure`; the text names the other end, the cause, and what to do.
class tcp_stream {
 public:
  /// Completes when the handshake is done. Cancelled before, nothing is left of it. Errors: `connection_refused`,
  /// `unreachable`, `no_answer` (on Linux after two minutes: use a deadline), `out_of_descriptors`, `invalid_argument`
  /// (`remote` is no address to connect to), `io_failure`.
  KADORO_DECL static coro::task<result<tcp_stream>> connect(context& on, endpoint remote);

  /// A stream over a connection that is established, as from a `tcp_acceptor`.
  KADORO_DECL explicit tcp_stream(std::unique_ptr<tcp_connection> established);

  tcp_stream(tcp_stream&&) noexcept = default;
  tcp_stream& operator=(tcp_stream&& other) noexcept {
    if (this != &other) {
      close();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  /// As `close`.
  ~tcp_stream() { close(); }

  /// Completes with at least one byte in the front of `into`, and how many; with 0 when the other end has finished
  /// sending (and for an empty `into`). `into` must live until completion. A cancelled read has taken nothing.
  KADORO_DECL coro::task<result<std::size_t>> read_some(bytes_span into);

  /// Completes when `into` is full. Errors, beside those above: `closed` if the other end finishes before; bytes read
  /// until then, or until a cancellation, are lost.
  KADORO_DECL coro::task<result<void>> read_exactly(bytes_span into);

  /// Completes when all of `data` is on its way: when the other end does not read, this waits. `data` must live until
  /// completion. Success does not mean arrival. A write that was cancelled, or met its deadline, has sent a part that
  /// only `counters` tells: mostly the connection is of no more use.
  KADORO_DECL coro::task<result<void>> write(bytes_view data);

  /// Tells the other end that nothing follows what was written: its reads give 0 after that. Reading goes on; another
  /// write fails with `closed`. Not while a write is under way: `invalid_argument`.
  KADORO_DECL result<void> shutdown_send();

  /// Ends both directions. What was written still goes out, unless something received was left unread (then the other
  /// end hears a reset). Operations under way end with `closed`.
  KADORO_DECL void close() noexcept;

  /// Ends the connection at once; the other end hears a reset. Otherwise as `close`.
  KADORO_DECL void abort() noexcept;

  bool is_open() const noexcept { return state_ != nullptr && state_->connection != nullptr; }
  /// The addresses stay known after `close`.
  endpoint const& local() const noexcept { return state_->local; }
  endpoint const& remote() const noexcept { return state_->remote; }
  tcp_counters const& counters() const noexcept { return state_->counters(); }

 private:
  /// Shared with the operations under way.
  class state final : public tcp_connection::owner {
   public:
    KADORO_DECL explicit state(std::unique_ptr<tcp_connection> opened);
    void on_readable() override { readable.set(); }
    void on_writable() override { writable.set(); }

    tcp_counters const& counters() const noexcept { return connection ? connection->counters() : last_counters; }
    KADORO_DECL void close(bool abruptly) noexcept;
    /// Notes why the connection is broken, and says so.
    KADORO_DECL error broken(error why);
    /// Why no operation is possible, if none is.
    KADORO_DECL std::optional<error> obstacle(char const* doing) const;

    endpoint local;
    endpoint remote;
    tcp_counters last_counters;
    std::optional<error> failure;
    coro::event readable;
    coro::event writable;
    bool reading = false;
    bool writing = false;
    bool send_ended = false;
    unsigned at_once = 0;                        // operations in a row that did not have to wait
    std::unique_ptr<tcp_connection> connection;  // null once closed; last: it goes first, and stops calling
  };
  using shared_state = std::shared_ptr<state>;

  KADORO_DECL static coro::task<result<std::size_t>> read(shared_state self, bytes_span into);
  KADORO_DECL static coro::task<result<void>> read_all(shared_state self, bytes_span into);
  KADORO_DECL static coro::task<result<void>> write_all(shared_state self, bytes_view data);

  shared_state state_;
};

}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/impl/tcp_stream.ipp"
#endif
