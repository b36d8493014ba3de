#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <tuple>
#include <utility>

#include "kadoro/kad/routing_table.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

inline std::size_t count_range(std::vector<contact> const& in, std::uint64_t range) {
  return static_cast<std::size_t>(
      std::count_if(in.begin(), in.end(), [range](contact const& c) { return c.range == range; }));
}

}  // namespace detail

KADORO_DECL routing_table::routing_table(peer_id const& self, table_options options)
    : options_(options), self_(key::of(self)) {}

KADORO_DECL routing_table::contacts_iterator routing_table::find(std::vector<contact>& in, peer_ref const& who) {
  return std::find_if(in.begin(), in.end(), [&who](contact const& c) { return c.peer == who; });
}

/// Whether a contact of that range may come in once `leaving`, if any, has left.
KADORO_DECL bool routing_table::range_allows(bucket const& in, std::optional<std::uint64_t> range,
                                             contact const* leaving) const {
  if (!range) return true;
  std::size_t const freed = leaving != nullptr && leaving->range == range ? 1 : 0;
  auto const table = per_range_.find(*range);
  std::size_t const in_table = table == per_range_.end() ? 0 : table->second;
  return detail::count_range(in.contacts, *range) - freed < options_.max_per_range_in_bucket &&
         in_table - freed < options_.max_per_range_in_table;
}

KADORO_DECL void routing_table::add(bucket& to, contact what) {
  if (what.range) ++per_range_[*what.range];
  what.suspect = false;
  to.contacts.push_back(std::move(what));
  ++size_;
}

KADORO_DECL void routing_table::erase(bucket& from, contacts_iterator at) {
  if (at->range) {
    auto const count = per_range_.find(*at->range);
    if (--count->second == 0) per_range_.erase(count);
  }
  from.contacts.erase(at);
  --size_;
  ++counters_.removed;
}

/// Fills the place that became free: of the replacements whose range has room, by those that answered last time, the
/// one with the shortest round trip, and of several the newest.
KADORO_DECL void routing_table::promote(bucket& in) {
  auto const rank = [](contact const& c) {
    bool const known = c.peer->rtt.known();
    return std::tuple(c.peer->unanswered > 0, !known, known ? c.peer->rtt.smoothed() : duration::zero());
  };
  auto best = in.replacements.end();
  for (auto at = in.replacements.begin(); at != in.replacements.end(); ++at)
    if (range_allows(in, at->range, nullptr) && (best == in.replacements.end() || rank(*at) <= rank(*best))) best = at;
  if (best == in.replacements.end()) return;
  add(in, std::move(*best));
  in.replacements.erase(best);
  ++counters_.promoted;
}

KADORO_DECL insert_result routing_table::insert(peer_ref const& who, time_point now) {
  key const id(who->hash());
  int const index = bucket_of(id);
  if (index == key::bits || who->mode == transport::peer_mode::client) {
    remove(who);  // a server that became a client is no contact any more
    ++counters_.rejected_other;
    return insert_result::rejected;
  }
  bucket& in = buckets_[index];
  if (auto const known = find(in.contacts, who); known != in.contacts.end()) {
    refresh(in.contacts, known, now);
    return insert_result::refreshed;
  }

  contact made{who, id, now, false, transport::proved_range(*who)};
  auto const suspect = std::find_if(in.contacts.begin(), in.contacts.end(), [](contact const& c) { return c.suspect; });
  bool const full = in.contacts.size() >= options_.k;
  bool const displaces = full && suspect != in.contacts.end();
  if (!range_allows(in, made.range, displaces ? &*suspect : nullptr)) {
    ++counters_.rejected_range;
    return insert_result::rejected;
  }
  auto const waiting = find(in.replacements, who);
  if (!full || displaces) {
    if (waiting != in.replacements.end()) in.replacements.erase(waiting);
    if (displaces) erase(in, suspect);
    add(in, std::move(made));
    return insert_result::added;
  }
  if (waiting != in.replacements.end()) {
    in.replacements.erase(waiting);
  } else if (made.range && detail::count_range(in.replacements, *made.range) >= options_.max_per_range_in_bucket) {
    ++counters_.rejected_range;
    return insert_result::rejected;
  } else if (in.replacements.size() >= options_.k) {
    in.replacements.erase(in.replacements.begin());
    ++counters_.replacements_dropped;
  }
  in.replacements.push_back(std::move(made));
  return insert_result::pending;
}

KADORO_DECL std::optional<peer_ref> routing_table::eviction_candidate(peer_ref const& who) const {
  auto const at = buckets_.find(bucket_of(key(who->hash())));
  if (at == buckets_.end() || at->second.contacts.size() < options_.k) return std::nullopt;
  if (contains(who)) return std::nullopt;
  return at->second.contacts.front().peer;
}

KADORO_DECL bool routing_table::on_failed(peer_ref const& who) {
  auto const at = buckets_.find(bucket_of(key(who->hash())));
  if (at == buckets_.end()) return true;
  bucket& in = at->second;
  auto const found = find(in.contacts, who);
  if (found == in.contacts.end()) {
    auto const waiting = find(in.replacements, who);
    if (waiting != in.replacements.end()) in.replacements.erase(waiting);
    return true;
  }
  bool const replaceable = std::any_of(in.replacements.begin(), in.replacements.end(),
                                       [&](contact const& c) { return range_allows(in, c.range, &*found); });
  if (!found->suspect && !replaceable) {
    found->suspect = true;
    return false;
  }
  erase(in, found);
  promote(in);
  return true;
}

