#pragma once

#include "kadoro/kad/provider.hpp"
#include "kadoro/multiformats/varint.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

KADORO_DECL kadoro::bytes encode_addresses(std::vector<multiaddr> const& addresses) {
  kadoro::bytes out;
  std::size_t n = 0;
  for (multiaddr const& each : addresses) {
    multiaddr const where = each.without_peer();
    if (where.empty() || n == max_provider_addresses || out.size() + where.bytes().size() > max_provider_bytes)
      continue;
    ++n;
    multiformats::append_varint(out, where.bytes().size());
    out.append(where.bytes());
  }
  return out;
}

KADORO_DECL std::vector<bytes_view> address_views(bytes_view value) {
  std::vector<bytes_view> out;
  while (!value.empty() && out.size() < max_provider_addresses) {
    auto const size = multiformats::decode_varint(value);
    if (!size || size->value == 0 || size->value > value.size() - size->size) break;
    out.push_back(value.subspan(size->size, static_cast<std::size_t>(size->value)));
    value = value.subspan(size->size + out.back().size());
  }
  return out;
}

KADORO_DECL std::vector<multiaddr> decode_addresses(bytes_view value) {
  std::vector<multiaddr> out;
  for (bytes_view const each : address_views(value))
    if (auto where = multiaddr::from_bytes(each)) out.push_back(where->without_peer());
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
