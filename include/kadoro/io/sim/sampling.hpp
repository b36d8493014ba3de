#pragma once

#include <array>
#include <cstdint>

#include "kadoro/base/random.hpp"
#include "kadoro/base/time.hpp"

/// @file
/// Random numbers that are not uniform, in integers: floating point gives other last digits where a compiler fuses a
/// multiplication with an addition, and one digit is enough to make another run.

namespace kadoro::inline KADORO_ABI::io::sim::detail {

/// A stream of well mixed numbers from a seed that need not be (SplitMix64, Steele et al. 2014).
class split_mix {
 public:
  explicit split_mix(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
  }

 private:
  std::uint64_t state_;
};

/// A standard normal number times 2^16 from 192 random bits: the sum of twelve uniform ones has variance 1. Never
/// beyond 6; the tails are a little thin (a hundredth is beyond 2.30 instead of 2.33).
KADORO_DECL std::int64_t normal_q16(std::array<std::uint64_t, 3> const& bits) noexcept;
KADORO_DECL std::int64_t normal_q16(split_mix& from) noexcept;
KADORO_DECL std::int64_t normal_q16(random_source& from) noexcept;

/// e^(x / 2^16) times 2^24, to five digits; x / 2^16 counts as 6 if it is more, as -6 if it is less.
KADORO_DECL std::uint64_t exp_q24(std::int64_t x_q16) noexcept;

/// `median` times e^(sigma * normal), in whole microseconds. At most 1000 s before it is stretched.
KADORO_DECL duration log_normal(duration median, double sigma, std::int64_t normal_q16) noexcept;

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/sampling.ipp"
#endif
