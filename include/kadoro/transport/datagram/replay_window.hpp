#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <memory>

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// Which counters of a session have been seen: the highest, and the 1024 before it (the sliding window of RFC 6479).
///
/// Most sessions lose next to nothing. So the last 64 are bits in place, and memory for all 1024 is made when one of
/// them falls behind unseen, and freed when no such gap is left.
class replay_window {
 public:
  static constexpr std::uint64_t size = 1024;

  /// False for a counter that was seen, or is too old to tell. Asking does not mark it.
  bool fresh(std::uint64_t counter) const noexcept {
    if (counter >= next_) return true;
    std::uint64_t const age = next_ - counter;  // 1: the highest
    if (age <= near) return (recent_ >> (age - 1) & 1) == 0;
    return age <= size && all_ && !(*all_)[counter % size];
  }

  /// One above the highest counter that was marked.
  std::uint64_t next() const noexcept { return next_; }

  /// Marks a fresh counter, once its datagram has proved authentic.
  void mark(std::uint64_t counter) {
    if (counter >= next_) advance(counter);
    std::uint64_t const age = next_ - counter;
    if (age <= near) recent_ |= std::uint64_t{1} << (age - 1);
    if (all_) all_->set(counter % size);
  }

 private:
  static constexpr std::uint64_t near = 64;

  /// `counter` becomes the highest, still unseen, as are those that were skipped.
  void advance(std::uint64_t counter) {
    std::uint64_t const step = counter - next_ + 1;
    bool const gap = step > near || ~recent_ >> (near - step) != 0;  // one falls behind unseen
    if (gap) {
      if (!all_) remember_all();
      last_gap_ = counter - near;
    }
    if (all_) {
      if (step >= size)
        all_->reset();
      else
        for (std::uint64_t i = next_; i <= counter; ++i) all_->reset(i % size);
    }
    recent_ = step >= near ? 0 : recent_ << step;
    next_ = counter + 1;
    if (all_ && next_ - last_gap_ > size) all_.reset();
  }

  void remember_all() {
    all_ = std::make_unique<std::bitset<size>>();
    all_->set();
    for (std::uint64_t age = 1; age <= std::min(near, next_); ++age)
      if ((recent_ >> (age - 1) & 1) == 0) all_->reset((next_ - age) % size);
  }

  std::uint64_t recent_ = ~std::uint64_t{0};  // the last 64, the highest first; what is before all counters was seen
  std::uint64_t next_ = 0;
  std::uint64_t last_gap_ = 0;              // no unseen one that fell behind is higher
  std::unique_ptr<std::bitset<size>> all_;  // null: all that fell behind were seen
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
