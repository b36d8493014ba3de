#pragma once

#include <algorithm>
#include <chrono>

#include "kadoro/io/sim/sampling.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

KADORO_DECL std::int64_t normal_q16(std::array<std::uint64_t, 3> const& bits) noexcept {
  std::int64_t sum = -6 * 65536;
  for (std::uint64_t const word : bits)
    for (unsigned shift = 0; shift < 64; shift += 16) sum += static_cast<std::int64_t>(word >> shift & 0xffff);
  return sum;
}

KADORO_DECL std::int64_t normal_q16(split_mix& from) noexcept {
  std::array<std::uint64_t, 3> bits;
  for (std::uint64_t& word : bits) word = from.next();
  return normal_q16(bits);
}

KADORO_DECL std::int64_t normal_q16(random_source& from) noexcept {
  std::array<std::uint64_t, 3> bits;
  for (std::uint64_t& word : bits) word = from.next();
  return normal_q16(bits);
}

KADORO_DECL std::uint64_t exp_q24(std::int64_t x_q16) noexcept {
  constexpr std::int64_t one = 1 << 24;
  constexpr std::int64_t log2_of_e_q24 = 24204406;
  std::int64_t const x = std::clamp<std::int64_t>(x_q16, -6 * 65536, 6 * 65536);
  std::int64_t const power = x * log2_of_e_q24 >> 16;
  std::int64_t const fraction = power & (one - 1);
  // 2^fraction: the polynomial of degree 4 through both ends and three Chebyshev nodes.
  std::int64_t sum = 229809;
  for (std::int64_t const coefficient : {std::int64_t{871198}, std::int64_t{4048069}, std::int64_t{11628140}, one})
    sum = (sum * fraction >> 24) + coefficient;
  std::int64_t const whole = power >> 24;
  return static_cast<std::uint64_t>(whole >= 0 ? sum << whole : sum >> -whole);
}

KADORO_DECL duration log_normal(duration median, double sigma, std::int64_t normal_q16) noexcept {
  auto const us = std::chrono::duration_cast<std::chrono::microseconds>(median).count();
  auto const bounded = static_cast<std::uint64_t>(std::clamp<std::int64_t>(us, 0, 1'000'000'000));
  auto const sigma_q16 = static_cast<std::int64_t>(std::clamp(sigma, 0.0, 6.0) * 65536.0);
  std::uint64_t const stretched = bounded * exp_q24(sigma_q16 * normal_q16 >> 16) >> 24;
  return std::chrono::microseconds(static_cast<std::int64_t>(stretched));
}

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
