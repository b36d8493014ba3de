#pragma once

#include <algorithm>
#include <cassert>
#include <limits>

#include "kadoro/transport/datagram/outgoing_message.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

KADORO_DECL outgoing_message::outgoing_message(bytes_view message) noexcept
    : message_(message),
      count_(static_cast<std::uint8_t>((message.size() + fragment_data_bytes - 1) / fragment_data_bytes)),
      all_(fragments_arrived::all >> (max_fragments - count_)),
      to_send_(all_) {
  assert(message.size() > fragment_data_bytes && message.size() <= max_large_message_bytes);
}

KADORO_DECL std::optional<outgoing_message::piece> outgoing_message::next(time_point now) noexcept {
  if (to_send_ == 0 || next_number_ > std::numeric_limits<std::uint16_t>::max()) return {};
  auto const index = static_cast<std::uint8_t>(std::countr_zero(to_send_));
  std::uint64_t const bit = std::uint64_t{1} << index;
  piece out;
  out.index = index;
  out.count = count_;
  out.number = static_cast<std::uint16_t>(next_number_++);
  std::size_t const offset = index * fragment_data_bytes;
  out.data = message_.subspan(offset, std::min(fragment_data_bytes, message_.size() - offset));
  out.again = (sent_once_ & bit) != 0;
  to_send_ &= ~bit;
  sent_once_ |= bit;
  numbers_[index] = out.number;
  sent_at_[index] = now;
  return out;
}

KADORO_DECL outgoing_message::news outgoing_message::on_arrived(std::uint64_t bitmap, std::uint16_t newest,
                                                                time_point now) noexcept {
  news out;
  if (newest >= next_number_) return out;  // it speaks of what was never sent
  bool const latest = newest > newest_;
  bitmap &= all_;
  if (latest && (arrived_ & ~bitmap) != 0) {
    out.forgotten = true;
    return out;
  }
  std::uint64_t const fresh = bitmap & ~arrived_;
  if (latest) {
    newest_ = newest;
    for (std::size_t i = 0; i < count_; ++i)
      if ((fresh >> i & 1) != 0 && numbers_[i] == newest) out.round_trip = now - sent_at_[i];
  }
  arrived_ |= fresh;
  to_send_ &= ~fresh;
  out.arrived = static_cast<std::size_t>(std::popcount(fresh));
  std::uint64_t const open = flying();
  for (std::size_t i = 0; i < count_; ++i) {
    if ((open >> i & 1) == 0 || numbers_[i] + newer_that_tell > newest_) continue;
    to_send_ |= std::uint64_t{1} << i;
    ++out.lost;
  }
  return out;
}

KADORO_DECL std::size_t outgoing_message::presume_lost() noexcept {
  std::size_t const lost = in_flight();
  to_send_ |= there() ? std::uint64_t{1} << (count_ - 1) : flying();
  return lost;
}

KADORO_DECL void outgoing_message::start_over(std::uint64_t bitmap) noexcept {
  arrived_ = bitmap & all_;
  to_send_ = all_ & ~arrived_;
  newest_ = std::int64_t{next_number_} - 1;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
