#pragma once

#include <algorithm>

#include "kadoro/kad/impl/watched_key.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

KADORO_DECL void watched_key::on_record(peer_id const& by, std::uint64_t round, record what, duration remaining,
                                        time_point now) {
  if (what.provides()) return;  // no value: it says who has one
  if (!has_room_for(by, what)) return;
  auto const at = entries_.try_emplace(what.publisher).first;
  entry& e = at->second;
  if (what.sequence < e.what.sequence) {
    e.outranks_some = true;
    return withdraw_voucher(at, by, false, now);
  }
  bool const newer = is_newer(what, e);
  if (newer) {
    count_bytes(e, false);
    e.what = std::move(what);
    e.told_by = by;
    count_bytes(e, true);
    e.vouchers.clear();
    e.expires = time_point();
    e.outranks_some = false;
    ++e.version;
  }
  e.vouchers[by] = round;
  e.expires = std::max(e.expires, now + remaining);
  unsure_.erase(at->first);
  if (!newer && e.live) return;
  e.live = !e.what.tombstone();
  if (!e.live) return end(at, now);
  tell_readers(at->first);
}

KADORO_DECL void watched_key::on_ended(peer_id const& by, peer_id const& publisher, time_point now) {
  auto const at = entries_.find(publisher);
  if (at != entries_.end()) withdraw_voucher(at, by, true, now);
}

KADORO_DECL void watched_key::on_told_all(peer_id const& by, std::uint64_t round, time_point now) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    auto const here = at++;
    auto const word = here->second.vouchers.find(by);
    if (word != here->second.vouchers.end() && word->second < round) withdraw_voucher(here, by, true, now);
  }
}

KADORO_DECL void watched_key::on_holder_lost(peer_id const& by, time_point now) {
  for (auto at = entries_.begin(); at != entries_.end();) withdraw_voucher(at++, by, false, now);
}

/// `ended`: it has the record no longer. Then those who still vouch for it are asked, since they may be dead.
KADORO_DECL void watched_key::withdraw_voucher(std::map<peer_id, entry>::iterator at, peer_id const& by, bool ended,
                                               time_point now) {
  entry& e = at->second;
  if (e.vouchers.erase(by) == 0 || !e.live) return;
  if (!e.vouchers.empty()) {
    for (auto const& [voucher, round] : e.vouchers) {
      auto const h = holders.find(voucher);
      if (ended && h != holders.end() && h->second.now == holder::state::telling) h->second.again = true;
    }
    return;
  }
  bool const others_know =
      std::any_of(holders.begin(), holders.end(), [&by](auto const& h) { return h.second.complete && h.first != by; });
  if (ended)
    e.expires = now;
  else if (!others_know)
    e.expires = std::max(e.expires, now + grace);
  if (e.expires <= now) return end(at, now);
  unsure_.insert(at->first);
}

/// Nobody has it any more, or its publisher has withdrawn it. An old copy does not bring it back soon.
KADORO_DECL void watched_key::end(std::map<peer_id, entry>::iterator at, time_point now) {
  entry& e = at->second;
  e.live = false;
  e.forget = now + memory_of(e.what.lifetime_max);
  e.vouchers.clear();
  unsure_.insert(at->first);
  tell_readers(at->first);
}

KADORO_DECL bool watched_key::expire(time_point now) {
  bool ask_anew = false;
  for (auto next = unsure_.begin(); next != unsure_.end();) {
    auto const at = entries_.find(*next++);
    entry& e = at->second;
    if (e.live) {
      if (e.expires <= now) end(at, now);
    } else if (e.forget <= now) {
      ask_anew = ask_anew || e.outranks_some;
      count_bytes(e, false);
      unsure_.erase(at->first);
      entries_.erase(at);
    }
  }
  if (!ask_anew) return false;
  for (auto& [id, h] : holders) {
    if (h.now == holder::state::telling) h.known = 0;
    h.again = true;
  }
  return true;
}

