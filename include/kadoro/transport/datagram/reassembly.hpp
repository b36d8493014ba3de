#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/transport/address_range.hpp"
#include "kadoro/transport/datagram/fragment.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// So many bytes may be in use at once, a quarter of them by one address range. Must outlive what was taken of it.
class byte_budget {
 public:
  explicit byte_budget(std::size_t limit) noexcept : limit_(limit) {}
  byte_budget(byte_budget const&) = delete;
  byte_budget& operator=(byte_budget const&) = delete;

  std::size_t used() const noexcept { return used_; }
  std::size_t limit() const noexcept { return limit_; }

  /// A part of it, given back at the end of its life.
  class share {
   public:
    share() noexcept = default;
    share(share&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)),
          bytes_(std::exchange(other.bytes_, std::size_t{0})),
          range_(other.range_) {}
    share& operator=(share other) noexcept {
      std::swap(of_, other.of_);
      std::swap(bytes_, other.bytes_);
      std::swap(range_, other.range_);
      return *this;
    }
    ~share() {
      if (of_ == nullptr) return;
      of_->used_ -= bytes_;
      of_->ranges_.remove(range_, bytes_);
    }
    explicit operator bool() const noexcept { return of_ != nullptr; }

   private:
    friend class byte_budget;
    share(byte_budget& of, std::size_t bytes, std::optional<std::uint64_t> range)
        : of_(&of), bytes_(bytes), range_(range) {
      of.used_ += bytes;
      of.ranges_.add(range, bytes);
    }
    byte_budget* of_ = nullptr;
    std::size_t bytes_ = 0;
    std::optional<std::uint64_t> range_;
  };

  /// Empty if there is not that much left, of all or of what the range may have. Private ranges are not limited.
  share take(std::size_t bytes, std::optional<std::uint64_t> range = {}) {
    bool const range_full = range && ranges_.of(range) + bytes > limit_ / 4;
    return range_full || bytes > limit_ - used_ ? share() : share(*this, bytes, range);
  }

 private:
  std::size_t limit_;
  std::size_t used_ = 0;
  range_tally ranges_;
};

/// Puts the large messages of one peer together again, a few at a time.
///
///     (nothing) --first fragment--> open --all are there--> whole --take--> (nothing)
///                                    |
///                                    +--- nothing new for `idle_life`, or `life` over, or a later transmission, or
///                                         nothing new for `stale_after`, and its place is needed
///
/// The memory of a message is taken, from a budget of all peers, when its first fragment comes, and is what the count
/// in it says: no fragment makes it grow.
class reassembly {
 public:
  static constexpr std::size_t max_messages = 4;  ///< open at once, of each kind
  static constexpr duration idle_life = std::chrono::seconds(10);
  static constexpr duration life = std::chrono::seconds(30);
  static constexpr duration stale_after = std::chrono::seconds(1);

  enum class outcome : std::uint8_t {
    added,
    whole,      ///< added, and it was the last: `take` the message
    repeated,   ///< it was there already
    outdated,   ///< a later transmission of that message is open
    mismatch,   ///< not of the same cut as those that came before
    peer_full,  ///< the peer has `max_messages` open, and gets on with them
    full        ///< the budget is used up
  };

  KADORO_DECL outcome add(fragment const& f, byte_budget& budget, time_point now,
                          std::optional<std::uint64_t> range = {});

  /// What the sender is to be told of an open or whole message.
  KADORO_DECL fragments_arrived arrived(fragment const& f) const;

  /// The whole message, which is forgotten here.
  KADORO_DECL bytes take(fragment const& f);

  /// Nobody waits for it any more.
  KADORO_DECL void drop(frame_kind of, std::uint32_t id);

  /// Drops what is too old; returns how many messages that were.
  KADORO_DECL std::size_t expire(time_point now);

  bool empty() const noexcept { return open_.empty(); }
  KADORO_DECL std::size_t size(frame_kind of) const noexcept;

 private:
  struct entry {
    frame_kind of;
    std::uint32_t id;
    std::uint8_t transmission;
    std::uint8_t count;
    std::uint16_t newest;
    std::uint64_t bitmap = 0;
    std::size_t bytes_in_all;  // exact once the last fragment is there
    bytes data;
    byte_budget::share memory;
    time_point begun;
    time_point last_new;
  };

  KADORO_DECL bool drop_stale(frame_kind of, time_point now);
  std::vector<entry>::iterator find(frame_kind of, std::uint32_t id) noexcept;
  std::vector<entry>::const_iterator find(frame_kind of, std::uint32_t id) const noexcept;

  std::vector<entry> open_;  // oldest first, at most 2 * max_messages
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/reassembly.ipp"
#endif
