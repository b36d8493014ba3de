#pragma once

#include <bit>
#include <cassert>

#include "kadoro/kad/key.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

/// The 64 bits of a key from its byte `at` on.
inline std::uint64_t key_word(key const& k, std::size_t at) noexcept {
  return load_be<std::uint64_t>(k.bytes().data() + at);
}

}  // namespace detail

KADORO_DECL key key::random_in_bucket(key const& self, int common_prefix, random_source& random) noexcept {
  assert(common_prefix >= 0 && common_prefix < bits);
  key made;
  random.fill(made.bytes_);
  std::size_t const whole = static_cast<std::size_t>(common_prefix) / 8;
  for (std::size_t i = 0; i < whole; ++i) made.bytes_[i] = self.bytes_[i];
  // In the byte where the prefix ends: self's bits, then the first one flipped, then random ones.
  int const rest = common_prefix % 8;
  int const kept = 0xff00 >> rest & 0xff;
  int const flipped = 0x80 >> rest;
  made.bytes_[whole] = static_cast<std::uint8_t>((self.bytes_[whole] & kept) | (~self.bytes_[whole] & flipped) |
                                                 (made.bytes_[whole] & ~kept & ~flipped));
  return made;
}

KADORO_DECL int key::common_prefix(key const& other) const noexcept {
  for (std::size_t at = 0; at < bytes_.size(); at += 8) {
    std::uint64_t const distance = detail::key_word(*this, at) ^ detail::key_word(other, at);
    if (distance != 0) return static_cast<int>(at) * 8 + std::countl_zero(distance);
  }
  return bits;
}

KADORO_DECL bool key::closer(key const& a, key const& b) const noexcept {
  for (std::size_t at = 0; at < bytes_.size(); at += 8) {
    std::uint64_t const word_a = detail::key_word(a, at);
    std::uint64_t const word_b = detail::key_word(b, at);
    if (word_a == word_b) continue;
    std::uint64_t const word = detail::key_word(*this, at);
    return (word_a ^ word) < (word_b ^ word);
  }
  return false;
}

KADORO_DECL std::string key::to_hex(std::size_t digits) const { return kadoro::to_hex(bytes_).substr(0, digits); }

}  // namespace kadoro::inline KADORO_ABI::kad
