#pragma once

#include <sodium.h>

#include "kadoro/crypto/x25519.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

KADORO_DECL x25519_pair x25519_from_secret(byte_array<32> const& secret) noexcept {
  x25519_pair pair;
  pair.secret = secret;
  crypto_scalarmult_curve25519_base(pair.public_key.data(), pair.secret.data());
  return pair;
}

KADORO_DECL x25519_pair generate_x25519(random_source& random) noexcept {
  x25519_pair pair;
  random.fill(pair.secret);
  crypto_scalarmult_curve25519_base(pair.public_key.data(), pair.secret.data());
  return pair;
}

KADORO_DECL result<byte_array<32>> x25519(byte_array<32> const& secret, byte_array<32> const& public_key) {
  result<byte_array<32>> shared(tl::in_place);  // no copy of the secret stays behind on the stack
  if (crypto_scalarmult_curve25519(shared->data(), secret.data(), public_key.data()) != 0)
    return fail(errc::malformed, "the X25519 public key " + to_hex(public_key) + " is of small order");
  return shared;
}

}  // namespace kadoro::inline KADORO_ABI::crypto
