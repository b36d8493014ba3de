#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "kadoro/base/time.hpp"
#include "kadoro/transport/datagram/fragment.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// A large message on its way: which of its fragments are to be sent, are on their way, have arrived. Sends nothing
/// itself, and knows no clock.
///
///     to be sent --next--> in flight --arrived--> there
///          ^                   |
///          +------ lost -------+    three newer sendings have arrived, or nothing was heard for a timeout
class outgoing_message {
 public:
  /// So many newer sendings that have arrived make an older one lost: before that it is only late (RFC 9002).
  static constexpr std::uint32_t newer_that_tell = 3;

  struct piece {
    std::uint8_t index = 0;
    std::uint8_t count = 0;
    std::uint16_t number = 0;
    bytes_view data;
    bool again = false;
  };

  /// What the word of the receiver has changed.
  struct news {
    std::size_t arrived = 0;
    std::size_t lost = 0;
    std::optional<duration> round_trip;  ///< exact: the number says which sending it answers
    bool forgotten = false;              ///< the receiver had more once: it has dropped what it had
  };

  /// `message` must outlive this; more than one fragment, and at most `max_large_message_bytes`.
  KADORO_DECL explicit outgoing_message(bytes_view message) noexcept;

  bool begun() const noexcept { return next_number_ > 0; }
  bool there() const noexcept { return arrived_ == all_; }
  std::size_t in_flight() const noexcept { return static_cast<std::size_t>(std::popcount(flying())); }
  /// Something is to be sent, and nothing is on its way: it is not the receiver who is silent.
  bool waits() const noexcept { return !there() && flying() == 0; }

  /// The next piece to send, marked as sent now. Nothing if there is none.
  KADORO_DECL std::optional<piece> next(time_point now) noexcept;

  /// What the receiver said. After `forgotten` nothing has changed: `start_over`.
  KADORO_DECL news on_arrived(std::uint64_t bitmap, std::uint16_t newest, time_point now) noexcept;

  /// A timeout: what is on its way is to be sent again. If all have arrived and the answer is missing, the last one is
  /// sent once more, for the receiver to notice. Returns how many are taken for lost.
  KADORO_DECL std::size_t presume_lost() noexcept;

  /// The receiver has only these.
  KADORO_DECL void start_over(std::uint64_t bitmap) noexcept;

 private:
  std::uint64_t flying() const noexcept { return all_ & ~arrived_ & ~to_send_; }

  bytes_view message_;
  std::uint8_t count_;
  std::uint64_t all_;
  std::uint64_t arrived_ = 0;
  std::uint64_t to_send_;
  std::uint32_t next_number_ = 0;
  std::int64_t newest_ = -1;  // the highest number that the receiver has named
  std::uint64_t sent_once_ = 0;
  std::array<std::uint16_t, max_fragments> numbers_{};  // of the last sending of each
  std::array<time_point, max_fragments> sent_at_{};
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/outgoing_message.ipp"
#endif
