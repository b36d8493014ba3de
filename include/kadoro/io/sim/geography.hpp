#pragma once

#include <array>
#include <cstdint>

#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// A planet: the delay between any two addresses, computed from the addresses and a seed, without a table. An address
/// lies near one of ten centres of population, and its own line adds some milliseconds. Round trips between random
/// hosts: median 140 ms, a tenth below 45, a tenth above 225; with `scale_percent` 112 the median is the 156 ms that
/// the King measurements of 2005 give. `link_policy::spread` of 0.08 and a loss of 0.01 belong to it.
class geography {
 public:
  explicit geography(std::uint64_t seed, unsigned scale_percent = 100) noexcept
      : seed_(seed), scale_percent_(scale_percent) {}

  /// Whole microseconds, the same in both directions. Ports do not matter. A host reaches itself in 50 us.
  KADORO_DECL duration one_way(endpoint const& a, endpoint const& b) const noexcept;

 private:
  /// A point on the unit sphere, times 2^20, and the host's own line.
  struct place {
    std::array<std::int64_t, 3> at;
    std::int64_t line_us;
  };

  KADORO_DECL place place_of(endpoint const& address) const noexcept;

  std::uint64_t seed_;
  unsigned scale_percent_;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/geography.ipp"
#endif
