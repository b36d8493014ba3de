#pragma once

#include <algorithm>

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::transport {

/// Round-trip time of one peer and the retransmission timeout that follows from it (RFC 6298, with a floor of 30 ms:
/// below that, the scheduling of a busy machine is mistaken for loss; and with a ceiling that leaves room for a second
/// try before a request is given up).
class rtt_estimator {
 public:
  static constexpr duration initial_timeout = std::chrono::milliseconds(300);
  static constexpr duration min_timeout = std::chrono::milliseconds(30);
  static constexpr duration max_timeout = std::chrono::seconds(1);

  /// Only of exchanges whose transmission is known, never a guess (Karn's algorithm).
  void sample(duration rtt) noexcept {
    if (!known()) {
      smoothed_ = rtt;
      variation_ = rtt / 2;
      return;
    }
    duration const error = rtt > smoothed_ ? rtt - smoothed_ : smoothed_ - rtt;
    variation_ += (error - variation_) / 4;
    smoothed_ += (rtt - smoothed_) / 8;
  }

  bool known() const noexcept { return smoothed_ != duration::zero(); }
  duration smoothed() const noexcept { return smoothed_; }

  /// How long to wait for an answer before sending again.
  duration timeout() const noexcept {
    return known() ? std::clamp(smoothed_ + 4 * variation_, min_timeout, max_timeout) : initial_timeout;
  }

 private:
  duration smoothed_{};
  duration variation_{};
};

}  // namespace kadoro::inline KADORO_ABI::transport
