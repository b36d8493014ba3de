#pragma once

#include <algorithm>
#include <stdexcept>

#include "kadoro/io/sim/local_clock.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

KADORO_DECL void local_clock::set(time_point now, duration offset, double drift, bool seen) {
  if (!(drift >= -max_drift && drift <= max_drift))
    throw std::logic_error("kadoro: a simulated clock drifts by at most a half");
  offset_ = seen ? std::max(offset, at(now) - now) : offset;
  since_ = now;
  drift_ppb_ = static_cast<duration::rep>(drift * static_cast<double>(billion) + (drift < 0 ? -0.5 : 0.5));
}

KADORO_DECL time_point local_clock::world_time(time_point local) const noexcept {
  if (local.time_since_epoch() > duration::max() / 2) return local;  // never
  if (drift_ppb_ == 0) return std::max(local - offset_, since_);
  duration const wanted = local - (since_ + offset_);
  if (wanted <= duration::zero()) return since_;
  // A division gives it but for rounding; then a step or two.
  duration::rep const rate = billion + drift_ppb_;
  duration::rep const count = wanted.count();
  duration passed(count / rate * billion + count % rate * billion / rate);
  while (passed + drifted(passed) < wanted) ++passed;
  while (passed > duration::zero() && passed - duration(1) + drifted(passed - duration(1)) >= wanted) --passed;
  return since_ + passed;
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
