#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "kadoro/io/posix/bind.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/posix/socket_option.hpp"
#include "kadoro/io/posix/tcp_descriptor.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

namespace detail {

inline constexpr char const* a_connection = "TCP connection to";
inline constexpr char const* a_listener = "TCP listener";

inline errc tcp_code(int cause) noexcept {
  switch (cause) {
    case ECONNREFUSED: return errc::connection_refused;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED: return errc::reset;
    case ETIMEDOUT: return errc::no_answer;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EACCES:  // a broadcast address, or a firewall of this machine
    case EPERM: return errc::unreachable;
    case EADDRINUSE: return errc::address_in_use;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return errc::out_of_descriptors;
    default: return errc::io_failure;
  }
}

inline error tcp_failure(int cause, char const* what, endpoint const& where, char const* doing) {
  return tcp_error(tcp_code(cause), what, where, doing, std::generic_category().message(cause));
}

/// What a connection that waited to be accepted may have met before; it says nothing about the listener (accept(2)).
inline bool is_of_one_connection(int cause) noexcept {
  switch (cause) {
    case ECONNABORTED:
    case ECONNRESET:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
    case EPERM: return true;
    default: return false;
  }
}

inline int open_stream(endpoint const& at, socket_mode mode) noexcept {
  int const flags = mode == socket_mode::non_blocking ? SOCK_NONBLOCK | SOCK_CLOEXEC : SOCK_CLOEXEC;
  return ::socket(at.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | flags, 0);
}

}  // namespace detail

KADORO_DECL error tcp_system_error(int cause, endpoint const& remote, char const* doing) {
  return detail::tcp_failure(cause, detail::a_connection, remote, doing);
}

KADORO_DECL void set_tcp_options(int descriptor) noexcept {
  detail::set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
}

KADORO_DECL result<int> open_tcp_socket(endpoint const& remote, socket_mode mode) {
  if (remote.port() == 0 || remote.is_unspecified())
    return fail(tcp_error(errc::invalid_argument, detail::a_connection, remote, "that is no address to connect to"));
  int const descriptor = detail::open_stream(remote, mode);
  if (descriptor < 0) return fail(tcp_system_error(errno, remote, "no socket"));
  set_tcp_options(descriptor);
  return descriptor;
}

KADORO_DECL result<int> start_tcp_connect(endpoint const& remote) {
  auto const descriptor = open_tcp_socket(remote, socket_mode::non_blocking);
  if (!descriptor) return descriptor;
  auto const address = socket_address::from(remote);
  // Interrupted by a signal it goes on, as if it were under way.
  if (::connect(*descriptor, address.get(), address.size) == 0 || errno == EINPROGRESS || errno == EINTR)
    return descriptor;
  int const cause = errno;
  ::close(*descriptor);
  return fail(tcp_system_error(cause, remote, "connecting"));
}

KADORO_DECL int tcp_connect_cause(int descriptor, endpoint const& remote, int cause) noexcept {
  // Where nobody listens at a port that this machine gives out, TCP may connect the socket to itself.
  return cause == 0 && bound_address(descriptor) == remote ? ECONNREFUSED : cause;
}

KADORO_DECL result<bool> tcp_connected(int descriptor, endpoint const& remote) {
  pollfd now{descriptor, POLLOUT, 0};
  if (::poll(&now, 1, 0) == 0) return false;
  int cause = 0;
  socklen_t size = sizeof cause;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &cause, &size) != 0) cause = errno;
  cause = tcp_connect_cause(descriptor, remote, cause);
  if (cause != 0) return fail(tcp_system_error(cause, remote, "connecting"));
  return true;
}

KADORO_DECL result<int> open_tcp_listener(endpoint const& local, std::size_t backlog, socket_mode mode) {
  auto const failed = [&](char const* doing, int cause) {
    return fail(detail::tcp_failure(cause, detail::a_listener, local, doing));
  };
  int const descriptor = detail::open_stream(local, mode);
  if (descriptor < 0) return failed("no socket", errno);
  if (local.is_v6()) detail::set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  // Connections of a program that ran before may linger at this port; another listener still keeps us out.
  detail::set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  bool const bound = detail::bind_patiently(descriptor, socket_address::from(local));
  if (bound && ::listen(descriptor, static_cast<int>(backlog)) == 0) return descriptor;
  int const cause = errno;
  ::close(descriptor);
  return failed("cannot listen", cause);
}

KADORO_DECL error tcp_accept_error(int cause, endpoint const& local) {
  if (detail::is_of_one_connection(cause)) return error(errc::reset);
  return detail::tcp_failure(cause, detail::a_listener, local, "accepting");
}

KADORO_DECL result<int> accept_tcp(int listener, endpoint const& local, endpoint& remote) {
  socket_address from;
  int descriptor = -1;
  do {
    descriptor = ::accept4(listener, from.get(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return -1;
    return fail(tcp_accept_error(errno, local));
  }
  set_tcp_options(descriptor);
  remote = from.to_endpoint();
  return descriptor;
}

KADORO_DECL result<tcp_read> receive_tcp(int descriptor, endpoint const& remote, bytes_span into) {
  ssize_t taken = 0;
  do {
    taken = ::recv(descriptor, into.data(), into.size(), MSG_DONTWAIT);
  } while (taken < 0 && errno == EINTR);
  if (taken > 0) return tcp_read{static_cast<std::size_t>(taken), false};
  if (taken == 0) return tcp_read{0, true};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return tcp_read{};
  return fail(tcp_system_error(errno, remote, "reading"));
}

KADORO_DECL result<std::size_t> send_tcp(int descriptor, endpoint const& remote, bytes_view data) {
  ssize_t taken = 0;
  do {
    taken = ::send(descriptor, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (taken < 0 && errno == EINTR);
  if (taken >= 0) return static_cast<std::size_t>(taken);
  if (errno == EAGAIN || errno == EWOULDBLOCK) return std::size_t{0};
  return fail(tcp_system_error(errno, remote, "writing"));
}

KADORO_DECL void reset_on_close(int descriptor) noexcept {
  linger const none{1, 0};
  static_cast<void>(::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &none, sizeof none));
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
