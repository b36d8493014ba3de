#pragma once

#include "kadoro/transport/datagram/impl/link.hpp"

/// @file
/// Who gets how much of a datagram transport: sessions and requests under way.

namespace kadoro::inline KADORO_ABI::transport::datagram {

namespace detail {

/// The range of the address that is dialled first.
inline std::optional<std::uint64_t> dialled_range(peer const& who) noexcept {
  return who.addresses().empty() ? std::nullopt : who.addresses().front().range;
}

}  // namespace detail

/// Makes room for one more session of that address, or says why there is none. A first flight that nobody follows up
/// must not keep others out: where there are many unconfirmed ones, the oldest of them goes. Else the one that was idle
/// longest goes, if it was idle for `idle` at least. An address range that has its share makes room among its own.
KADORO_DECL std::optional<drop> datagram_transport::make_room_for_session(io::endpoint const& from, bool confirmed,
                                                                          duration idle) {
  auto const range = counted_range(from);
  bool const many_unconfirmed = !confirmed && unconfirmed_ranges_.of(range) >= max_unconfirmed_sessions_per_range;
  bool const range_full = many_unconfirmed || ranges_.of(range) >= max_sessions_per_range;
  bool const all_unconfirmed = unconfirmed_ >= max_unconfirmed_sessions;
  if (!range_full && !all_unconfirmed && sessions_.size() < max_sessions) return {};
  bool const spare_confirmed = range_full ? many_unconfirmed : all_unconfirmed;
  session* oldest = nullptr;
  for (auto& [index, s] : sessions_) {
    if ((range_full && s.range != range) || (spare_confirmed && s.confirmed)) continue;
    if (oldest == nullptr || s.last_received < oldest->last_received) oldest = &s;
  }
  if (!spare_confirmed && context_.now() - oldest->last_received < idle)
    return range_full ? drop::sessions_range_full : drop::sessions_full;
  give_way(*oldest);
  return make_room_for_session(from, confirmed, idle);
}

KADORO_DECL void datagram_transport::give_way(session& s) {
  link& loser = link_of(s.peer);
  close_session(s);
  drop_link_if_idle(loser);
}

/// One peer, or one range, that does not answer must not take the places of all requests.
KADORO_DECL std::optional<error> datagram_transport::too_many_requests_to(peer const& who) const {
  bool const peer_full = who.under_way >= max_requests_per_peer;
  if (!peer_full && request_ranges_.of(detail::dialled_range(who)) < max_requests_per_range) return {};
  return error(errc::queue_full,
               who.id().to_string() + ": " +
                   (peer_full ? std::to_string(max_requests_per_peer) + " requests to it"
                              : std::to_string(max_requests_per_range) + " requests to its range of addresses") +
                   " are under way already");
}

/// The refusal of a peer that has asked for a pause stands until that is over, without asking it again. But for pings:
/// whether it lives is not to be learned that way. And for pushes: a peer that refuses one knows that it lacks
/// something.
KADORO_DECL std::optional<message> datagram_transport::still_paused(peer const& who, message const& what) {
  if (what.type == message_type::ping || what.type == message_type::push) return {};
  duration const left = who.pause_left(work_of(what.type), context_.now());
  if (left == duration::zero()) return {};
  ++counts_.requests_held_back;
  message told;
  told.type = what.type;
  told.refusal = errc::refused_rate;
  told.retry_after_ms = static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
  return told;
}

KADORO_DECL void datagram_transport::count_request(pending& p) {
  p.range = detail::dialled_range(*p.to);
  request_ranges_.add(p.range);
  ++p.to->under_way;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
