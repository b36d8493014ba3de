#pragma once

#include <nettle/sha2.h>

#include "kadoro/base/bytes.hpp"

/// @file
/// SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), by Nettle, which uses the processor's instructions for it: a
/// lookup and every content-addressed record begin with a hash. Nothing here allocates.

namespace kadoro::inline KADORO_ABI::crypto {

using digest = byte_array<32>;

KADORO_DECL digest sha256(bytes_view data) noexcept;

/// A key of any length, the empty one included.
KADORO_DECL digest hmac_sha256(bytes_view key, bytes_view data) noexcept;

/// SHA-256 of data that comes in pieces. `finish` once; the object is spent afterwards.
class sha256_hasher {
 public:
  KADORO_DECL sha256_hasher() noexcept;
  KADORO_DECL sha256_hasher& update(bytes_view data) noexcept;
  KADORO_DECL digest finish() noexcept;

 private:
  ::sha256_ctx state_;
};

}  // namespace kadoro::inline KADORO_ABI::crypto

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/crypto/impl/sha256.ipp"
#endif
