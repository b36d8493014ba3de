#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// A bucket that fills with `per_second` tokens up to `burst`.
class token_bucket {
 public:
  token_bucket(double per_second, double burst) noexcept : per_second_(per_second), burst_(burst), tokens_(burst) {}

  bool take(time_point now, double cost = 1) noexcept {
    if (last_ != time_point{})
      tokens_ = std::min(burst_, tokens_ + std::chrono::duration<double>(now - last_).count() * per_second_);
    last_ = now;
    if (tokens_ < cost) return false;
    tokens_ -= cost;
    return true;
  }

  /// After a `take` that failed: when there may be enough for it. What costs more than the burst never passes.
  duration wait_for(double cost = 1) const noexcept {
    return std::chrono::duration_cast<duration>(std::chrono::duration<double>((cost - tokens_) / per_second_));
  }

  time_point last() const noexcept { return last_; }

 private:
  double per_second_;
  double burst_;
  double tokens_;
  time_point last_{};
};

/// Limits what one address range, and everybody together, may cost. Remembers at most `max_ranges` ranges; a stranger
/// who comes when all of them are busy counts against the common bucket only.
class rate_limiter {
 public:
  static constexpr std::size_t max_ranges = 1024;

  rate_limiter(double range_per_second, double range_burst, double all_per_second, double all_burst) noexcept
      : range_per_second_(range_per_second), range_burst_(range_burst), all_(all_per_second, all_burst) {}

  bool take(std::uint64_t range, time_point now) {
    auto known = ranges_.find(range);
    if (known == ranges_.end()) {
      if (ranges_.size() >= max_ranges) forget_idle(now);
      if (ranges_.size() >= max_ranges) return all_.take(now);
      known = ranges_.emplace(range, token_bucket(range_per_second_, range_burst_)).first;
    }
    return known->second.take(now) && all_.take(now);  // what a range is refused costs the others nothing
  }

 private:
  void forget_idle(time_point now) {
    duration const full =
        std::chrono::duration_cast<duration>(std::chrono::duration<double>(range_burst_ / range_per_second_));
    std::erase_if(ranges_, [now, full](auto const& entry) { return now - entry.second.last() > full; });
  }

  double range_per_second_;
  double range_burst_;
  token_bucket all_;
  std::map<std::uint64_t, token_bucket> ranges_;
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
