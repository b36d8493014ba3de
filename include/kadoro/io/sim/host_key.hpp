#pragma once

#include <algorithm>
#include <cstdint>

#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

/// `address` as the tables of a world know it: without scope, and with that port (0 for the host itself).
inline endpoint host_key(endpoint const& address, std::uint16_t port = 0) noexcept {
  endpoint key = address;
  if (address.is_v6() && address.scope() != 0) {
    byte_array<16> raw{};
    std::copy_n(address.address().begin(), 16, raw.begin());
    key = endpoint::v6(raw, 0);
  }
  key.set_port(port);
  return key;
}

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
