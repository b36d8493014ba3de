#pragma once

#include <algorithm>

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// How long a loop looks for work before it lets the system put its thread to sleep. A wake-up costs ten times a
/// packet, so looking pays where the next packet is near; where it is not, the loop learns within a few waits to sleep
/// at once, and tries again now and then.
class spin_budget {
 public:
  /// Zero: never.
  explicit spin_budget(duration max) noexcept : max_(max), next_(max) {}

  bool wanted() const noexcept { return max_ > duration::zero(); }

  /// For the wait that begins now.
  duration next() noexcept {
    if (next_ > duration::zero() || !wanted()) return next_;
    if (++waits_ < waits_per_trial) return duration::zero();
    waits_ = 0;
    return max_;
  }

  void found() noexcept { next_ = std::min(max_, std::max(next_ * 2, max_ / 4)); }

  void missed() noexcept {
    next_ /= 2;
    if (next_ < max_ / 16) next_ = duration::zero();
  }

 private:
  static constexpr int waits_per_trial = 64;

  duration max_;
  duration next_;
  int waits_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io
