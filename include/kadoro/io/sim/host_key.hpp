#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

/// `address` as the tables of a world know it: without port and scope.
inline endpoint host_key(endpoint const& address) noexcept {
  endpoint key = address;
  if (address.is_v6() && address.scope() != 0) {
    byte_array<16> raw{};
    std::copy_n(address.address().begin(), 16, raw.begin());
    key = endpoint::v6(raw, 0);
  }
  key.set_port(0);
  return key;
}

/// A number for an address without its port, the same on every platform.
inline std::uint64_t address_number(endpoint const& address) noexcept {
  bytes_view const raw = address.address();
  if (raw.size() == 4) return load_be<std::uint32_t>(raw.data()) * 0x9e3779b97f4a7c15u;
  return (load_be<std::uint64_t>(raw.data()) ^ load_be<std::uint64_t>(raw.data() + 8) * 0xbf58476d1ce4e5b9u) *
         0x9e3779b97f4a7c15u;
}

/// From one address to another, both of them `host_key`s.
using direction = std::pair<endpoint, endpoint>;

/// For the hash tables of a world. They are looked up in, never walked through in an order that could be seen.
struct address_hash {
  std::size_t operator()(endpoint const& key) const noexcept { return fold(address_number(key)); }
  std::size_t operator()(direction const& key) const noexcept {
    return fold(address_number(key.first) * 3 + address_number(key.second));
  }

 private:
  static std::size_t fold(std::uint64_t number) noexcept { return static_cast<std::size_t>(number ^ number >> 32); }
};

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
