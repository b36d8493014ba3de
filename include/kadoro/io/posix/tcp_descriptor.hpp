#pragma once

#include "kadoro/io/tcp_connection.hpp"

/// @file
/// TCP sockets as every real backend uses them: what to ask of the system, and what its answers mean.

namespace kadoro::inline KADORO_ABI::io::posix {

/// How the calls of the system behave on a socket. Those of io_uring never block, but on a non-blocking socket some
/// kernels answer EAGAIN at once instead of waiting.
enum class socket_mode { non_blocking, blocking };

/// A socket to connect to `remote` with. The caller closes it. Errors: as `tcp_stream::connect`.
KADORO_DECL result<int> open_tcp_socket(endpoint const& remote, socket_mode mode);

/// A non-blocking socket that connects to `remote`, or already has. The caller closes it.
/// Errors: as `tcp_stream::connect`.
KADORO_DECL result<int> start_tcp_connect(endpoint const& remote);

/// Whether the connect of `descriptor` is done. Errors: as `tcp_connection::connected`.
KADORO_DECL result<bool> tcp_connected(int descriptor, endpoint const& remote);

/// Why the connect of `descriptor` that ended with `cause`, an errno or 0, has failed; 0: it has not.
KADORO_DECL int tcp_connect_cause(int descriptor, endpoint const& remote, int cause) noexcept;

/// A bound, listening socket; IPv6 sockets are IPv6 only. The caller closes it. Errors: as `tcp_listener::open`.
KADORO_DECL result<int> open_tcp_listener(endpoint const& local, std::size_t backlog,
                                          socket_mode mode = socket_mode::non_blocking);

/// What every connection is given: no Nagle delay.
KADORO_DECL void set_tcp_options(int descriptor) noexcept;

/// Why an accept has failed that ended with `cause`, an errno. As `tcp_acceptor::try_accept`.
KADORO_DECL error tcp_accept_error(int cause, endpoint const& local);

/// A non-blocking socket of the connection that has waited longest, and whose it is; -1: none waits. The caller closes
/// it. Errors: as `tcp_acceptor::try_accept`.
KADORO_DECL result<int> accept_tcp(int listener, endpoint const& local, endpoint& remote);

/// recv(2) and send(2). Errors and meaning: as `tcp_connection::try_read` and `try_write`.
KADORO_DECL result<tcp_read> receive_tcp(int descriptor, endpoint const& remote, bytes_span into);
KADORO_DECL result<std::size_t> send_tcp(int descriptor, endpoint const& remote, bytes_view data);

/// The next close(2) resets the connection.
KADORO_DECL void reset_on_close(int descriptor) noexcept;

/// `cause`, an errno, as an error of the connection to `remote`.
KADORO_DECL error tcp_system_error(int cause, endpoint const& remote, char const* doing);

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/tcp_descriptor.ipp"
#endif
