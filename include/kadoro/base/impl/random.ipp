#pragma once

#include <sodium.h>

#include <algorithm>
#include <cstdlib>

#include "kadoro/base/random.hpp"

namespace kadoro::inline KADORO_ABI {

KADORO_DECL std::uint64_t random_source::next() noexcept {
  byte_array<8> raw{};
  fill(raw);
  return load_be<std::uint64_t>(raw.data());
}

KADORO_DECL std::uint64_t random_source::below(std::uint64_t bound) noexcept {
  if (bound <= 1) return 0;
  std::uint64_t const rejected = (0 - bound) % bound;  // the count of values that would bias the remainder
  for (;;) {
    std::uint64_t const value = next();
    if (value >= rejected) return value % bound;
  }
}

KADORO_DECL double random_source::unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

KADORO_DECL system_random::system_random() {
  if (sodium_init() < 0) std::abort();  // no entropy source: nothing that follows could be trusted
}

KADORO_DECL void system_random::fill(bytes_span out) noexcept {
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

KADORO_DECL chacha20_random::chacha20_random(std::uint64_t seed) noexcept { store_be(key_.data(), seed); }

KADORO_DECL void chacha20_random::fill(bytes_span out) noexcept {
  static constexpr byte_array<crypto_stream_chacha20_ietf_NONCEBYTES> nonce{};
  for (std::size_t done = 0; done < out.size();) {
    if (used_ == block_.size()) {
      block_.fill(0);
      crypto_stream_chacha20_ietf_xor_ic(block_.data(), block_.data(), block_.size(), nonce.data(), counter_,
                                         key_.data());
      counter_ += static_cast<std::uint32_t>(block_.size() / 64);
      used_ = 0;
    }
    std::size_t const take = std::min(out.size() - done, block_.size() - used_);
    std::copy_n(block_.begin() + static_cast<std::ptrdiff_t>(used_), take,
                out.begin() + static_cast<std::ptrdiff_t>(done));
    used_ += take;
    done += take;
  }
}

}  // namespace kadoro::inline KADORO_ABI
