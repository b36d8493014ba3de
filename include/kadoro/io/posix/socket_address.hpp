#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>

#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// An endpoint as system calls want it: room for either family.
struct socket_address {
  sockaddr_in6 storage{};
  socklen_t size = sizeof(sockaddr_in6);

  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  sockaddr const* get() const noexcept { return reinterpret_cast<sockaddr const*>(&storage); }

  static socket_address from(endpoint const& address) noexcept {
    socket_address out;
    if (address.is_v6()) {
      out.storage.sin6_family = AF_INET6;
      out.storage.sin6_port = htons(address.port());
      out.storage.sin6_scope_id = address.scope();
      std::memcpy(&out.storage.sin6_addr, address.address().data(), 16);
    } else {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(address.port());
      std::memcpy(&v4.sin_addr, address.address().data(), 4);
      std::memcpy(&out.storage, &v4, sizeof v4);
      out.size = sizeof v4;
    }
    return out;
  }

  /// An unspecified endpoint for any other family.
  endpoint to_endpoint() const noexcept {
    if (storage.sin6_family == AF_INET6) {
      byte_array<16> address{};
      std::memcpy(address.data(), &storage.sin6_addr, 16);
      return endpoint::v6(address, ntohs(storage.sin6_port), storage.sin6_scope_id);
    }
    if (storage.sin6_family != AF_INET) return {};
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    byte_array<4> address{};
    std::memcpy(address.data(), reinterpret_cast<char const*>(&storage) + offsetof(sockaddr_in, sin_addr), 4);
    return endpoint::v4(address, ntohs(storage.sin6_port));
  }
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
