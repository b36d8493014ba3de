#pragma once

#include <sodium.h>

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
  if (a.relayed != b.relayed) return b.relayed;
  if (a.cursor != b.cursor) return a.cursor < b.cursor;
  return compare(a.owner, b.owner) < 0;
}

KADORO_DECL record_store::slot_view record_store::view_of(record const& signed_one) noexcept {
  return {signed_one.key, signed_one.publisher};
}

KADORO_DECL record_store::record_store(store_limits const& limits, verified_cache& cache, crypto::digest const& secret)
    : limits_(limits), cache_(cache), by_key_(0, key_hash{secret}) {
  by_key_.max_load_factor(0.25f);  // each node that a chain makes one look at is memory that nobody has touched lately
}

KADORO_DECL record_store::~record_store() = default;

KADORO_DECL record_store::put_result record_store::put(record what, origin from, std::optional<std::uint64_t> range,
                                                       duration remaining, time_point now) {
  if (what.is_content()) return put_content(std::move(what), from, peer_id(), range, remaining, now);
  expire(now);
  if (what.value.size() > limits_.max_value_bytes || what.key.size() > record::max_key_bytes)
    return refuse(errc::refused_too_large);
  duration const life = std::min(remaining, what.lifetime_max);
  if (!what.well_formed() || life <= duration(0)) return refuse(errc::malformed);

  slot* const at = find_settled(view_of(what));
  if (at != nullptr && at->speaks()) {
    slot const& known = *at;
    std::uint64_t const highest = known.valid ? known.valid->what.sequence : known.remembered->sequence;
    if (what.sequence < highest) return refuse_stale(known);
    if (what.sequence == highest) return put_same(*at, std::move(what), from, now);
  }
  return put_new(at, std::move(what), from, range, life, now);
}

KADORO_DECL record_store::put_result record_store::put_same(slot& in, record&& what, origin from, time_point now) {
  record_header const known = in.valid ? in.valid->header() : *in.remembered;
  if (!what.header().same_content(known)) return refuse_stale(in);
  bool const extends = from != origin::handed_on;
  time_point const until = now + what.lifetime_max;

  if (in.valid) {
    if (!extends) {
      ++counters_.unchanged;
      return {};
    }
    begin_change(in);
    in.own = in.own || from == origin::own;
    in.valid->expires = until;
    end_change(in);  // its whole life is what a durable put waits for, also where the record was handed on before
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
  begin_change(in);
  in.own = in.own || from == origin::own;
  in.valid = std::make_unique<copy>(copy{std::move(what), known.value_hash, until});
  in.remembered.reset();
  in.dormant.reset();
  tell(in.valid->what);
  end_change(in);
  ++counters_.stored;
  return {std::nullopt, std::nullopt, true};
}

KADORO_DECL record_store::put_result record_store::put_new(slot* known, record&& what, origin from,
                                                           std::optional<std::uint64_t> range, duration life,
                                                           time_point now) {
  if (known != nullptr) range = known->range;  // a slot stays where it was counted first
  bool const counted = from != origin::own && !(known != nullptr && known->own);
  std::size_t const bytes_new = what.key.size() + what.value.size();
  usage more = growth(known, bytes_new);
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
  slot& in = open_slot(known, view_of(made->what), made->what.publisher, range);
  in.own = in.own || from == origin::own;
  if (later) {
    in.arrival = ++next_serial_;
    backlog_.emplace(in.arrival, &in);
    in.pending = std::move(made);
  } else {
    retire_valid(in);
    in.valid = std::move(made);
    in.remembered.reset();
    in.dormant.reset();
  }
  end_change(in);
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
    slot const* const word = find_settled(view_of(what));
    if (word != nullptr && word->speaks()) return refuse_stale(*word);
  }

  slot_view const name(what.key, sender, what.publisher != sender);
  slot* const known = find_settled(name);
  if (known != nullptr) range = known->range;
  std::uint64_t* const full = no_room(sender, range, growth(known, what.key.size() + what.value.size()));
  if (full != nullptr) {
    ++*full;
    return {errc::refused_full, std::nullopt, false};
  }
  slot& in = open_slot(known, name, sender, range);
  bool const changed = !in.valid || in.valid->what.value != what.value || in.valid->what.publisher != what.publisher;
  time_point const until = now + what.lifetime_max;
  if (in.valid && in.valid->what.publisher != what.publisher) tell(in.valid->what);
  if (changed) tell(what);
  in.valid = std::make_unique<copy>(copy{std::move(what), {}, until});
  end_change(in);
  ++(changed ? counters_.stored : counters_.renewed);
  return {std::nullopt, std::nullopt, changed};
}