KADORO_DECL void routing_table::on_alive(peer_ref const& who, time_point now) {
  auto const at = buckets_.find(bucket_of(key(who->hash())));
  if (at == buckets_.end()) return;
  for (std::vector<contact>* list : {&at->second.contacts, &at->second.replacements}) {
    auto const found = find(*list, who);
    if (found == list->end()) continue;
    return refresh(*list, found, now);
  }
}

KADORO_DECL void routing_table::refresh(std::vector<contact>& in, contacts_iterator at, time_point now) {
  at->last_seen = now;
  at->suspect = false;
  std::rotate(at, at + 1, in.end());
}

KADORO_DECL void routing_table::remove(peer_ref const& who) {
  auto const at = buckets_.find(bucket_of(key(who->hash())));
  if (at == buckets_.end()) return;
  bucket& in = at->second;
  auto const waiting = find(in.replacements, who);
  if (waiting != in.replacements.end()) in.replacements.erase(waiting);
  auto const found = find(in.contacts, who);
  if (found == in.contacts.end()) return;
  erase(in, found);
  promote(in);
}

/// Appends the contacts of one bucket to `found_` in order, until that has `n`. Contacts of bucket `index` have their
/// first `index` + 1 bits in common; the next ones are as good as random. So these say in which of 64 slots a contact
/// belongs, and the few that share one are compared.
KADORO_DECL void routing_table::sort(key const& target, int index, bucket const& from, std::size_t n) const {
  int const shift = std::min(index + 1, 64 - 6);
  std::uint64_t used = 0;
  std::array<std::int32_t, slots> first;
  order_.resize(std::max(order_.size(), from.contacts.size()));
  for (std::size_t i = 0; i < from.contacts.size(); ++i) {
    placed& p = order_[i];
    p.who = &from.contacts[i];
    p.distance = target.leading_distance(p.who->id);
    std::size_t const slot = static_cast<std::size_t>(p.distance << shift >> (64 - 6));
    std::int32_t* at = &first[slot];
    if ((used >> slot & 1) == 0) *at = -1;
    used |= std::uint64_t{1} << slot;
    for (; *at >= 0; at = &order_[static_cast<std::size_t>(*at)].next) {
      placed const& other = order_[static_cast<std::size_t>(*at)];
      if (p.distance < other.distance || (p.distance == other.distance && target.closer(p.who->id, other.who->id)))
        break;
    }
    p.next = *at;
    *at = static_cast<std::int32_t>(i);
  }
  for (; used != 0 && found_.size() < n; used &= used - 1) {
    std::int32_t at = first[static_cast<std::size_t>(std::countr_zero(used))];
    for (; at >= 0 && found_.size() < n; at = order_[static_cast<std::size_t>(at)].next)
      found_.push_back(order_[static_cast<std::size_t>(at)].who);
  }
}

KADORO_DECL std::span<contact const* const> routing_table::nearest(key const& target, std::size_t n) const {
  found_.clear();
  // Takes one bucket, whose contacts are all closer than those of the buckets after it. False once there are `n`.
  auto const take = [&](auto const& entry) {
    sort(target, entry.first, entry.second, n);
    return found_.size() < n;
  };

  // With p the prefix that target and self share, bucket p agrees with the target in one bit more than all others.
  int const p = bucket_of(target);
  auto const home = buckets_.lower_bound(p);
  bool const lives = home != buckets_.end() && home->first == p;
  if (lives && !take(*home)) return found_;
  // A deeper bucket i agrees with self up to bit i and differs there, and all that are deeper still agree with self in
  // bit i. So i comes before them if the target differs from self in bit i, and after them if not.
  auto const deeper = lives ? std::next(home) : home;
  for (auto at = deeper; at != buckets_.end(); ++at)
    if (target.bit(at->first) != self_.bit(at->first) && !take(*at)) return found_;
  for (auto at = buckets_.end(); at != deeper;) {
    --at;
    if (target.bit(at->first) == self_.bit(at->first) && !take(*at)) return found_;
  }
  // The others leave the target's prefix early: the later, the closer.
  for (auto at = home; at != buckets_.begin();) {
    --at;
    if (!take(*at)) break;
  }
  return found_;
}

KADORO_DECL void routing_table::closest(key const& target, std::size_t n, std::vector<contact>& out) const {
  out.clear();
  for (contact const* const c : nearest(target, n)) out.push_back(*c);
}

KADORO_DECL bool routing_table::contains(peer_ref const& who) const {
  auto const at = buckets_.find(bucket_of(key(who->hash())));
  if (at == buckets_.end()) return false;
  auto const& in = at->second.contacts;
  return std::any_of(in.begin(), in.end(), [&who](contact const& c) { return c.peer == who; });
}

KADORO_DECL void routing_table::touch(int index, time_point now) {
  if (index >= 0 && index < key::bits) buckets_[index].last_lookup = now;
}

KADORO_DECL std::vector<int> routing_table::buckets_to_refresh(time_point now, duration interval) const {
  int deepest = -1;
  for (auto const& [index, in] : buckets_)
    if (!in.contacts.empty()) deepest = index;
  std::vector<int> due;
  for (int index = 0; index <= deepest; ++index) {
    auto const at = buckets_.find(index);
    bool const looked = at != buckets_.end() && at->second.last_lookup;
    if (!looked || now - *at->second.last_lookup >= interval) due.push_back(index);
  }
  return due;
}

KADORO_DECL std::vector<bucket_status> routing_table::status() const {
  std::vector<bucket_status> out;
  for (auto const& [index, in] : buckets_) {
    if (in.contacts.empty() && in.replacements.empty()) continue;
    auto const suspects =
        std::count_if(in.contacts.begin(), in.contacts.end(), [](auto const& c) { return c.suspect; });
    out.push_back(
        {index, in.contacts.size(), static_cast<std::size_t>(suspects), in.replacements.size(), in.last_lookup});
  }
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::kad
