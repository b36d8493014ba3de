#pragma once

#include "kadoro/base/random.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/crypto/wipe.hpp"

/// @file
/// X25519 (RFC 7748), by libsodium.

namespace kadoro::inline KADORO_ABI::crypto {

/// A Diffie-Hellman key pair. The secret is wiped when the pair goes.
struct x25519_pair {
  byte_array<32> secret{};
  byte_array<32> public_key{};

  ~x25519_pair() { wipe(secret); }
};

KADORO_DECL x25519_pair generate_x25519(random_source& random) noexcept;

/// The pair that belongs to a known secret.
KADORO_DECL x25519_pair x25519_from_secret(byte_array<32> const& secret) noexcept;

/// The shared secret. Fails with `malformed` where it would be all zero: such a public key shares nothing.
KADORO_DECL result<byte_array<32>> x25519(byte_array<32> const& secret, byte_array<32> const& public_key);

}  // namespace kadoro::inline KADORO_ABI::crypto

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/crypto/impl/x25519.ipp"
#endif
