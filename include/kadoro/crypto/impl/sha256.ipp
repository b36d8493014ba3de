#pragma once

#include <nettle/hmac.h>
#include <nettle/sha2.h>
#include <sodium.h>

#include "kadoro/crypto/sha256.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

KADORO_DECL digest sha256(bytes_view data) noexcept { return sha256_hasher().update(data).finish(); }

KADORO_DECL digest hmac_sha256(bytes_view key, bytes_view data) noexcept {
  ::hmac_sha256_ctx state;
  nettle_hmac_sha256_set_key(&state, key.size(), key.data());
  nettle_hmac_sha256_update(&state, data.size(), data.data());
  digest out;
  nettle_hmac_sha256_digest(&state, out.size(), out.data());
  sodium_memzero(&state, sizeof state);
  return out;
}

KADORO_DECL sha256_hasher::sha256_hasher() noexcept { nettle_sha256_init(&state_); }

KADORO_DECL sha256_hasher& sha256_hasher::update(bytes_view data) noexcept {
  if (!data.empty()) nettle_sha256_update(&state_, data.size(), data.data());
  return *this;
}

KADORO_DECL digest sha256_hasher::finish() noexcept {
  digest out;
  nettle_sha256_digest(&state_, out.size(), out.data());
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::crypto
