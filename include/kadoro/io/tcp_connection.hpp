#pragma once

#include <cstdint>

#include "kadoro/base/result.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// Counters of one TCP connection.
struct tcp_counters {
  std::uint64_t received_bytes = 0;  ///< handed to the reader
  std::uint64_t sent_bytes = 0;      ///< taken from the writer, so on their way; not known to have arrived
};

/// What an attempt to read gave. Neither bytes nor the end: nothing is there yet.
struct tcp_read {
  std::size_t size_bytes = 0;
  bool end = false;  ///< the other end has finished sending, and everything was read
};

/// A TCP connection, as `io::context::connect_tcp` and `tcp_acceptor` give it: the seam itself. Programs use
/// `tcp_stream`.
///
/// Nothing here waits, and the caller's memory is used only during a call. A backend that is told when a socket is
/// ready (epoll) moves bytes in the call itself; one that hands buffers to the kernel and hears of completion
/// (io_uring) owns those buffers, and a call copies. So it never matters who is cancelled or destroyed while the kernel
/// holds a buffer. Both bound what they keep: a full one says "not now", and that is the back-pressure.
///
/// An error is final: the connection is broken, and names why. Destroying it closes it: what was taken for sending
/// still goes out, as far as the backend's system does that, unless received bytes are left unread; then the other end
/// hears a reset, as TCP has it.
class tcp_connection {
 public:
  /// Hears when to try again what could not go on. Called on the context's thread; must not do more than wake up
  /// somebody. It may be called without need.
  class owner {
   public:
    virtual void on_readable() = 0;
    virtual void on_writable() = 0;  ///< also: connected, or failed to

   protected:
    ~owner() = default;
  };

  virtual ~tcp_connection() = default;

  /// Before anything else; `to` must outlive the connection.
  virtual void set_owner(owner& to) noexcept = 0;

  /// Whether the handshake is done; false: `on_writable` will be called. Errors: `connection_refused`, `unreachable`,
  /// `no_answer`, `reset`, `io_failure`.
  virtual result<bool> connected() = 0;

  /// Moves what is there into `into`, which is not empty. If that is nothing, `on_readable` will be called once more is
  /// there. Errors: `reset`, `no_answer`, `io_failure`.
  virtual result<tcp_read> try_read(bytes_span into) = 0;

  /// Takes the front of `data`, which is not empty, and says how much. If that is nothing, `on_writable` will be called
  /// once there is room. Errors: `reset`, `no_answer`, `io_failure`.
  virtual result<std::size_t> try_write(bytes_view data) = 0;

  /// Tells the other end that nothing will follow what was written. Reading goes on. Again: no effect.
  virtual void shutdown_send() noexcept = 0;

  /// Ends the connection at once: the other end hears a reset, and what has not gone out is lost.
  virtual void abort() noexcept = 0;

  virtual endpoint local() const noexcept = 0;
  virtual endpoint remote() const noexcept = 0;
  virtual tcp_counters const& counters() const noexcept = 0;
};

/// The error of a connection or a listener: `what` ("TCP connection to") and `where`, what was being done, the cause in
/// the system's words if there are some, and what to do about it.
KADORO_DECL error tcp_error(errc code, char const* what, endpoint const& where, char const* doing,
                            std::string_view cause = {});

}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/impl/tcp_connection.ipp"
#endif
