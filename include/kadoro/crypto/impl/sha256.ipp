#pragma once

#include <sodium.h>

#include "kadoro/crypto/sha256.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

KADORO_DECL digest sha256(bytes_view data) noexcept {
  digest out;
  crypto_hash_sha256(out.data(), data.data(), data.size());
  return out;
}

KADORO_DECL digest hmac_sha256(bytes_view key, bytes_view data) noexcept {
  static constexpr std::uint8_t no_key = 0;  // libsodium wants a pointer even to nothing
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, key.empty() ? &no_key : key.data(), key.size());
  crypto_auth_hmacsha256_update(&state, data.data(), data.size());
  digest out;
  crypto_auth_hmacsha256_final(&state, out.data());
  sodium_memzero(&state, sizeof state);
  return out;
}

KADORO_DECL sha256_hasher::sha256_hasher() noexcept { crypto_hash_sha256_init(&state_); }

KADORO_DECL sha256_hasher& sha256_hasher::update(bytes_view data) noexcept {
  crypto_hash_sha256_update(&state_, data.data(), data.size());
  return *this;
}

KADORO_DECL digest sha256_hasher::finish() noexcept {
  digest out;
  crypto_hash_sha256_final(&state_, out.data());
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::crypto
