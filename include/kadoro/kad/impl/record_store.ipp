#pragma once

#include <algorithm>
#include <cassert>
#include <utility>

#include "kadoro/kad/content.hpp"
#include "kadoro/kad/record_store.hpp"
#include "kadoro/transport/message.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

/// A holder that needs no more of something is never over its limit of it.
inline bool exceeds(std::size_t used, std::size_t more, std::size_t limit) noexcept {
  return more > 0 && (used > limit || more > limit - used);
}

}  // namespace detail

KADORO_DECL record_store::slot_view::slot_view(bytes_view slot_key, peer_id const& slot_owner, bool is_relayed) noexcept
    : key(slot_key), relayed(is_relayed), cursor(transport::cursor_of(slot_owner.bytes())), owner(slot_owner.bytes()) {}

KADORO_DECL bool record_store::by_name::operator()(slot_view const& a, slot_view const& b) const noexcept {
  int const order = compare(a.key, b.key);
  if (order != 0) return order < 0;
  if (a.relayed != b.relayed) return b.relayed;
  if (a.cursor != b.cursor) return a.cursor < b.cursor;
  return compare(a.owner, b.owner) < 0;
}

KADORO_DECL record_store::slot_view record_store::view_of(record const& signed_one) noexcept {
  return {signed_one.key, signed_one.publisher};
}

KADORO_DECL record_store::record_store(store_limits const& limits, verified_cache& cache)
    : limits_(limits), cache_(cache) {}

KADORO_DECL record_store::~record_store() = default;

KADORO_DECL record_store::put_result record_store::put(record what, origin from, std::optional<std::uint64_t> range,
                                                       duration remaining, time_point now) {
  if (what.is_content()) return put_content(std::move(what), from, peer_id(), range, remaining, now);
  expire(now);
  if (what.value.size() > limits_.max_value_bytes || what.key.size() > record::max_key_bytes)
    return refuse(errc::refused_too_large);
  duration const life = std::min(remaining, what.lifetime_max);
  if (!what.well_formed() || life <= duration(0)) return refuse(errc::malformed);

  auto const at = find_settled(view_of(what));
  if (at != slots_.end() && at->second.speaks()) {
    slot const& known = at->second;
    std::uint64_t const highest = known.valid ? known.valid->what.sequence : known.remembered->sequence;
    if (what.sequence < highest) return refuse_stale(known);
    if (what.sequence == highest) return put_same(at, std::move(what), from, now);
  }
  return put_new(at, std::move(what), from, range, life, now);
}

KADORO_DECL record_store::put_result record_store::put_same(slot_map::iterator at, record&& what, origin from,
                                                            time_point now) {
  slot& in = at->second;
  record_header const known = in.valid ? in.valid->header() : *in.remembered;
  if (!what.header().same_content(known)) return refuse_stale(in);
  bool const extends = from != origin::handed_on;
  time_point const until = now + what.lifetime_max;

  if (in.valid) {
    if (!extends) {
      ++counters_.unchanged;
      return {};
    }
    begin_change(at);
    in.own = in.own || from == origin::own;
    in.valid->expires = until;
    end_change(at);  // its whole life is what a durable put waits for, also where the record was handed on before
    ++counters_.renewed;
    return {};
  }

  // It has expired here. What its publisher itself brings back is no resurrection.
  if (!extends) return refuse_stale(in);
  if (from != origin::own && !in.own) {
    std::uint64_t* const full = no_room(what.publisher, in.range, {1, what.key.size() + what.value.size(), 0});
    if (full != nullptr) {
      ++*full;
      return {errc::refused_full, std::nullopt, false};
    }
  }
  what.signature = known.signature;  // the one that was verified
  begin_change(at);
  in.own = in.own || from == origin::own;
  in.valid = std::make_unique<copy>(copy{std::move(what), known.value_hash, until});
  in.remembered.reset();
  in.dormant.reset();
  tell(in.valid->what);
  end_change(at);
  ++counters_.stored;
  return {std::nullopt, std::nullopt, true};
}

