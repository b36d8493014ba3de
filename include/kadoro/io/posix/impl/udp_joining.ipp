#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "kadoro/io/posix/udp_joining.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

KADORO_DECL udp_joining udp_joining::probe() noexcept {
  int const scratch = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (scratch < 0) return {errno, errno};
  auto const refused = [scratch](int option, int value) {
    return ::setsockopt(scratch, IPPROTO_UDP, option, &value, sizeof value) == 0 ? 0 : errno;
  };
  udp_joining const found{refused(udp_segment_option, 0), refused(udp_gro_option, 1)};
  ::close(scratch);
  return found;
}

KADORO_DECL std::string udp_joining::text() const {
  auto const told = [](std::string const& what, int cause) {
    return cause == 0 ? what : "no " + what + " (" + std::generic_category().message(cause) + ")";
  };
  return told("UDP_SEGMENT", no_segment) + ", " + told("UDP_GRO", no_gro);
}

KADORO_DECL bool takes_segments(int descriptor) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(descriptor, IPPROTO_UDP, udp_segment_option, &value, &size) == 0;
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
