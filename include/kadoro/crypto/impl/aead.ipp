#pragma once

#include <sodium.h>

#include <cassert>

#include "kadoro/crypto/aead.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

namespace detail {

inline byte_array<12> aead_nonce(std::uint64_t counter) noexcept {
  byte_array<12> nonce{};
  for (std::size_t i = 4; i < nonce.size(); ++i, counter >>= 8) nonce[i] = static_cast<std::uint8_t>(counter);
  return nonce;
}

}  // namespace detail

KADORO_DECL void seal(aead_key const& key, std::uint64_t nonce, bytes_view ad, bytes_view plain,
                      bytes_span out) noexcept {
  assert(out.size() == plain.size() + tag_bytes);
  byte_array<12> const n = detail::aead_nonce(nonce);
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), nullptr, plain.data(), plain.size(), ad.data(), ad.size(),
                                            nullptr, n.data(), key.data());
}

KADORO_DECL bool open(aead_key const& key, std::uint64_t nonce, bytes_view ad, bytes_view sealed,
                      bytes_span out) noexcept {
  if (sealed.size() < tag_bytes) return false;
  assert(out.size() == sealed.size() - tag_bytes);
  byte_array<12> const n = detail::aead_nonce(nonce);
  return crypto_aead_chacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(), sealed.size(),
                                                   ad.data(), ad.size(), n.data(), key.data()) == 0;
}

}  // namespace kadoro::inline KADORO_ABI::crypto
