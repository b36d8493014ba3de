#pragma once

#include <ifaddrs.h>
#include <net/if.h>

#include "kadoro/io/posix/interface_addresses.hpp"
#include "kadoro/io/posix/socket_address.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

KADORO_DECL std::vector<endpoint> interface_addresses() {
  std::vector<endpoint> found;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return found;
  for (ifaddrs const* at = all; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0) continue;
    socket_address address;
    if (at->ifa_addr->sa_family == AF_INET)
      std::memcpy(&address.storage, at->ifa_addr, sizeof(sockaddr_in));
    else if (at->ifa_addr->sa_family == AF_INET6)
      std::memcpy(&address.storage, at->ifa_addr, sizeof(sockaddr_in6));
    else
      continue;
    endpoint one = address.to_endpoint();
    one.set_port(0);
    found.push_back(one);
  }
  ::freeifaddrs(all);
  return found;
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
