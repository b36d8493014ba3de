#pragma once

#include <algorithm>

#include "kadoro/kad/membership.hpp"
#include "kadoro/kad/range_quota.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

inline std::uint64_t share_of_view(crypto::digest const& hash) noexcept { return load_be<std::uint64_t>(hash.data()); }

}  // namespace detail

KADORO_DECL membership::membership(peer_id const& self, bool server, table_options const& limits)
    : server_(server), limits_(limits) {
  if (server) digest_ = detail::share_of_view(crypto::sha256(self.bytes()));
}

KADORO_DECL bool membership::add(peer_ref const& who) {
  if (members_.contains(who->id())) return false;
  auto const range = transport::proved_range(*who);
  if (members_.size() == max_size() || (range && ranges_.of(range) >= limits_.max_per_range_in_table)) {
    overflow_ = true;
    ++turned_away_;
    return false;
  }
  members_[who].range = range;
  ranges_.add(range);
  digest_ ^= detail::share_of_view(who->hash());
  return true;
}

KADORO_DECL bool membership::remove(peer_id const& who) {
  auto const at = members_.find(who);
  if (at == members_.end()) return false;
  digest_ ^= detail::share_of_view(at->first->hash());
  ranges_.remove(at->second.range);
  members_.erase(at);
  if (members_.size() < max_size() / 2) overflow_ = false;  // those that found no room will be met again
  return true;
}

KADORO_DECL std::uint64_t membership::view() const noexcept { return server_ && !overflow_ ? digest_ | 1 : 0; }

KADORO_DECL bool membership::heard(peer_id const& who, std::uint64_t view) {
  auto const at = members_.find(who);
  if (at == members_.end() || at->second.heard == view) return false;
  at->second.heard = view;
  return view != this->view();
}

KADORO_DECL void membership::told(peer_id const& who, std::uint64_t view) {
  auto const at = members_.find(who);
  if (at != members_.end()) at->second.told = view;
}

KADORO_DECL peer_list membership::untold() const {
  peer_list out;
  if (view() == 0) return out;
  for (auto const& [who, m] : members_)
    if (m.told != view()) out.push_back(who);
  return out;
}

KADORO_DECL peer_list membership::all() const {
  peer_list out;
  out.reserve(members_.size());
  for (auto const& [who, m] : members_) out.push_back(who);
  return out;
}

KADORO_DECL peer_list membership::take_turn(std::size_t n) {
  peer_list out;
  auto at = members_.upper_bound(turn_);
  while (out.size() < std::min(n, members_.size())) {
    if (at == members_.end()) at = members_.begin();
    turn_ = at->first->id();
    out.push_back((at++)->first);
  }
  return out;
}

KADORO_DECL peer_ref membership::take_differing() {
  std::uint64_t const ours = view();
  if (ours == 0) return {};
  auto at = members_.upper_bound(differed_);
  for (std::size_t i = 0; i < members_.size(); ++i, ++at) {
    if (at == members_.end()) at = members_.begin();
    if (at->second.heard == 0 || at->second.heard == ours) continue;
    differed_ = at->first->id();
    return at->first;
  }
  return {};
}

KADORO_DECL bool membership::complete() const noexcept {
  std::uint64_t const ours = view();
  return ours != 0 && !members_.empty() &&
         std::all_of(members_.begin(), members_.end(), [ours](auto const& m) { return m.second.heard == ours; });
}

KADORO_DECL peer_list membership::closest(key const& where, std::size_t n) const {
  peer_list out = all();
  std::sort(out.begin(), out.end(),
            [&where](peer_ref const& a, peer_ref const& b) { return where.closer(key(a->hash()), key(b->hash())); });
  return spread_over_ranges(out, n, limits_.max_per_range_in_bucket,
                            [](peer_ref const& p) { return transport::proved_range(*p); });
}

}  // namespace kadoro::inline KADORO_ABI::kad
