#pragma once

#include <algorithm>
#include <cstddef>

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// How many fragments may be on their way to one peer at once. The word of what has arrived is the clock: it starts
/// small, doubles with each round trip until something is lost, loses three tenths then, and grows by one a round trip
/// after (the slow start and congestion avoidance of RFC 5681 with the factor of RFC 9438, in packets).
class send_window {
 public:
  static constexpr std::size_t initial = 10;
  static constexpr std::size_t least = 2;
  static constexpr std::size_t most = 64;  ///< a whole message
  /// What was learned of a path is not believed longer than this.
  static constexpr duration memory = std::chrono::seconds(10);

  std::size_t size() const noexcept { return size_; }

  /// Before the first fragment after a silence.
  void begin(time_point now) noexcept {
    if (now - last_use_ > memory) *this = send_window();
    last_use_ = now;
  }

  void on_arrived(std::size_t count, time_point now) noexcept {
    last_use_ = now;
    if (size_ < threshold_) {
      size_ = std::min(size_ + count, most);
      return;
    }
    credit_ += count;
    if (credit_ < size_) return;
    credit_ -= size_;
    size_ = std::min(size_ + 1, most);
  }

  /// Once a round trip at most: what is lost together is one sign.
  void on_loss(time_point now, duration round_trip) noexcept {
    if (now < quiet_until_) return;
    quiet_until_ = now + round_trip;
    threshold_ = size_ = std::max(size_ * 7 / 10, least);
    credit_ = 0;
  }

  /// Nothing was heard for a timeout.
  void on_silence() noexcept {
    threshold_ = std::max(size_ / 2, least);
    size_ = least;
    credit_ = 0;
  }

 private:
  std::size_t size_ = initial;
  std::size_t threshold_ = most;
  std::size_t credit_ = 0;  // arrived since it last grew, when it grows slowly
  time_point quiet_until_{};
  time_point last_use_{};
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
