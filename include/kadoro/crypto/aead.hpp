#pragma once

#include "kadoro/base/bytes.hpp"

/// @file
/// ChaCha20-Poly1305 (RFC 8439) with the nonce of the Noise protocol: four zero bytes, then a little-endian counter.

namespace kadoro::inline KADORO_ABI::crypto {

inline constexpr std::size_t tag_bytes = 16;
using aead_key = byte_array<32>;

/// Writes the ciphertext and its tag to `out`, which has exactly `plain.size() + tag_bytes` bytes and may begin where
/// `plain` begins. A pair of key and nonce is used once, ever.
KADORO_DECL void seal(aead_key const& key, std::uint64_t nonce, bytes_view ad, bytes_view plain,
                      bytes_span out) noexcept;

/// False if the tag does not match (or `sealed` is shorter than a tag): then `out` holds nothing of use, and in place
/// the ciphertext is lost too. `out` has exactly `sealed.size() - tag_bytes` bytes and may begin where `sealed` begins.
[[nodiscard]] KADORO_DECL bool open(aead_key const& key, std::uint64_t nonce, bytes_view ad, bytes_view sealed,
                                    bytes_span out) noexcept;

}  // namespace kadoro::inline KADORO_ABI::crypto

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/crypto/impl/aead.ipp"
#endif
