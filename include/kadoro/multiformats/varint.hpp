#pragma once

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

/// @file
/// The unsigned varint of multiformats: 7 bits a byte, least significant first; minimal, at most 9 bytes (2^63 - 1).
/// Stricter than protobuf's, which is protozero's business.

namespace kadoro::inline KADORO_ABI::multiformats {

inline constexpr std::size_t max_varint_bytes = 9;

struct decoded_varint {
  std::uint64_t value = 0;
  std::size_t size = 0;  ///< how many bytes it took
};

KADORO_DECL std::size_t varint_size(std::uint64_t value) noexcept;

/// Writes `varint_size(value)` bytes and returns how many. Preconditions: `value` < 2^63, and they fit.
KADORO_DECL std::size_t encode_varint(std::uint64_t value, bytes_span out) noexcept;

KADORO_DECL void append_varint(bytes& out, std::uint64_t value);

/// Reads the varint at the front of `data`. Fails with `malformed` if it is cut short, too long, or not minimal.
KADORO_DECL result<decoded_varint> decode_varint(bytes_view data);

}  // namespace kadoro::inline KADORO_ABI::multiformats

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/multiformats/impl/varint.ipp"
#endif