KADORO_DECL std::optional<errc> record_store::renew(bytes_view key, peer_id const& publisher, std::uint64_t sequence,
                                                    time_point now) {
  expire(now);
  slot* const at = find_settled({key, publisher});
  if (at == nullptr || !at->speaks()) return refuse(errc::refused_unknown).refused;
  slot& in = *at;
  std::uint64_t const highest = in.valid ? in.valid->what.sequence : in.remembered->sequence;
  if (highest > sequence) return refuse(errc::refused_stale).refused;
  if (highest == sequence) wake(in);
  if (highest < sequence || !in.valid) return refuse(errc::refused_unknown).refused;
  begin_change(in);
  in.valid->expires = now + in.valid->what.lifetime_max;
  end_change(in, true);
  ++counters_.renewed;
  return std::nullopt;
}

/// Without room for it, it sleeps on: then it is unknown, and whoever puts it hears why not.
KADORO_DECL void record_store::wake(slot& in) {
  if (!in.dormant || (!in.own && no_room(in.name->owner, in.range, {1, 0, 0}) != nullptr)) return;
  begin_change(in);
  in.valid = std::move(in.dormant);
  tell(in.valid->what);
  in.remembered.reset();
  end_change(in);
}

KADORO_DECL std::uint64_t record_store::get(bytes_view key, time_point now, std::vector<held>& out, page const& which) {
  static constexpr std::size_t overhead = 32;  // at least: publisher, lifetime
  out.clear();
  expire(now);
  std::uint64_t next = 0;
  std::size_t bytes = 0;
  shelf* const on = find_shelf(key);
  if (on == nullptr) return 0;
  auto at = on->slots.lower_bound(slot_view(key, which.from, false));
  for (bool more = at != on->slots.end(); more;) {
    slot& in = (at++)->second;
    more = at != on->slots.end();  // looked at before the last slot goes, and its shelf with it
    if (!settle(in) || !in.valid) continue;
    record const& what = in.valid->what;
    if (which.wanted != nullptr && !which.wanted(what)) continue;
    if (in.name->relayed) {
      std::uint64_t const place = transport::cursor_of(what.publisher.bytes());
      if (place >= which.from && (next == 0 || place < next)) out.push_back(as_held(in, now));
      continue;
    }
    if (bytes > which.bytes) {
      next = in.name->cursor;
      at = on->slots.lower_bound(slot_view(key, 0, true));
      more = at != on->slots.end();
      continue;
    }
    bytes += what.value.size() + what.signature.size() + overhead;
    out.push_back(as_held(in, now));
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
  slot const* const in = find_settled({key, publisher});
  if (in == nullptr || !in->valid) return std::nullopt;
  return as_held(*in, now);
}

KADORO_DECL std::optional<std::uint64_t> record_store::sequence_of(bytes_view key, peer_id const& publisher) const {
  slot const* const in = find_slot({key, publisher});
  if (in == nullptr || !in->live()) return std::nullopt;
  return (in->pending ? in->pending : in->valid)->what.sequence;
}

KADORO_DECL std::optional<record_header> record_store::highest(bytes_view key, peer_id const& publisher) {
  slot const* const in = find_settled({key, publisher});
  if (in == nullptr || !in->speaks()) return std::nullopt;
  return in->valid ? in->valid->header() : *in->remembered;
}

KADORO_DECL void record_store::remember_until(bytes_view key, peer_id const& publisher, time_point until) {
  slot* const in = find_settled({key, publisher});
  if (in == nullptr || !in->speaks()) return;
  begin_change(*in);
  in->remember_until = std::max(in->remember_until, until);
  end_change(*in, true);
}

KADORO_DECL bool record_store::verify_some(std::size_t max) {
  for (std::size_t i = 0; i < max && !backlog_.empty(); ++i) settle(*backlog_.begin()->second);
  return !backlog_.empty();
}

KADORO_DECL void record_store::expire(time_point now) {
  while (!agenda_.empty() && agenda_.begin()->first.first <= now) {
    slot& in = *agenda_.begin()->second;
    // If it is signed, its sequence is to be remembered, though nobody read it.
    if (in.pending && in.pending->expires <= now && !settle(in)) continue;
    begin_change(in);
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
    end_change(in);
  }
}

KADORO_DECL std::optional<time_point> record_store::next_expiry() const {
  if (agenda_.empty()) return std::nullopt;
  return agenda_.begin()->first.first;
}

/// SipHash-2-4.
KADORO_DECL std::size_t record_store::key_hash::operator()(bytes_view key) const {
  static_assert(crypto_shorthash_BYTES == sizeof(std::uint64_t) && crypto_shorthash_KEYBYTES <= sizeof(secret));
  byte_array<crypto_shorthash_BYTES> hash{};
  crypto_shorthash(hash.data(), key.data(), key.size(), secret.data());
  return static_cast<std::size_t>(load_be<std::uint64_t>(hash.data()));
}

KADORO_DECL record_store::shelf* record_store::find_shelf(bytes_view key) {
  auto const at = by_key_.find(key);
  return at == by_key_.end() ? nullptr : &at->second;
}

KADORO_DECL record_store::slot* record_store::find_slot(slot_view const& name) {
  shelf* const on = find_shelf(name.key);
  if (on == nullptr) return nullptr;
  auto const at = on->slots.find(name);
  return at == on->slots.end() ? nullptr : &at->second;
}

/// After this the slot, if there is one, has something valid or something remembered.
KADORO_DECL record_store::slot* record_store::find_settled(slot_view const& name) {
  slot* const in = find_slot(name);
  if (in == nullptr || !settle(*in)) return nullptr;
  assert(in->valid || in->remembered);
  return in;
}

KADORO_DECL bool record_store::settle(slot& in) {
  if (!in.pending) return true;
  record_header const header = in.pending->what.header();
  bool const good = cache_.verify(header);
  ++counters_.verified_later;
  begin_change(in);
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
  return end_change(in);
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

KADORO_DECL void record_store::begin_change(slot& in) { tally(in, false); }

KADORO_DECL bool record_store::end_change(slot& in, bool times_only) {
  if (listener_ != nullptr) listener_->on_slot_changed(in.name->key, in.name->owner, in.name->relayed, times_only);
  auto entry = agenda_.extract(in.due);
  if (!in.live() && !in.remembered) {
    if (in.on->slots.size() == 1)
      by_key_.erase(by_key_.find(in.name->key));
    else
      in.on->slots.erase(in.on->slots.find(*in.name));
    return false;
  }
  tally(in, true);
  time_point due = time_point::max();
  if (in.valid) due = std::min(due, in.valid->expires);
  if (in.pending) due = std::min(due, in.pending->expires);
  if (in.remembered) due = std::min(due, in.remember_until);
  if (in.dormant) due = std::min(due, in.dormant->expires);
  entry.key().first = due;
  in.due = agenda_.insert(agenda_.end(), std::move(entry));  // mostly due last: nothing is sought
  return true;
}

KADORO_DECL void record_store::tally(slot const& in, bool add) {
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
  apply_in(per_publisher_, charged(in));
  if (in.range) apply_in(per_range_, *in.range);
}

KADORO_DECL record_store::slot& record_store::open_slot(slot* known, slot_view const& name, peer_id const& owner,
                                                        std::optional<std::uint64_t> range) {
  if (known != nullptr) {
    begin_change(*known);
    return *known;
  }
  auto& [key, on] = *by_key_.try_emplace(to_bytes(name.key)).first;
  if (!on.linked()) on.link_before(shelves_);
  auto const at = on.slots.try_emplace({key, name.relayed, name.cursor, owner}).first;
  slot& in = at->second;
  in.name = &at->first;
  in.on = &on;
  in.range = range;
  in.due = agenda_.emplace_hint(agenda_.end(), std::pair(time_point::max(), ++next_serial_), &in);
  return in;
}

KADORO_DECL record_store::usage record_store::growth(slot const* known, std::size_t bytes) noexcept {
  if (known == nullptr) return {1, bytes, 1};
  std::size_t const there = known->valid ? known->valid->bytes() : 0;
  return {std::size_t{known->live() ? 0u : 1u}, bytes - std::min(bytes, there), 0};
}

KADORO_DECL kept_slot record_store::as_kept(slot const& in) {
  auto const copied = [](std::unique_ptr<copy> const& c) {
    return c ? std::optional(kept_copy{c->what, c->expires}) : std::nullopt;
  };
  kept_slot out;
  out.key = to_bytes(in.name->key);
  out.owner = in.name->owner;
  out.relayed = in.name->relayed;
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
  slot const* const in = find_slot({key, owner, relayed});
  if (in == nullptr) return std::nullopt;
  return as_kept(*in);
}

KADORO_DECL bool record_store::restore(kept_slot what) {
  bool const signs = !what.relayed && (!what.valid || what.valid->what.is_signed());
  if (!signs && (what.pending || what.dormant || what.remembered || !what.valid)) return false;
  if (what.dormant && (!what.remembered || what.valid)) return false;
  slot_view const name(what.key, what.owner, what.relayed);
  if (find_slot(name) != nullptr) return false;
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
  slot& in = open_slot(nullptr, name, what.owner, what.range);
  in.own = what.own;
  in.brought_by = std::move(what.brought_by);
  in.remember_until = what.remember_until;
  if (what.valid) in.valid = made(std::move(*what.valid));
  if (what.dormant) in.dormant = made(std::move(*what.dormant));
  if (what.remembered) in.remembered = std::make_unique<record_header>(std::move(*what.remembered));
  if (what.pending) {
    in.pending = made(std::move(*what.pending));
    in.arrival = ++next_serial_;
    backlog_.emplace(in.arrival, &in);
  }
  return end_change(in);
}

/// The publisher has spoken: what others brought in its name goes.
KADORO_DECL void record_store::drop_relayed(bytes_view key, peer_id const& publisher) {
  shelf* const on = find_shelf(key);
  if (on == nullptr) return;
  auto at = on->slots.lower_bound(slot_view(key, peer_id(), true));
  for (bool more = at != on->slots.end(); more;) {
    slot& in = (at++)->second;
    more = at != on->slots.end();
    if (in.valid->what.publisher != publisher) continue;
    begin_change(in);
    in.valid.reset();
    end_change(in);
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