KADORO_DECL record_store::put_result record_store::put_new(slot_map::iterator at, record&& what, origin from,
                                                           std::optional<std::uint64_t> range, duration life,
                                                           time_point now) {
  bool const known = at != slots_.end();
  if (known) range = at->second.range;  // a slot stays where it was counted first
  bool const counted = from != origin::own && !(known && at->second.own);
  std::size_t const bytes_new = what.key.size() + what.value.size();
  usage more = growth(at, bytes_new);
  if (counted) {
    std::uint64_t* const full = no_room(what.publisher, range, more);
    if (full != nullptr) {
      ++*full;
      return {errc::refused_full, std::nullopt, false};
    }
  }

  // Verified later only where there is room for both copies until then.
  more.bytes = bytes_new;
  bool const later = from == origin::publisher_session && backlog_.size() < limits_.verify_backlog &&
                     (!counted || no_room(what.publisher, range, more) == nullptr);
  auto made = std::make_unique<copy>(copy{std::move(what), {}, now + life});
  if (!later) {
    record_header const header = made->what.header();
    if (from == origin::own) {
      cache_.remember(header);
    } else {
      ++counters_.verified_inline;
      if (!cache_.verify(header)) return refuse(errc::refused_signature);
    }
    made->value_hash = header.value_hash;
  }

  drop_relayed(made->what.key, made->what.publisher);
  tell(made->what);
  at = open_slot(at, view_of(made->what), made->what.publisher, range);
  slot& in = at->second;
  in.own = in.own || from == origin::own;
  if (later) {
    in.arrival = ++next_serial_;
    backlog_.emplace(in.arrival, at);
    in.pending = std::move(made);
  } else {
    retire_valid(in);
    in.valid = std::move(made);
    in.remembered.reset();
    in.dormant.reset();
  }
  end_change(at);
  ++counters_.stored;
  return {std::nullopt, std::nullopt, true};
}

KADORO_DECL record_store::put_result record_store::put_unsigned(record what, peer_id const& sender,
                                                                std::optional<std::uint64_t> range, time_point now) {
  expire(now);
  if (what.value.size() > limits_.max_value_bytes || what.key.size() > record::max_key_bytes)
    return refuse(errc::refused_too_large);
  if (!what.within_limits() || what.is_signed() || what.sequence != 0 || (what.flags & ~record::flag_provider) != 0)
    return refuse(errc::malformed);
  if (!what.publisher.empty()) {
    auto const word = find_settled(view_of(what));
    if (word != slots_.end() && word->second.speaks()) return refuse_stale(word->second);
  }

  slot_view const name(what.key, sender, what.publisher != sender);
  auto at = find_settled(name);
  if (at != slots_.end()) range = at->second.range;
  std::uint64_t* const full = no_room(sender, range, growth(at, what.key.size() + what.value.size()));
  if (full != nullptr) {
    ++*full;
    return {errc::refused_full, std::nullopt, false};
  }
  at = open_slot(at, name, sender, range);
  slot& in = at->second;
  bool const changed = !in.valid || in.valid->what.value != what.value || in.valid->what.publisher != what.publisher;
  time_point const until = now + what.lifetime_max;
  if (in.valid && in.valid->what.publisher != what.publisher) tell(in.valid->what);
  if (changed) tell(what);
  in.valid = std::make_unique<copy>(copy{std::move(what), {}, until});
  end_change(at);
  ++(changed ? counters_.stored : counters_.renewed);
  return {std::nullopt, std::nullopt, changed};
}

KADORO_DECL std::optional<errc> record_store::renew(bytes_view key, peer_id const& publisher, std::uint64_t sequence,
                                                    time_point now) {
  expire(now);
  auto const at = find_settled({key, publisher});
  if (at == slots_.end() || !at->second.speaks()) return refuse(errc::refused_unknown).refused;
  slot& in = at->second;
  std::uint64_t const highest = in.valid ? in.valid->what.sequence : in.remembered->sequence;
  if (highest > sequence) return refuse(errc::refused_stale).refused;
  if (highest == sequence) wake(at);
  if (highest < sequence || !in.valid) return refuse(errc::refused_unknown).refused;
  begin_change(at);
  in.valid->expires = now + in.valid->what.lifetime_max;
  end_change(at, true);
  ++counters_.renewed;
  return std::nullopt;
}

/// Without room for it, it sleeps on: then it is unknown, and whoever puts it hears why not.
KADORO_DECL void record_store::wake(slot_map::iterator at) {
  slot& in = at->second;
  if (!in.dormant || (!in.own && no_room(at->first.owner, in.range, {1, 0, 0}) != nullptr)) return;
  begin_change(at);
  in.valid = std::move(in.dormant);
  tell(in.valid->what);
  in.remembered.reset();
  end_change(at);
}

