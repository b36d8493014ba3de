#pragma once

#include <bitset>
#include <cstdint>

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// Which counters of a session have been seen: the highest, and the 1024 before it (the sliding window of RFC 6479).
class replay_window {
 public:
  static constexpr std::uint64_t size = 1024;

  /// False for a counter that was seen, or is too old to tell. Asking does not mark it.
  bool fresh(std::uint64_t counter) const noexcept {
    if (counter >= next_) return true;
    return next_ - counter <= size && !seen_[counter % size];
  }

  /// One above the highest counter that was marked.
  std::uint64_t next() const noexcept { return next_; }

  /// Marks a fresh counter, once its datagram has proved authentic.
  void mark(std::uint64_t counter) noexcept {
    if (counter >= next_) {
      std::uint64_t const step = counter - next_ + 1;
      if (step >= size)
        seen_.reset();
      else
        for (std::uint64_t i = next_; i < counter; ++i) seen_.reset(i % size);
      next_ = counter + 1;
    }
    seen_.set(counter % size);
  }

 private:
  std::bitset<size> seen_;
  std::uint64_t next_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