KADORO_DECL bool watched_key::has_room_for(peer_id const& by, record const& what) {
  auto const at = entries_.find(what.publisher);
  bool const known = at != entries_.end();
  if (known && !is_newer(what, at->second)) return true;
  auto const told = bytes_told_by_.find(by);
  std::size_t of_one = told == bytes_told_by_.end() ? 0 : told->second;
  std::size_t of_all = bytes_;
  if (known) of_all -= at->second.what.value.size();
  if (known && at->second.told_by == by) of_one -= at->second.what.value.size();
  std::size_t const more = what.value.size();
  bool const room = more == 0 || (of_one + more <= max_bytes_of_one && of_all + more <= max_bytes);
  if (room && (known || entries_.size() < max_publishers)) return true;
  ++dropped;
  return false;
}

KADORO_DECL void watched_key::count_bytes(entry& e, bool more) {
  std::size_t const size = e.what.value.size();
  if (size == 0) return;
  std::size_t& told = bytes_told_by_[e.told_by];
  bytes_ = more ? bytes_ + size : bytes_ - size;
  told = more ? told + size : told - size;
  if (told == 0) bytes_told_by_.erase(e.told_by);
}

KADORO_DECL bool watched_key::knows(record const& what) const {
  auto const at = entries_.find(what.publisher);
  return at != entries_.end() && at->second.version > 0 && at->second.what == what;
}

KADORO_DECL void watched_key::learn(peer_ref const& who) {
  auto const at = std::lower_bound(near.begin(), near.end(), who, [this](peer_ref const& a, peer_ref const& b) {
    return where.closer(kad::key(a->hash()), kad::key(b->hash()));
  });
  if (at != near.end() && *at == who) return;
  near.insert(at, who);
  if (near.size() > max_near) near.pop_back();
}

// ---- readers --------------------------------------------------------------------------------------------------------

KADORO_DECL void watched_key::add_reader(std::shared_ptr<watch::state> const& who) {
  readers_.push_back(who);
  for (auto const& [publisher, e] : entries_) {
    if (!e.live) continue;
    who->queued.insert(publisher);
    who->queue.push_back(publisher);
  }
  if (!who->queue.empty()) who->news.set();
}

/// False if nobody is left.
KADORO_DECL bool watched_key::drop_closed_readers() {
  std::erase_if(readers_, [](std::weak_ptr<watch::state> const& r) {
    auto const reader = r.lock();
    return !reader || reader->closed;
  });
  return !readers_.empty();
}

KADORO_DECL void watched_key::close_readers() {
  for (std::weak_ptr<watch::state> const& r : readers_) {
    auto const reader = r.lock();
    if (!reader) continue;
    reader->closed = true;
    reader->news.set();
  }
}

KADORO_DECL void watched_key::tell_readers(peer_id const& publisher) {
  ++changes_;
  for (std::weak_ptr<watch::state> const& r : readers_) {
    auto const reader = r.lock();
    if (!reader || reader->closed || !reader->queued.insert(publisher).second) continue;
    reader->queue.push_back(publisher);
    reader->news.set();
  }
}

KADORO_DECL std::optional<watch_event> watched_key::take(watch::state& reader, time_point now) const {
  while (!reader.queue.empty()) {
    peer_id const publisher = std::move(reader.queue.front());
    reader.queue.pop_front();
    reader.queued.erase(publisher);
    auto const at = entries_.find(publisher);
    auto const told = reader.told.find(publisher);
    bool const lives = at != entries_.end() && at->second.live;
    watch_event e;
    if (at != entries_.end()) {
      e.found.value = at->second.what;
      e.found.remaining = std::max(duration::zero(), at->second.expires - now);
      e.found.holders = at->second.vouchers.size();
    }
    if (lives) {
      if (told == reader.told.end()) {
        e.what = watch_event::kind::add;
      } else {
        if (told->second == at->second.version) continue;  // it went, and came back unread
        e.what = watch_event::kind::change;
      }
      reader.told[publisher] = at->second.version;
      return e;
    }
    if (told == reader.told.end()) continue;  // it came and went unread
    reader.told.erase(told);
    e.what = at != entries_.end() && at->second.what.tombstone() ? watch_event::kind::gone : watch_event::kind::expire;
    if (at == entries_.end()) e.found.value.publisher = publisher;  // read so late that it is forgotten
    return e;
  }
  return std::nullopt;
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