KADORO_DECL std::uint64_t record_store::get(bytes_view key, time_point now, std::vector<held>& out, page const& which) {
  static constexpr std::size_t overhead = 32;  // at least: publisher, lifetime
  out.clear();
  expire(now);
  std::uint64_t next = 0;
  std::size_t bytes = 0;
  auto at = slots_.lower_bound(slot_view(key, which.from, false));
  while (at != slots_.end() && equal(at->first.key, key)) {
    auto const here = at++;
    if (!settle(here) || !here->second.valid) continue;
    record const& what = here->second.valid->what;
    if (which.wanted != nullptr && !which.wanted(what)) continue;
    if (here->first.relayed) {
      std::uint64_t const place = transport::cursor_of(what.publisher.bytes());
      if (place >= which.from && (next == 0 || place < next)) out.push_back(as_held(here, now));
      continue;
    }
    if (bytes > which.bytes) {
      next = here->first.cursor;
      at = slots_.lower_bound(slot_view(key, 0, true));
      continue;
    }
    bytes += what.value.size() + what.signature.size() + overhead;
    out.push_back(as_held(here, now));
  }
  if (out.empty() || !out.back().relayed) return next;  // mostly: they are in order, and one of each publisher
  std::sort(out.begin(), out.end(), [](held const& a, held const& b) {
    slot_view const name_a = view_of(*a.value);
    slot_view const name_b = view_of(*b.value);
    if (by_name()(name_a, name_b) || by_name()(name_b, name_a)) return by_name()(name_a, name_b);
    if (a.relayed != b.relayed) return b.relayed;
    if (a.remaining != b.remaining) return a.remaining > b.remaining;
    return compare(a.value->value, b.value->value) < 0;
  });
  auto const same = [](held const& a, held const& b) {
    return a.value->publisher == b.value->publisher && a.value->is_content() == b.value->is_content();
  };
  out.erase(std::unique(out.begin(), out.end(), same), out.end());
  return next;
}

KADORO_DECL std::optional<record_store::held> record_store::find(bytes_view key, peer_id const& publisher,
                                                                 time_point now) {
  expire(now);
  auto const at = find_settled({key, publisher});
  if (at == slots_.end() || !at->second.valid) return std::nullopt;
  return as_held(at, now);
}

KADORO_DECL std::optional<std::uint64_t> record_store::sequence_of(bytes_view key, peer_id const& publisher) const {
  auto const at = slots_.find(slot_view(key, publisher));
  if (at == slots_.end() || !at->second.live()) return std::nullopt;
  return (at->second.pending ? at->second.pending : at->second.valid)->what.sequence;
}

KADORO_DECL std::optional<record_header> record_store::highest(bytes_view key, peer_id const& publisher) {
  auto const at = find_settled({key, publisher});
  if (at == slots_.end() || !at->second.speaks()) return std::nullopt;
  return at->second.valid ? at->second.valid->header() : *at->second.remembered;
}

KADORO_DECL void record_store::remember_until(bytes_view key, peer_id const& publisher, time_point until) {
  auto const at = find_settled({key, publisher});
  if (at == slots_.end() || !at->second.speaks()) return;
  begin_change(at);
  at->second.remember_until = std::max(at->second.remember_until, until);
  end_change(at, true);
}

KADORO_DECL bool record_store::verify_some(std::size_t max) {
  for (std::size_t i = 0; i < max && !backlog_.empty(); ++i) settle(backlog_.begin()->second);
  return !backlog_.empty();
}

KADORO_DECL void record_store::expire(time_point now) {
  while (!agenda_.empty() && agenda_.begin()->first.first <= now) {
    auto const at = agenda_.begin()->second;
    slot& in = at->second;
    // If it is signed, its sequence is to be remembered, though nobody read it.
    if (in.pending && in.pending->expires <= now && !settle(at)) continue;
    begin_change(at);
    if (in.valid && in.valid->expires <= now) {
      tell(in.valid->what, !in.pending);
      if (in.valid->what.is_signed()) in.remembered = std::make_unique<record_header>(in.valid->header());
      retire_valid(in);
      ++counters_.expired;
    }
    if (in.dormant && in.dormant->expires <= now) in.dormant.reset();
    if (in.remembered && in.remember_until <= now) {
      in.remembered.reset();
      in.dormant.reset();
      ++counters_.forgotten;
    }
    end_change(at);
  }
}

KADORO_DECL std::optional<time_point> record_store::next_expiry() const {
  if (agenda_.empty()) return std::nullopt;
  return agenda_.begin()->first.first;
}

/// After this the slot, if there is one, has something valid or something remembered.
KADORO_DECL record_store::slot_map::iterator record_store::find_settled(slot_view const& name) {
  auto const at = slots_.find(name);
  if (at == slots_.end() || !settle(at)) return slots_.end();
  assert(at->second.valid || at->second.remembered);
  return at;
}

