#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "kadoro/io/sim/geography.hpp"
#include "kadoro/io/sim/host_key.hpp"
#include "kadoro/io/sim/sampling.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

namespace detail {

/// The length of a vector, rounded down. The square root is the one operation in floating point here: IEEE 754 leaves
/// it no freedom.
inline std::int64_t length(std::array<std::int64_t, 3> const& vector) noexcept {
  std::int64_t squares = 0;
  for (std::int64_t const each : vector) squares += each * each;
  return static_cast<std::int64_t>(std::sqrt(static_cast<double>(squares)));
}

/// The angle of a right triangle in radians times 2^20 (Abramowitz and Stegun 4.4.47, to 10^-5).
inline std::int64_t angle_q20(std::int64_t opposite, std::int64_t adjacent) noexcept {
  bool const steep = opposite > adjacent;
  if (steep) std::swap(opposite, adjacent);
  if (adjacent == 0) return 0;
  std::int64_t const ratio = (opposite << 20) / adjacent;
  std::int64_t const square = ratio * ratio >> 20;
  std::int64_t sum = 5592880;
  for (std::int64_t const coefficient : {-22852716, 48356231, -88664097, 268399486})
    sum = (sum * square >> 20) + coefficient;
  std::int64_t const angle = sum * ratio >> 28;
  return steep ? 1647099 - angle : angle;
}

struct region {
  std::array<std::int64_t, 3> centre;  // on the unit sphere, times 2^20
  std::uint64_t weight;
  std::int64_t spread_degrees;
};

inline constexpr std::array<region, 10> regions{{
    {{180693, -782668, 674012}, 200, 7},   // North America, east
    {{-418715, -725236, 631049}, 100, 5},  // North America, west
    {{667452, 93804, 803256}, 340, 8},     // Europe
    {{-486574, 694900, 616338}, 140, 8},   // East Asia
    {{-253635, 1017274, 18300}, 60, 8},    // South-East Asia
    {{670498, -694321, -409711}, 50, 7},   // South America
    {{-761591, 439705, -571095}, 30, 5},   // Australia
    {{208268, 902108, 492277}, 70, 7},     // India
    {{832137, 442455, -459665}, 15, 5},    // southern Africa
    {{610862, 727997, 443147}, 15, 5},     // the Gulf
}};

}  // namespace detail

KADORO_DECL geography::place geography::place_of(endpoint const& address) const noexcept {
  detail::split_mix random(seed_ ^ detail::address_number(address));
  std::uint64_t drawn = random.next() % 1020;  // the sum of all weights
  auto region = detail::regions.begin();
  for (; drawn >= region->weight; ++region) drawn -= region->weight;
  constexpr std::int64_t degree_q20 = 18301;
  place found{};
  for (std::size_t i = 0; i < 3; ++i)
    found.at[i] = region->centre[i] + (region->spread_degrees * degree_q20 * detail::normal_q16(random) >> 16);
  std::int64_t const length = std::max<std::int64_t>(detail::length(found.at), 1);
  for (std::int64_t& each : found.at) each = each * (1 << 20) / length;
  duration const line = detail::log_normal(std::chrono::milliseconds(8), 0.8, detail::normal_q16(random));
  found.line_us = std::chrono::duration_cast<std::chrono::microseconds>(line).count();
  return found;
}

KADORO_DECL duration geography::one_way(endpoint const& a, endpoint const& b) const noexcept {
  if (std::ranges::equal(a.address(), b.address())) return std::chrono::microseconds(50);
  place const here = place_of(a);
  place const there = place_of(b);
  std::array<std::int64_t, 3> apart{};
  std::array<std::int64_t, 3> together{};
  for (std::size_t i = 0; i < 3; ++i) {
    apart[i] = here.at[i] - there.at[i];
    together[i] = here.at[i] + there.at[i];
  }
  // Half the angle between two unit vectors has the lengths of their difference and their sum as its sides.
  std::int64_t const half_angle_q20 = detail::angle_q20(detail::length(apart), detail::length(together));
  // 6371 km a radian, 200 km/ms in fibre, and cables are half as long again as the great circle.
  std::int64_t const cable_us = half_angle_q20 * (2 * 6371 * 15 / 2) >> 20;
  std::int64_t const total_us = cable_us + (here.line_us + there.line_us) / 2;
  return std::chrono::microseconds(total_us * scale_percent_ / 100);
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
