#pragma once

#include <algorithm>
#include <cassert>

#include "kadoro/transport/datagram/reassembly.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

inline std::vector<reassembly::entry>::iterator reassembly::find(frame_kind of, std::uint32_t id) noexcept {
  return std::find_if(open_.begin(), open_.end(), [of, id](entry const& e) { return e.of == of && e.id == id; });
}

inline std::vector<reassembly::entry>::const_iterator reassembly::find(frame_kind of, std::uint32_t id) const noexcept {
  return std::find_if(open_.begin(), open_.end(), [of, id](entry const& e) { return e.of == of && e.id == id; });
}

KADORO_DECL reassembly::outcome reassembly::add(fragment const& f, byte_budget& budget, time_point now,
                                                std::optional<std::uint64_t> range) {
  auto at = find(f.of, f.id);
  if (at != open_.end() && at->transmission != f.transmission) {
    if (f.transmission < at->transmission) return outcome::outdated;
    open_.erase(at);
    at = open_.end();
  }
  if (at == open_.end()) {
    if (size(f.of) == max_messages && !drop_stale(f.of, now)) return outcome::peer_full;
    byte_budget::share memory = budget.take(f.count * fragment_data_bytes, range);
    if (!memory) return outcome::full;
    at =
        open_.insert(open_.end(), entry{f.of, f.id, f.transmission, f.count, f.number, 0, f.count * fragment_data_bytes,
                                        bytes(f.count * fragment_data_bytes), std::move(memory), now, now});
  }
  if (at->count != f.count) return outcome::mismatch;
  at->newest = std::max(at->newest, f.number);
  std::uint64_t const bit = std::uint64_t{1} << f.index;
  if ((at->bitmap & bit) != 0) return outcome::repeated;
  std::copy(f.data.begin(), f.data.end(), at->data.begin() + static_cast<std::ptrdiff_t>(f.offset()));
  if (f.index + 1 == f.count) at->bytes_in_all = f.offset() + f.data.size();
  at->bitmap |= bit;
  at->last_new = now;
  return at->bitmap == fragments_arrived::all >> (max_fragments - f.count) ? outcome::whole : outcome::added;
}

KADORO_DECL fragments_arrived reassembly::arrived(fragment const& f) const {
  auto const at = find(f.of, f.id);
  assert(at != open_.end());
  return {f.of, f.id, f.transmission, at->bitmap, at->newest};
}

KADORO_DECL bytes reassembly::take(fragment const& f) {
  auto const at = find(f.of, f.id);
  assert(at != open_.end());
  bytes out = std::move(at->data);
  out.resize(at->bytes_in_all);
  open_.erase(at);
  return out;
}

KADORO_DECL void reassembly::drop(frame_kind of, std::uint32_t id) {
  auto const at = find(of, id);
  if (at != open_.end()) open_.erase(at);
}

KADORO_DECL std::size_t reassembly::expire(time_point now) {
  return std::erase_if(open_, [now](entry const& e) { return now - e.last_new >= idle_life || now - e.begun >= life; });
}

/// The peer does not send more at once than there is room for: one of these it has given up.
KADORO_DECL bool reassembly::drop_stale(frame_kind of, time_point now) {
  auto oldest = open_.end();
  for (auto at = open_.begin(); at != open_.end(); ++at)
    if (at->of == of && (oldest == open_.end() || at->last_new < oldest->last_new)) oldest = at;
  if (oldest == open_.end() || now - oldest->last_new < stale_after) return false;
  open_.erase(oldest);
  return true;
}

KADORO_DECL std::size_t reassembly::size(frame_kind of) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(open_.begin(), open_.end(), [of](entry const& e) { return e.of == of; }));
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