KADORO_DECL bool record_store::settle(slot_map::iterator at) {
  slot& in = at->second;
  if (!in.pending) return true;
  record_header const header = in.pending->what.header();
  bool const good = cache_.verify(header);
  ++counters_.verified_later;
  begin_change(at);
  backlog_.erase(in.arrival);
  if (good) {
    in.pending->value_hash = header.value_hash;
    retire_valid(in);
    in.valid = std::move(in.pending);
    in.remembered.reset();
    in.dormant.reset();
  } else {
    tell(in.pending->what);
    in.pending.reset();
    ++counters_.bad_signature;
  }
  return end_change(at);
}

KADORO_DECL void record_store::tell(record const& of, bool ended) const {
  if (on_change_) on_change_(of.key, of.publisher, ended);
}

KADORO_DECL void record_store::retire_valid(slot& in) {
  if (!in.valid) return;
  if (in.valid->what.is_signed())
    in.remember_until = std::max(in.remember_until, in.valid->expires + memory_of(in.valid->what.lifetime_max));
  in.valid.reset();
}

KADORO_DECL void record_store::begin_change(slot_map::iterator at) { tally(at, false); }

KADORO_DECL bool record_store::end_change(slot_map::iterator at, bool times_only) {
  slot& in = at->second;
  if (listener_ != nullptr) listener_->on_slot_changed(at->first.key, at->first.owner, at->first.relayed, times_only);
  auto entry = agenda_.extract({in.due, in.serial});
  if (!in.live() && !in.remembered) {
    slots_.erase(at);
    return false;
  }
  tally(at, true);
  in.due = time_point::max();
  if (in.valid) in.due = std::min(in.due, in.valid->expires);
  if (in.pending) in.due = std::min(in.due, in.pending->expires);
  if (in.remembered) in.due = std::min(in.due, in.remember_until);
  if (in.dormant) in.due = std::min(in.due, in.dormant->expires);
  if (entry.empty()) {
    agenda_.emplace(std::pair(in.due, in.serial), at);
  } else {
    entry.key() = {in.due, in.serial};
    agenda_.insert(std::move(entry));
  }
  return true;
}

KADORO_DECL void record_store::tally(slot_map::iterator at, bool add) {
  slot const& in = at->second;
  usage const size{std::size_t{in.live() ? 1u : 0u},
                   (in.valid ? in.valid->bytes() : 0) + (in.pending ? in.pending->bytes() : 0) +
                       (in.dormant ? in.dormant->bytes() : 0),
                   1};
  auto const apply = [&](usage& to) {
    to.records = add ? to.records + size.records : to.records - size.records;
    to.bytes = add ? to.bytes + size.bytes : to.bytes - size.bytes;
    to.slots = add ? to.slots + 1 : to.slots - 1;
  };
  auto const apply_in = [&](auto& shares, auto const& name) {
    auto const share = shares.try_emplace(name).first;
    apply(share->second);
    if (share->second.slots == 0) shares.erase(share);
  };
  if (in.own) return apply(own_);
  apply(foreign_);
  apply_in(per_publisher_, charged(at));
  if (in.range) apply_in(per_range_, *in.range);
}

KADORO_DECL record_store::slot_map::iterator record_store::open_slot(slot_map::iterator at, slot_view const& name,
                                                                     peer_id const& owner,
                                                                     std::optional<std::uint64_t> range) {
  if (at != slots_.end()) {
    begin_change(at);
    return at;
  }
  at = slots_.try_emplace({to_bytes(name.key), name.relayed, name.cursor, owner}).first;
  at->second.range = range;
  at->second.serial = ++next_serial_;
  return at;
}

KADORO_DECL record_store::usage record_store::growth(slot_map::const_iterator at, std::size_t bytes) const noexcept {
  if (at == slots_.end()) return {1, bytes, 1};
  std::size_t const there = at->second.valid ? at->second.valid->bytes() : 0;
  return {std::size_t{at->second.live() ? 0u : 1u}, bytes - std::min(bytes, there), 0};
}

KADORO_DECL kept_slot record_store::as_kept(slot_name const& name, slot const& in) {
  auto const copied = [](std::unique_ptr<copy> const& c) {
    return c ? std::optional(kept_copy{c->what, c->expires}) : std::nullopt;
  };
  kept_slot out;
  out.key = name.key;
  out.owner = name.owner;
  out.relayed = name.relayed;
  out.own = in.own;
  out.range = in.range;
  out.brought_by = in.brought_by;
  out.valid = copied(in.valid);
  out.pending = copied(in.pending);
  out.dormant = copied(in.dormant);
  if (in.remembered) out.remembered = *in.remembered;
  out.remember_until = in.remember_until;
  return out;
}

