#pragma once

#include <algorithm>

#include "kadoro/kad/watcher_table.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL std::optional<errc> watcher_table::watch(bytes_view key, peer_ref const& who, std::uint64_t known,
                                                     std::vector<peer_id> const& publishers, std::uint64_t start,
                                                     time_point now) {
  auto at = logs_.find(key);
  place_of* w = find(key, who->id());
  if (w == nullptr) {
    auto const range = transport::proved_range(*who);
    if (!has_room(at == logs_.end(), who->id(), range)) return errc::refused_full;
    if (at == logs_.end()) {
      at = logs_.emplace(to_bytes(key), log()).first;
      at->second.head = at->second.oldest = start;
      for (peer_id const& publisher : publishers) add_change(at->second, publisher, true);
    }
    w = &at->second.watchers[who->id()];
    w->who = who;
    w->range = range;
    per_range_.add(range);
    ++watches_;
    ++per_peer_[who->id()];
    ++counters_.accepted;
  } else {
    ++counters_.renewed;
  }
  w->asked = ++questions_;
  w->pushes = 0;
  w->until = now + life;
  w->place = known >= at->second.oldest && known <= at->second.head ? known : 0;
  if (w->place != at->second.head) changed_.push_back(at->first);
  return std::nullopt;
}

KADORO_DECL bool watcher_table::has_room(bool new_key, peer_id const& watcher, std::optional<std::uint64_t> range) {
  auto const theirs = per_peer_.find(watcher);
  bool const peer_full = theirs != per_peer_.end() && theirs->second >= limits_.max_watches_per_peer;
  bool const range_full = range && per_range_.of(range) >= limits_.max_watches_per_range;
  bool const full = watches_ >= limits_.max_watches || (new_key && logs_.size() >= limits_.max_watched_keys);
  if (!peer_full && !range_full && !full) return true;
  ++counters_.refused_full;
  if (peer_full) ++counters_.refused_full_peer;
  if (range_full) ++counters_.refused_full_range;
  return false;
}

KADORO_DECL void watcher_table::on_change(bytes_view key, peer_id const& publisher, bool live) {
  auto const at = logs_.find(key);
  if (at == logs_.end()) return;
  add_change(at->second, publisher, live);
  changed_.push_back(at->first);
}

KADORO_DECL void watcher_table::add_change(log& to, peer_id const& publisher, bool live) {
  auto const [at, added] = to.last.try_emplace(publisher, 0, true);
  if (!added) {
    to.changes.erase(at->second.first);
    if (!at->second.second) --to.ended;
  }
  at->second = {++to.head, live};
  to.changes.emplace(to.head, publisher);
  if (live) return;
  if (++to.ended <= limits_.max_ended_per_key) return;
  // What ended longest ago is forgotten. Who was not told of it yet gets everything, and so knows what is left.
  auto const oldest =
      std::find_if(to.changes.begin(), to.changes.end(), [&to](auto const& c) { return !to.last.at(c.second).second; });
  to.oldest = oldest->first;
  to.last.erase(oldest->second);
  to.changes.erase(oldest);
  --to.ended;
}

KADORO_DECL std::optional<watcher_table::changes> watcher_table::next(bytes_view key, peer_id const& watcher,
                                                                      std::size_t max) const {
  auto const at = logs_.find(key);
  if (at == logs_.end()) return std::nullopt;
  auto const w = at->second.watchers.find(watcher);
  if (w == at->second.watchers.end() || w->second.place == at->second.head) return std::nullopt;
  changes out;
  out.since = w->second.place >= at->second.oldest ? w->second.place : 0;
  out.head = at->second.head;
  auto change = at->second.changes.upper_bound(out.since);
  for (; change != at->second.changes.end() && out.publishers.size() < max; ++change) out.publishers.push_back(*change);
  return out;
}

KADORO_DECL void watcher_table::told(bytes_view key, peer_id const& watcher, std::uint64_t number) {
  if (auto* const w = find(key, watcher)) w->place = number;
}

KADORO_DECL std::vector<watcher_table::push> watcher_table::take_due() {
  std::vector<push> due;
  for (kadoro::bytes const& key : std::exchange(changed_, {})) {
    auto const at = logs_.find(key);
    if (at == logs_.end()) continue;
    for (auto& [id, w] : at->second.watchers) {
      if (w.pushes == max_pushes || w.place == at->second.head) continue;
      ++w.pushes;
      due.push_back({key, w.who, w.asked});
    }
  }
  return due;
}

KADORO_DECL bool watcher_table::push_ended(push const& which) {
  auto* const w = find(which);
  if (w == nullptr || w->pushes == 0) return false;
  if (w->place != logs_.find(which.key)->second.head) return true;
  --w->pushes;
  return false;
}

KADORO_DECL void watcher_table::push_failed(push const& which) {
  if (find(which) == nullptr) return;
  ++counters_.dropped;
  erase(logs_.find(which.key), which.to->id());
}

KADORO_DECL void watcher_table::drop_all(peer_id const& watcher) {
  if (!per_peer_.contains(watcher)) return;
  for (auto at = logs_.begin(); at != logs_.end();) {
    if (!at->second.watchers.contains(watcher)) {
      ++at;
      continue;
    }
    ++counters_.dropped;
    at = erase(at, watcher);
  }
}

KADORO_DECL void watcher_table::expire(time_point now) {
  for (auto at = logs_.begin(); at != logs_.end();) {
    std::vector<peer_id> over;
    for (auto const& [id, w] : at->second.watchers)
      if (w.until <= now) over.push_back(id);
    counters_.lapsed += over.size();
    auto next = std::next(at);
    for (peer_id const& id : over) next = erase(at, id);
    at = next;
  }
}

/// The one behind `in`. Nobody keeps a log that nobody reads.
KADORO_DECL watcher_table::log_map::iterator watcher_table::erase(log_map::iterator in, peer_id const& watcher) {
  auto const who = in->second.watchers.find(watcher);
  per_range_.remove(who->second.range);
  in->second.watchers.erase(who);
  --watches_;
  auto const theirs = per_peer_.find(watcher);
  if (--theirs->second == 0) per_peer_.erase(theirs);
  auto const next = std::next(in);
  if (in->second.watchers.empty()) logs_.erase(in);
  return next;
}

KADORO_DECL watcher_table::place_of* watcher_table::find(bytes_view key, peer_id const& who) {
  auto const at = logs_.find(key);
  if (at == logs_.end()) return nullptr;
  auto const w = at->second.watchers.find(who);
  return w == at->second.watchers.end() ? nullptr : &w->second;
}

/// Null also if it has asked again since.
KADORO_DECL watcher_table::place_of* watcher_table::find(push const& which) {
  auto* const w = find(which.key, which.to->id());
  return w != nullptr && w->asked == which.asked ? w : nullptr;
}

}  // namespace kadoro::inline KADORO_ABI::kad
