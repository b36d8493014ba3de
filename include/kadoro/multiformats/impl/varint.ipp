#pragma once

#include <algorithm>
#include <cassert>

#include "kadoro/multiformats/varint.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

KADORO_DECL std::size_t varint_size(std::uint64_t value) noexcept {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

KADORO_DECL std::size_t encode_varint(std::uint64_t value, bytes_span out) noexcept {
  assert(value >> 63 == 0 && varint_size(value) <= out.size());
  std::size_t at = 0;
  for (; value >= 0x80; value >>= 7) out[at++] = static_cast<std::uint8_t>(value | 0x80);
  out[at++] = static_cast<std::uint8_t>(value);
  return at;
}

KADORO_DECL void append_varint(bytes& out, std::uint64_t value) {
  byte_array<max_varint_bytes> encoded;
  std::size_t const size = encode_varint(value, encoded);
  out.append(bytes_view(encoded).first(size));
}

KADORO_DECL result<decoded_varint> decode_varint(bytes_view data) {
  std::uint64_t value = 0;
  std::size_t const limit = std::min(data.size(), max_varint_bytes);
  for (std::size_t i = 0; i < limit; ++i) {
    value |= std::uint64_t{data[i] & 0x7fu} << (7 * i);
    if ((data[i] & 0x80) != 0) continue;
    if (data[i] == 0 && i > 0) return fail(errc::malformed, "a varint that is not minimal");
    return decoded_varint{value, i + 1};
  }
  return fail(errc::malformed,
              data.size() < max_varint_bytes ? "a varint that is cut short" : "a varint of more than 9 bytes");
}

}  // namespace kadoro::inline KADORO_ABI::multiformats
