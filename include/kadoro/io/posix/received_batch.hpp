#pragma once

#include <algorithm>
#include <new>
#include <span>
#include <type_traits>

#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// The longest message that UDP knows: what the kernel has joined is not longer either.
inline constexpr std::size_t max_message_bytes = 65536;

/// How far a message of the kernel has been taken apart.
struct message_cursor {
  std::size_t offset = 0;
  bool done = false;
};

/// Datagrams on their way to a receiver, views of messages of the kernel. What one wake-up brought may be more than
/// fits: messages are taken apart as far as there is room, and the rest follows in the next batch.
class received_batch {
 public:
  static constexpr std::size_t capacity = 128;
  static_assert(std::is_trivially_destructible_v<datagram>);  // a new one is made on top of the old

  std::span<datagram> datagrams() noexcept { return {datagrams_, size_}; }
  /// How many of these came in one message with others.
  std::size_t joined() const noexcept { return joined_; }
  bool empty() const noexcept { return size_ == 0; }
  bool full() const noexcept { return size_ == capacity; }
  void clear() noexcept { size_ = joined_ = 0; }

  /// Adds what is in `message` from `at` on, and moves `at` behind it. There must be room. `segment_bytes`: the size of
  /// each datagram but the last, or 0. `from` makes the endpoint. What is too long for a datagram is counted instead.
  template <class From>
  void add(From const& from, bytes_span message, std::size_t segment_bytes, message_cursor& at,
           udp_counters& counters) noexcept {
    if (segment_bytes == 0 || segment_bytes >= message.size()) {
      at.done = true;
      if (message.size() > max_datagram_bytes) {
        ++counters.truncated;
        return;
      }
      // In place: a copy of fields that were written just now would stall the processor (store forwarding).
      ::new (&datagrams_[size_++]) datagram{from(), message};
      return;
    }
    for (; at.offset < message.size() && !full(); at.offset += segment_bytes) {
      std::size_t const bytes = std::min(segment_bytes, message.size() - at.offset);
      if (bytes > max_datagram_bytes) {
        ++counters.truncated;
        continue;
      }
      ::new (&datagrams_[size_++]) datagram{from(), message.subspan(at.offset, bytes)};
      ++joined_;
    }
    at.done = at.offset >= message.size();
  }

  /// Counts what `add` would make of a message as not read.
  static void count_unread(std::size_t message_bytes, std::size_t segment_bytes, udp_counters& counters) noexcept {
    std::size_t const step = segment_bytes == 0 ? std::max<std::size_t>(message_bytes, 1) : segment_bytes;
    std::size_t offset = 0;
    do {
      ++(std::min(step, message_bytes - offset) > max_datagram_bytes ? counters.truncated : counters.dropped_unread);
      offset += step;
    } while (offset < message_bytes);
  }

 private:
  datagram datagrams_[capacity];
  std::size_t size_ = 0;
  std::size_t joined_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
