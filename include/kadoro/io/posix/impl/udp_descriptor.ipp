#pragma once

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "kadoro/io/posix/bind.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/posix/socket_option.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"
#include "kadoro/io/posix/udp_joining.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

KADORO_DECL result<int> open_udp_descriptor(endpoint const& local, udp_sharing sharing) {
  auto const failed = [&](char const* what, int cause) {
    errc const code = cause == EADDRINUSE ? errc::address_in_use : errc::io_failure;
    return fail(code, "UDP port " + local.to_string() + ": " + what + ": " + std::generic_category().message(cause));
  };
  int const family = local.is_v6() ? AF_INET6 : AF_INET;
  int const descriptor = ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return failed("no socket", errno);
  if (local.is_v6()) {
    detail::set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    detail::set_option(descriptor, IPPROTO_IPV6, IPV6_RECVERR, 1);
  } else {
    detail::set_option(descriptor, IPPROTO_IP, IP_RECVERR, 1);
  }
  detail::set_option(descriptor, SOL_SOCKET, SO_RXQ_OVFL, 1);
  detail::set_option(descriptor, IPPROTO_UDP, udp_gro_option, 1);  // who receives must take messages apart
  detail::set_option(descriptor, SOL_SOCKET, SO_RCVBUF, udp_buffer_bytes);
  detail::set_option(descriptor, SOL_SOCKET, SO_SNDBUF, udp_buffer_bytes);
  if (sharing == udp_sharing::shared) detail::set_option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
  if (!detail::bind_patiently(descriptor, socket_address::from(local))) {
    int const cause = errno;
    ::close(descriptor);
    return failed("cannot bind", cause);
  }
  return descriptor;
}

KADORO_DECL endpoint bound_address(int descriptor) noexcept {
  socket_address address;
  if (::getsockname(descriptor, address.get(), &address.size) != 0) return {};
  return address.to_endpoint();
}

KADORO_DECL bool take_socket_error(int descriptor, endpoint& refused) noexcept {
  refused = {};
  socket_address to;
  alignas(cmsghdr) char control[256];
  msghdr message{};
  message.msg_name = &to.storage;
  message.msg_namelen = to.size;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t taken = 0;
  do {
    taken = ::recvmsg(descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
  } while (taken < 0 && errno == EINTR);
  if (taken < 0) return false;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    bool const v4 = part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR;
    bool const v6 = part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR;
    if (!v4 && !v6) continue;
    sock_extended_err cause{};
    std::memcpy(&cause, CMSG_DATA(part), sizeof cause);
    bool const icmp = cause.ee_origin == SO_EE_ORIGIN_ICMP || cause.ee_origin == SO_EE_ORIGIN_ICMP6;
    if (icmp && cause.ee_errno == ECONNREFUSED && message.msg_namelen > 0) refused = to.to_endpoint();
  }
  return true;
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