KADORO_DECL std::optional<kept_slot> record_store::kept(bytes_view key, peer_id const& owner, bool relayed) const {
  auto const at = slots_.find(slot_view(key, owner, relayed));
  if (at == slots_.end()) return std::nullopt;
  return as_kept(at->first, at->second);
}

KADORO_DECL bool record_store::restore(kept_slot what) {
  bool const signs = !what.relayed && (!what.valid || what.valid->what.is_signed());
  if (!signs && (what.pending || what.dormant || what.remembered || !what.valid)) return false;
  if (what.dormant && (!what.remembered || what.valid)) return false;
  slot_view const name(what.key, what.owner, what.relayed);
  if (slots_.find(name) != slots_.end()) return false;
  bool const content = what.valid && what.valid->what.is_content();
  if (content && !equal(content_key(what.valid->what.value), what.key)) return false;
  auto const size_of = [](std::optional<kept_copy> const& c) {
    return c ? c->what.key.size() + c->what.value.size() : std::size_t{0};
  };
  usage const more{std::size_t{what.valid || what.pending ? 1u : 0u},
                   size_of(what.valid) + size_of(what.pending) + size_of(what.dormant), 1};
  peer_id const& charged_to = what.brought_by.empty() ? what.owner : what.brought_by;
  if (!what.own && no_room(charged_to, what.range, more) != nullptr) return false;

  auto const made = [](kept_copy&& c) {
    auto out = std::make_unique<copy>(copy{std::move(c.what), {}, c.expires});
    out->value_hash = crypto::sha256(out->what.value);
    return out;
  };
  auto const at = open_slot(slots_.end(), name, what.owner, what.range);
  slot& in = at->second;
  in.own = what.own;
  in.brought_by = std::move(what.brought_by);
  in.remember_until = what.remember_until;
  if (what.valid) in.valid = made(std::move(*what.valid));
  if (what.dormant) in.dormant = made(std::move(*what.dormant));
  if (what.remembered) in.remembered = std::make_unique<record_header>(std::move(*what.remembered));
  if (what.pending) {
    in.pending = made(std::move(*what.pending));
    in.arrival = ++next_serial_;
    backlog_.emplace(in.arrival, at);
  }
  return end_change(at);
}

/// The publisher has spoken: what others brought in its name goes.
KADORO_DECL void record_store::drop_relayed(bytes_view key, peer_id const& publisher) {
  auto at = slots_.lower_bound(slot_view(key, peer_id(), true));
  while (at != slots_.end() && equal(at->first.key, key)) {
    auto const here = at++;
    if (here->second.valid->what.publisher != publisher) continue;
    begin_change(here);
    here->second.valid.reset();
    end_change(here);
    ++counters_.displaced;
  }
}

KADORO_DECL std::uint64_t* record_store::no_room(peer_id const& owner, std::optional<std::uint64_t> range,
                                                 usage const& more) {
  auto const over = [&more](usage const& used, std::size_t records, std::size_t bytes, std::size_t count) {
    return detail::exceeds(used.records, more.records, records) || detail::exceeds(used.bytes, more.bytes, bytes) ||
           detail::exceeds(used.slots, more.slots, count);
  };
  auto const share = [](auto const& shares, auto const& name) {
    auto const at = shares.find(name);
    return at == shares.end() ? usage() : at->second;
  };
  if (over(foreign_, limits_.max_records, limits_.max_bytes, limits_.max_remembered)) return &counters_.refused_full;
  std::size_t const slots_share = limits_.max_remembered / 4;
  if (over(share(per_publisher_, owner), limits_.max_records_per_publisher, limits_.max_bytes_per_publisher,
           slots_share))
    return &counters_.refused_full_publisher;
  if (range && over(share(per_range_, *range), limits_.max_records_per_range, limits_.max_bytes_per_range, slots_share))
    return &counters_.refused_full_range;
  return nullptr;
}

KADORO_DECL record_store::put_result record_store::refuse(errc why) noexcept {
  switch (why) {
    case errc::malformed: ++counters_.refused_malformed; break;
    case errc::refused_too_large: ++counters_.refused_too_large; break;
    case errc::refused_stale: ++counters_.refused_stale; break;
    case errc::refused_signature: ++counters_.refused_signature; break;
    case errc::refused_hash: ++counters_.refused_hash; break;
    case errc::refused_unknown: ++counters_.refused_unknown; break;
    default: assert(false);
  }
  return {why, std::nullopt, false};
}

KADORO_DECL record_store::put_result record_store::refuse_stale(slot const& known) {
  put_result out = refuse(errc::refused_stale);
  out.held = known.valid ? known.valid->header() : *known.remembered;
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::kad
