#pragma once

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// The clock of a host, as a function of the world's: it may be off by hours and run too fast or too slow. It never
/// goes back. In integers, so that every platform gets the same.
class local_clock {
 public:
  static constexpr double max_drift = 0.5;

  /// What it shows when the world says `world`, which is not before the latest `set`.
  time_point at(time_point world) const noexcept {
    if (drift_ppb_ == 0) return world + offset_;
    return world + offset_ + drifted(world - since_);
  }

  /// The first world's time at which it shows `local` or more; not before the latest `set`.
  KADORO_DECL time_point world_time(time_point local) const noexcept;

  /// From the world's `now` on: ahead of the world by `offset`, plus `drift` (0.01: 1 % fast) of the time that passes.
  /// If that is behind what it shows and somebody may have `seen` it, it goes on from what it shows.
  KADORO_DECL void set(time_point now, duration offset, double drift, bool seen);

 private:
  static constexpr duration::rep billion = 1'000'000'000;

  duration drifted(duration passed) const noexcept {
    duration::rep const count = passed.count();
    return duration(count / billion * drift_ppb_ + count % billion * drift_ppb_ / billion);
  }

  time_point since_;
  duration offset_{};
  duration::rep drift_ppb_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/local_clock.ipp"
#endif
