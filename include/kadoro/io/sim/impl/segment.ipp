#pragma once

#include <algorithm>

#include "kadoro/io/sim/segment.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

/// FNV-1a, folded: links that flip bits must not get past it.
inline std::uint32_t segment_checksum(bytes_view all) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (std::uint8_t const byte : all) hash = (hash ^ byte) * 0x100000001b3u;
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

KADORO_DECL void segment::encode(bytes& into) const {
  into.resize(header_bytes + data.size());
  store_be(into.data() + 4, number);
  store_be(into.data() + 12, position);
  store_be(into.data() + 20, received);
  store_be(into.data() + 28, room);
  into[32] = flags;
  std::copy(data.begin(), data.end(), into.begin() + header_bytes);
  store_be(into.data(), segment_checksum(bytes_view(into).subspan(4)));
}

KADORO_DECL std::optional<segment> segment::decode(bytes_view from) {
  if (from.size() < header_bytes || load_be<std::uint32_t>(from.data()) != segment_checksum(from.subspan(4))) return {};
  segment out;
  out.number = load_be<std::uint64_t>(from.data() + 4);
  out.position = load_be<std::uint64_t>(from.data() + 12);
  out.received = load_be<std::uint64_t>(from.data() + 20);
  out.room = load_be<std::uint32_t>(from.data() + 28);
  out.flags = from[32];
  out.data = from.subspan(header_bytes);
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
