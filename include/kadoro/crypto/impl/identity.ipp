#pragma once

#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kadoro/crypto/identity.hpp"
#include "kadoro/multiformats/key_protobuf.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

KADORO_DECL identity identity::from_seed(byte_array<32> const& seed) {
  // Also picks libsodium's fast implementations; whoever uses crypto has an identity, so this is the place.
  if (sodium_init() < 0) std::abort();
  identity made;
  crypto_sign_seed_keypair(made.public_key_.data(), made.secret_.data(), seed.data());
  crypto_sign_ed25519_sk_to_curve25519(made.x25519_.secret.data(), made.secret_.data());
  crypto_scalarmult_curve25519_base(made.x25519_.public_key.data(), made.x25519_.secret.data());
  return made;
}

KADORO_DECL identity identity::generate(random_source& random) {
  byte_array<32> seed;
  random.fill(seed);
  identity made = from_seed(seed);
  wipe(seed);
  return made;
}

KADORO_DECL bytes identity::encode() const {
  return multiformats::encode_key(multiformats::key_type::ed25519, secret_);
}

KADORO_DECL result<identity> identity::decode(bytes_view data) {
  auto const key = multiformats::decode_key(data);
  if (!key) return fail(key.error());
  if (key->type != multiformats::key_type::ed25519)
    return fail(errc::malformed,
                "not an Ed25519 private key, but one of type " + std::to_string(static_cast<unsigned>(key->type)));
  bytes_view const secret = key->data;
  if (secret.size() != 64 && secret.size() != 96)
    return fail(errc::malformed,
                "an Ed25519 private key has 64 or 96 bytes, this one " + std::to_string(secret.size()));
  byte_array<32> seed;
  std::copy_n(secret.begin(), seed.size(), seed.begin());
  identity made = from_seed(seed);
  wipe(seed);
  for (bytes_view rest = secret.subspan(32); !rest.empty(); rest = rest.subspan(32))
    if (!equal(rest.first(32), made.public_key_))
      return fail(errc::malformed, "the public key in this private key does not belong to its seed");
  return made;
}

KADORO_DECL result<identity> identity::load_or_create(io::storage& storage, std::string_view name,
                                                      random_source& random) {
  auto stored = storage.read(name);
  if (stored) {
    auto loaded = decode(*stored);
    wipe(*stored);
    if (loaded) return loaded;
    return fail(errc::malformed, std::string(name) + " holds no identity (" + loaded.error().message() +
                                     "): restore it from a backup, or move it away to start as a new node");
  }
  if (!(stored.error() == errc::not_found)) return fail(std::move(stored.error()));
  identity made = generate(random);
  bytes encoded = made.encode();
  auto const written = storage.write(name, encoded);
  wipe(encoded);
  if (!written) return fail(written.error());
  return made;
}

KADORO_DECL byte_array<64> identity::sign(bytes_view message) const noexcept {
  byte_array<64> signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret_.data());
  return signature;
}

KADORO_DECL bool verify(byte_array<32> const& public_key, bytes_view message, bytes_view signature) noexcept {
  return signature.size() == crypto_sign_BYTES &&
         crypto_sign_verify_detached(signature.data(), message.data(), message.size(), public_key.data()) == 0;
}

KADORO_DECL result<byte_array<32>> x25519_of(byte_array<32> const& ed25519_public) {
  byte_array<32> out;
  if (crypto_sign_ed25519_pk_to_curve25519(out.data(), ed25519_public.data()) != 0)
    return fail(errc::malformed, to_hex(ed25519_public) + " is no Ed25519 public key");
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::crypto
