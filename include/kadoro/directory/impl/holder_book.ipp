#pragma once

#include <algorithm>
#include <cassert>

#include "kadoro/directory/holder_book.hpp"

namespace kadoro::inline KADORO_ABI::directory {

KADORO_DECL holder_book::holder_book(std::uint32_t total_shards, limits bounds, directory_observer* observer)
    : total_shards_(total_shards), limits_(bounds), observer_(observer), listed_(total_shards) {
  assert(total_shards >= 1 && total_shards <= max_shards);
}

KADORO_DECL void holder_book::emit(directory_event::kind what, entry const& e, directory_event::loss reason) {
  if (observer_ != nullptr) observer_->on_directory_event({what, e.shard, e.peer->id(), reason});
}

KADORO_DECL void holder_book::emit(directory_event::kind what) {
  if (observer_ != nullptr) observer_->on_directory_event({what, 0, {}, directory_event::loss::none});
}

KADORO_DECL void holder_book::set_own(std::uint32_t shard, bool loaded, time_point now) {
  assert(shard < total_shards_);
  if (own_shard_ != shard) own_since_ = now;
  own_shard_ = shard;
  own_loaded_ = loaded;
}

KADORO_DECL void holder_book::clear_own() {
  own_shard_.reset();
  own_details_.reset();
}

KADORO_DECL holder_book::entry* holder_book::find(peer_id const& who) noexcept {
  auto const at = entries_.find(who);
  return at == entries_.end() ? nullptr : &at->second;
}

KADORO_DECL bool holder_book::known(std::uint32_t shard) const noexcept {
  return listed_[shard] > 0 || own_shard_ == shard;
}

/// The entry of `who`, if there is room for one more holder of `shard`.
KADORO_DECL holder_book::entry* holder_book::admit(peer_ref const& who, std::uint32_t shard) {
  entry* const known = find(who->id());
  bool const counted = known != nullptr && known->listed() && known->shard == shard;
  if (!counted && listed_[shard] >= limits_.max_holders_per_shard) {
    ++counters_.refused_full;
    return nullptr;
  }
  if (known != nullptr) return known;
  entry& fresh = entries_[who->id()];
  fresh.peer = who;
  ++withdrawn_;  // until it is listed
  return &fresh;
}

/// False for an older sequence than what is known of that slot.
KADORO_DECL bool holder_book::extend(slot& what, std::uint64_t sequence, time_point expires) {
  if (sequence < what.sequence) return false;
  what.expires = what.live && sequence == what.sequence ? std::max(what.expires, expires) : expires;
  what.sequence = sequence;
  what.live = true;
  return true;
}

KADORO_DECL bool holder_book::list(entry& e, bool was_listed, std::uint32_t shard, bool loaded, time_point now) {
  bool news = e.loaded != loaded;
  if (was_listed && e.shard != shard) {  // it holds another one now
    --listed_[e.shard];
    ++withdrawn_;
    emit(directory_event::kind::lost, e, directory_event::loss::withdrawn);
    e.details.reset();
    was_listed = false;
  }
  e.loaded = loaded;
  if (!was_listed) {
    e.shard = shard;
    e.since = now;
    e.next_contact = now;
    e.doubted = time_point();
    e.verified = e.suspect = e.said_goodbye = false;
    ++listed_[shard];
    --withdrawn_;
    emit(directory_event::kind::found, e);
    news = true;
  }
  return news;
}

KADORO_DECL bool holder_book::on_mark(peer_ref const& who, shard_mark what, std::uint64_t sequence, time_point now) {
  assert(what.shard_id < total_shards_);
  entry* const e = admit(who, what.shard_id);
  if (e == nullptr) return false;
  bool const was_listed = e->listed();
  std::uint64_t const before = e->mark.sequence;
  if (!extend(e->mark, sequence, time_point::max())) return false;
  if (before != 0 && sequence > before) e->details_stale = true;  // announced anew: both keys were written
  if (e->announcement.live && e->announcement.sequence > sequence) return false;
  bool const news = list(*e, was_listed, what.shard_id, what.loaded, now);
  if (news && was_listed && sequence == 0) e->details_stale = true;  // unsigned marks have no sequence that grows
  return news;
}

KADORO_DECL bool holder_book::on_mark_ended(peer_id const& who, std::uint64_t sequence) {
  entry* const e = find(who);
  if (e == nullptr || !e->mark.live || sequence < e->mark.sequence) return false;
  e->mark.live = false;
  if (e->listed()) return false;
  drop(*e, e->said_goodbye ? directory_event::loss::left : directory_event::loss::expired);
  return true;
}

KADORO_DECL bool holder_book::on_announcement(peer_ref const& who, shard_announcement what, std::uint64_t sequence,
                                              duration remaining, time_point now) {
  assert(what.shard_id < total_shards_);
  entry* const e = admit(who, what.shard_id);
  if (e == nullptr) return false;
  bool const was_listed = e->listed();
  std::uint32_t const shard = what.shard_id;
  bool const loaded = what.capabilities.shard_loaded;
  if (remaining <= duration::zero() || !extend(e->announcement, sequence, now + remaining)) return false;
  // Of two records that live, the newer one says what this peer holds.
  bool const newest = !e->mark.live || e->mark.sequence < sequence;
  bool news = false;
  if (newest) news = list(*e, was_listed, shard, loaded, now);
  if (e->shard == shard) {
    news = news || !e->details || *e->details != what;
    e->details = std::move(what);
    e->details_stale = false;
  }
  return news;
}

KADORO_DECL bool holder_book::on_tombstone(peer_ref const& who, record_kind which, std::uint64_t sequence,
                                           duration remaining, time_point now) {
  entry* e = find(who->id());
  if (e == nullptr) {
    if (withdrawn_ >= limits_.max_withdrawn) {
      ++counters_.forgotten_early;
      return false;
    }
    e = &entries_[who->id()];
    e->peer = who;
    ++withdrawn_;
  }
  bool const was_listed = e->listed();
  slot& own = which == record_kind::mark ? e->mark : e->announcement;
  slot& other = which == record_kind::mark ? e->announcement : e->mark;
  if (sequence <= own.sequence) return false;
  own.sequence = sequence;
  own.live = false;
  // A publisher numbers all its records in one row, and withdraws both: what is older under the other key is over too.
  if (other.sequence < sequence) {
    other.sequence = sequence;
    other.live = false;
  }
  e->remember_until = std::max(e->remember_until, now + remaining);
  if (!was_listed || e->listed()) return false;
  drop(*e, directory_event::loss::withdrawn);
  return true;
}

KADORO_DECL void holder_book::drop(entry& e, directory_event::loss reason) {
  --listed_[e.shard];
  ++withdrawn_;
  e.details.reset();
  emit(directory_event::kind::lost, e, reason);
}

KADORO_DECL bool holder_book::on_contact(entry& with) {
  if (!with.listed() || (with.verified && !with.suspect)) return false;
  bool const was_suspect = with.suspect;
  with.verified = true;
  with.suspect = false;
  with.said_goodbye = false;
  if (was_suspect) emit(directory_event::kind::recovered, with);
  return true;
}

KADORO_DECL bool holder_book::on_failure(entry& with, time_point now) {
  with.doubted = now;
  if (!with.listed() || with.suspect) return false;
  with.suspect = true;
  emit(directory_event::kind::suspect, with);
  return true;
}

KADORO_DECL bool holder_book::on_goodbye(entry& with, time_point now) {
  with.said_goodbye = true;
  return on_failure(with, now);
}

KADORO_DECL bool holder_book::expire(time_point now) {
  bool news = false;
  for (auto at = entries_.begin(); at != entries_.end();) {
    entry& e = at->second;
    bool const was_listed = e.listed();
    for (slot* s : {&e.mark, &e.announcement})
      if (s->live && s->expires <= now) s->live = false;
    if (was_listed && !e.listed()) {
      drop(e, e.said_goodbye ? directory_event::loss::left : directory_event::loss::expired);
      news = true;
    }
    if (!e.listed() && e.remember_until <= now) {
      --withdrawn_;
      at = entries_.erase(at);
    } else {
      ++at;
    }
  }
  return news;
}

KADORO_DECL void holder_book::reconsider() {
  std::vector<bool> covered(total_shards_);
  std::vector<bool> loaded(total_shards_);
  if (own_shard_) {
    covered[*own_shard_] = true;
    loaded[*own_shard_] = own_loaded_;
  }
  for (auto const& [id, e] : entries_) {
    if (!e.found()) continue;
    covered[e.shard] = true;
    if (e.loaded && e.counts()) loaded[e.shard] = true;
  }
  auto const all = [](std::vector<bool> const& of) { return std::find(of.begin(), of.end(), false) == of.end(); };
  bool const complete = all(covered);
  bool const ready = complete && all(loaded);
  if (ready_ && !ready) emit(directory_event::kind::not_ready);
  if (complete != std::exchange(complete_, complete))
    emit(complete ? directory_event::kind::complete : directory_event::kind::incomplete);
  if (!ready_ && ready) emit(directory_event::kind::ready);
  ready_ = ready;
}

KADORO_DECL std::vector<holder_view> holder_book::holders(std::uint32_t shard, peer_id const& self,
                                                          time_point now) const {
  std::vector<holder_view> out;
  for (auto const& [id, e] : entries_) {
    if (!e.listed() || e.shard != shard) continue;
    holder_view h;
    h.peer = id;
    for (auto const& address : e.peer->addresses()) h.addresses.push_back(address.where);
    h.age = now - e.since;
    if (e.peer->last_heard != time_point()) h.heard = now - e.peer->last_heard;
    if (e.peer->rtt.known()) h.rtt = e.peer->rtt.smoothed();
    h.verified = e.verified;
    h.suspect = e.suspect;
    h.loaded = e.loaded;
    h.details = e.details;
    out.push_back(std::move(h));
  }
  if (own_shard_ == shard) {
    holder_view h;
    h.peer = self;
    h.age = now - own_since_;
    h.verified = h.own = true;
    h.loaded = own_loaded_;
    h.details = own_details_;
    auto const behind = [&self](holder_view const& other) { return self < other.peer; };
    out.insert(std::find_if(out.begin(), out.end(), behind), std::move(h));
  }
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::directory
