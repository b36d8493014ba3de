#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

/// @file
/// A network in which there is nothing but what a test makes. It takes a system that allows it (root, mostly).

namespace io_test {

inline sockaddr_in address_v4(std::uint32_t address) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = ::htonl(address);
  return out;
}

/// Gives `device` (an alias of one, "lo:1") the address and its whole /8, and switches it on. False: see errno.
inline bool set_up(char const* device, std::uint32_t address) {
  int const control = ::socket(AF_INET, SOCK_DGRAM, 0);
  ::ifreq wanted{};
  std::strncpy(wanted.ifr_name, device, IFNAMSIZ - 1);
  sockaddr_in const at = address_v4(address);
  std::memcpy(&wanted.ifr_addr, &at, sizeof at);
  bool good = ::ioctl(control, SIOCSIFADDR, &wanted) == 0;
  wanted.ifr_flags = IFF_UP;
  good = good && ::ioctl(control, SIOCSIFFLAGS, &wanted) == 0;
  ::close(control);
  return good;
}

/// Calls `what` on a thread that is in a network of its own, with the usual loopback. What the system says, if it does
/// not allow it.
inline std::string in_own_network(std::function<void()> const& what) {
  std::string refused;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 || !set_up("lo", INADDR_LOOPBACK))
      refused = std::strerror(errno);
    else
      what();
  }).join();
  return refused;
}

}  // namespace io_test
