#pragma once

#include "kadoro/io/tcp_connection.hpp"

/// @file
/// TCP sockets as every real backend uses them: what to ask of the system, and what its answers mean.

namespace kadoro::inline KADORO_ABI::io::posix {

/// A non-blocking socket that connects to `remote`, or already has. The caller closes it.
/// Errors: as `tcp_stream::connect`.
KADORO_DECL result<int> start_tcp_connect(endpoint const& remote);

/// Whether the connect of `descriptor` is done. Errors: as `tcp_connection::connected`.
KADORO_DECL result<bool> tcp_connected(int descriptor, endpoint const& remote);

/// A bound, non-blocking, listening socket; IPv6 sockets are IPv6 only. The caller closes it.
/// Errors: as `tcp_listener::open`.
KADORO_DECL result<int> open_tcp_listener(endpoint const& local, std::size_t backlog);

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
