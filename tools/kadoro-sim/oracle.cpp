#include "oracle.hpp"

#include <algorithm>
#include <utility>

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

std::string text_of(bytes_view key) { return kad::printable(key); }

/// Enough to tell values apart, and quick: FNV-1a over words.
std::uint64_t hash_of(bytes_view value) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u ^ value.size();
  auto const mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * 0x100000001b3u;
    hash ^= hash >> 32;
  };
  for (; value.size() >= 8; value = value.subspan(8)) mix(load_be<std::uint64_t>(value.data()));
  for (std::uint8_t const byte : value) mix(byte);
  return hash;
}

constexpr std::size_t most_pages = 64;  // of one peer's answer to a GET: many times what there is to read in a run

bool asks_for_records(message_type what) noexcept {
  return what == message_type::get_value || what == message_type::get_providers;
}

bool is_tombstone(wire::record const& what) noexcept { return (what.flags & kad::record::flag_tombstone) != 0; }

}  // namespace

std::string oracle::name(slot_name const& of) const {
  return "'" + text_of(of.key) + "' of " + of.publisher.short_string();
}

void oracle::broke(check what, std::string detail) {
  if (broken()) return;
  verdict_.broken = violation{what, std::move(detail), world_.events(), seconds(world_.now())};
}

void oracle::begin_life(peer_id const& who, bool lies) {
  correct_ever_.insert(who);
  born_[who] = world_.now();
  hearsay_[who].clear();
  if (!lies) memories_[who].clear();
}

void oracle::end_life(peer_id const& who) {
  auto const at = memories_.find(who);
  if (at == memories_.end()) {  // it lied, and nobody watched what it took meanwhile
    last_memories_.erase(who);
    return;
  }
  last_memories_[who] = std::move(at->second);
  memories_.erase(at);
}

void oracle::on_reloaded(peer_id const& who, kad::record_store& store, time_point host_now) {
  time_point const now = world_.now();
  for (auto const& entry : promises_[who]) {
    slot_name const& slot = entry.first;
    promise const& p = entry.second;
    if (p.remembered_until <= now) continue;
    if (slot.publisher.empty()) {
      if (p.lives_until > now &&
          !expect(store.find_content(slot.key, host_now).has_value(), check::durable_is_kept, [&] {
            return who.short_string() + " has called content " + text_of(slot.key) + " durable, but starts without it";
          }))
        return;
      continue;
    }
    auto const known = store.highest(slot.key, slot.publisher);
    auto const lacks = [&] {
      return who.short_string() + " has called " + name(slot) + ", sequence " + std::to_string(p.sequence) +
             ", durable, but starts with " + (known ? "sequence " + std::to_string(known->sequence) : "nothing");
    };
    if (!expect(known && known->sequence >= p.sequence, check::durable_is_kept, lacks)) return;
    if (known->sequence > p.sequence || p.lives_until <= now) continue;
    if (!expect(store.find(slot.key, slot.publisher, host_now).has_value(), check::durable_is_kept,
                [&] { return lacks() + ", which lives no more"; }))
      return;
  }
  auto const in = memories_.find(who);
  auto const before = std::exchange(last_memories_[who], {});
  std::vector<kad::kept_slot> slots;
  store.for_each_kept([&slots](kad::kept_slot s) { slots.push_back(std::move(s)); });
  for (kad::kept_slot const& s : slots) {
    if (s.valid && s.valid->what.is_content()) reloaded_content(who, s, before, host_now);
    if (s.relayed || s.owner == who || !correct_ever_.contains(s.owner)) continue;
    slot_name const slot{s.key, s.owner};
    kad::kept_copy const* const live = s.pending ? &*s.pending : s.valid ? &*s.valid : nullptr;
    bool const is_signed = s.remembered || (live != nullptr && live->what.is_signed());
    auto const known = store.highest(s.key, s.owner);
    if (!is_signed || !known) continue;
    kad::record_header const& highest = *known;
    held h;
    h.sequence = highest.sequence;
    h.tombstone = highest.tombstone();
    h.lifetime = highest.lifetime_max;
    h.acknowledged = now;
    h.remembered_until = now + shortened(s.remember_until - host_now);
    if (live != nullptr) {
      duration const left = live->expires - host_now;
      h.surely_until = now + shortened(left);
      h.at_most_until = now + lengthened(left);
      h.remembered_until = h.surely_until + shortened(h.lifetime);
      told(who, slot, h.sequence, h.at_most_until);
      auto const was = before.find(slot);
      bool const same = was != before.end() && was->second.sequence == h.sequence;
      if (same && !expect(now + left <= was->second.at_most_until, check::durable_is_kept, [&] {
            return who.short_string() + " starts with " + name(slot) + ", which lives longer than it did";
          }))
        return;
    }
    if (in != memories_.end()) in->second[slot] = h;
  }
}

void oracle::on_arrived(io::endpoint const& at, bytes_view data, bool passed_on) {
  std::pair const copy(at, hash_of(data));
  if (!passed_on) {
    if (seen_.insert(copy).second) news_[at] = world_.now();
    return;
  }
  if (seen_.contains(copy)) return;
  auto const [first, news] = seen_of_others_.try_emplace(copy, world_.now());
  if (news)
    news_[at] = world_.now();
  else
    again_[at] = {world_.now(), first->second};
}

// ---- what is said ---------------------------------------------------------------------------------------------------

void oracle::note_statement(peer_id const& publisher, wire::record const& what, bytes_view key) {
  auto& said = statements_[{to_bytes(key), publisher}][what.sequence];
  statement const made{what.sequence,      hash_of(what.value),
                       is_tombstone(what), std::chrono::milliseconds(what.lifetime_ms),
                       world_.now(),       world_.now()};
  for (statement& s : said) {
    if (s.value_hash != made.value_hash || s.tombstone != made.tombstone) continue;
    s.repeated_at = world_.now();
    return;
  }
  said.push_back(made);
}

bool oracle::was_said(peer_id const& publisher, bytes_view key, std::uint64_t sequence, std::uint64_t value_hash,
                      bool tombstone) const {
  auto const slot = statements_.find({to_bytes(key), publisher});
  if (slot == statements_.end()) return false;
  auto const at = slot->second.find(sequence);
  return at != slot->second.end() && std::any_of(at->second.begin(), at->second.end(), [&](statement const& s) {
           return s.value_hash == value_hash && s.tombstone == tombstone;
         });
}

bool oracle::fell_back(peer_id const& publisher, bytes_view key) const {
  auto const slot = statements_.find({to_bytes(key), publisher});
  if (slot == statements_.end()) return false;
  statement last;
  for (auto const& [sequence, all] : slot->second)
    for (statement const& s : all)
      if (s.repeated_at >= last.repeated_at) last = s;
  return last.sequence < slot->second.rbegin()->first;
}

/// A copy without signature has no sequence either, whichever its publisher gave it.
bool oracle::was_ever_said(peer_id const& publisher, bytes_view key, std::uint64_t value_hash) const {
  auto const slot = statements_.find({to_bytes(key), publisher});
  return slot != statements_.end() && std::any_of(slot->second.begin(), slot->second.end(), [&](auto const& each) {
           return std::any_of(each.second.begin(), each.second.end(),
                              [&](statement const& s) { return s.value_hash == value_hash && !s.tombstone; });
         });
}

/// The highest sequence with which it said so. A search shows no sequences; whoever provides again says the same again.
std::optional<std::uint64_t> oracle::last_said(peer_id const& publisher, bytes_view key, bytes_view value) const {
  std::optional<std::uint64_t> last;
  auto const slot = statements_.find({to_bytes(key), publisher});
  if (slot == statements_.end()) return last;
  for (auto const& [sequence, all] : slot->second)
    for (statement const& s : all)
      if (!s.tombstone && s.value_hash == hash_of(value)) last = sequence;
  return last;
}

copy oracle::copy_of(wire::record const& what, bytes_view key) const {
  copy c;
  if (kad::is_content(what)) {
    c.genuine = equal(kad::content_key(what.value), key);
    if (what.remaining_ms > 0) c.until = world_.now() + shortened(std::chrono::milliseconds(what.remaining_ms));
    return c;
  }
  auto const publisher = peer_id::from_bytes(what.publisher);
  if (!publisher) return c;
  c.publisher = *publisher;
  c.sequence = what.sequence;
  c.tombstone = is_tombstone(what);
  c.known = correct_ever_.contains(c.publisher) && !what.signature.empty();
  c.genuine = c.known && was_said(c.publisher, key, what.sequence, hash_of(what.value), c.tombstone);
  if (what.remaining_ms > 0) c.until = world_.now() + shortened(std::chrono::milliseconds(what.remaining_ms));
  return c;
}

// ---- requests -------------------------------------------------------------------------------------------------------

std::uint64_t oracle::on_asked(peer_id const& self, peer_ref const& to, message const& what) {
  std::uint64_t const number = next_request_++;
  open_request r;
  r.self = self;
  r.to = to->id();
  r.type = what.type;
  r.key = to_bytes(what.key);
  r.sequence = what.record ? what.record->sequence : what.sequence;
  r.asked_at = world_.now();
  // What it puts is what it says; liars, too, speak the truth there, but not in what they hand on.
  if (what.record && correct_ever_.contains(self) && (what.type == message_type::put_value || correct(self))) {
    auto const publisher = peer_id::from_bytes(what.record->publisher);
    if (publisher && *publisher == self) note_statement(self, *what.record, what.key);
  }
  if (what.record && kad::is_content(*what.record)) {
    if (correct(self) && what.type == message_type::replicate) hands_on_content(self, what);
  } else if (what.record && correct(self)) {
    if (what.type == message_type::put_value) publishes(self, what);
    if (what.type == message_type::replicate) hands_on(self, what);
  }
  if (asks_for_records(what.type)) {
    auto const at = gets_.find({self, r.key});
    if (at != gets_.end()) {
      auto& said = at->second->said;
      auto const known = std::find_if(said.begin(), said.end(), [&r](heard const& h) { return h.from == r.to; });
      if (known == said.end()) {
        heard h;
        h.from = r.to;
        h.asked_at = r.asked_at;
        said.push_back(std::move(h));
      }
    }
  }
  requests_.emplace(number, std::move(r));
  return number;
}

/// Only the user gives a key back its life, and a tombstone outlives what it withdraws.
void oracle::publishes(peer_id const& self, message const& what) {
  slot_name const slot{to_bytes(what.key), self};
  std::uint64_t const sequence = what.record->sequence;
  auto const says = [&] {
    return self.short_string() + " puts " + name(slot) + ", sequence " + std::to_string(sequence);
  };
  if (!is_tombstone(*what.record)) {
    auto const gone = withdrawn_.find(slot);
    expect(gone == withdrawn_.end() || sequence < gone->second, check::no_resurrection,
           [&] { return says() + ", though its user withdrew that by " + std::to_string(gone->second); });
    return;
  }
  auto const& said = statements_[slot];
  auto const before = said.lower_bound(sequence);
  if (before == said.begin()) return;
  for (statement const& s : std::prev(before)->second) {
    if (s.tombstone || s.said_at < born_[self]) continue;
    expect(std::chrono::milliseconds(what.record->lifetime_ms) >= s.lifetime, check::no_resurrection, [&] {
      return says() + ", a tombstone that ends before what it withdraws, sequence " + std::to_string(s.sequence);
    });
  }
}

/// A copy that is handed on has no longer life than the one that was stored here, or heard of.
void oracle::hands_on(peer_id const& self, message const& what) {
  auto const publisher = peer_id::from_bytes(what.record->publisher);
  if (!publisher || *publisher == self || !correct_ever_.contains(*publisher)) return;
  slot_name const slot{to_bytes(what.key), *publisher};
  auto const hands = [&] {
    return self.short_string() + " hands on " + name(slot) + ", sequence " + std::to_string(what.record->sequence) +
           ", ";
  };
  if (!expect(copy_of(*what.record, what.key).genuine, check::genuine,
              [&] { return hands() + "which was never said"; }))
    return;
  auto const& heard_of = hearsay_[self];
  auto const known = heard_of.find({slot, what.record->sequence});
  time_point const until = known == heard_of.end() ? time_point() : known->second;
  expect(world_.now() + std::chrono::milliseconds(what.record->remaining_ms) <= until, check::no_resurrection, [&] {
    return hands() + "for " + std::to_string(what.record->remaining_ms) + " ms, but what it knows of that ends in " +
           std::to_string(seconds(until) - seconds(world_.now())) + " s";
  });
}

void oracle::told(peer_id const& self, slot_name const& slot, std::uint64_t sequence, time_point at_most_until) {
  time_point& until = hearsay_[self][{slot, sequence}];
  until = std::max(until, at_most_until);
}

void oracle::on_withdrawn(peer_id const& self, bytes_view key, std::uint64_t sequence) {
  withdrawn_[{to_bytes(key), self}] = sequence;
}

void oracle::on_abandoned(std::uint64_t number) {
  expect(requests_.erase(number) == 1, check::ends_once, [] { return "a request was abandoned after it had ended"; });
}

void oracle::on_answered(std::uint64_t number, result<message> const& answer) {
  auto const at = requests_.find(number);
  if (!expect(at != requests_.end(), check::ends_once, [] { return "a request was answered twice"; })) return;
  open_request const r = std::move(at->second);
  requests_.erase(at);

  if (asks_for_records(r.type)) {
    if (answer)
      for (wire::record const& w : answer->records)
        if (copy const c = copy_of(w, r.key); c.genuine)
          told(r.self, {r.key, c.publisher}, c.sequence,
               world_.now() + lengthened(std::chrono::milliseconds(w.remaining_ms)));
    auto const found = gets_.find({r.self, r.key});
    if (found == gets_.end()) return;
    get_watch& watch = *found->second;
    for (std::size_t i = 0; i < watch.said.size(); ++i) {
      heard& h = watch.said[i];
      if (h.from != r.to || h.complete) continue;
      h.asked = false;
      if (!answer) return;
      if (answer->refusal) {
        h.refused_at = world_.now();
        return;
      }
      for (wire::record const& w : answer->records) h.copies.push_back(copy_of(w, r.key));
      if (++h.pages > most_pages)
        broke(check::lookup_bounded, r.self.short_string() + " has read " + std::to_string(h.pages) + " pages of '" +
                                         text_of(r.key) + "' from " + r.to.short_string() + ", and asks for more");
      h.asked = answer->records_cursor > 0;  // more pages of records; those of contacts do not matter here
      h.complete = !h.asked;
      if (h.complete) watch.in_order.push_back(i);
      return;
    }
  }
  if (r.type == message_type::put_value || r.type == message_type::renew || r.type == message_type::renew_content) {
    auto const found = puts_.find({r.self, r.key});
    if (found == puts_.end()) return;
    // Of content every put has the same sequence: what was asked before this one says nothing of it.
    if (found->second->content && r.asked_at < found->second->begun) return;
    put_watch::said& s = found->second->answers[r.to];
    if (!answer) {
      s.lost = s.lost || (s.stored && r.asked_at > s.stored_at);
    } else if (answer->refusal) {
      s.refused = true;
    } else {
      s.stored = true;
      s.sequences.insert(r.sequence);
      s.stored_at = world_.now();
    }
  }
}

// ---- what holders do ------------------------------------------------------------------------------------------------

void oracle::on_served(peer_id const& self, kad::node& node, peer_ref const& from, message const& request,
                       message const& answer, witness::reply how) {
  if (asks_for_records(request.type) && correct_ever_.contains(self))
    for (wire::record const& w : answer.records)
      if (equal(w.publisher, self.bytes())) note_statement(self, w, request.key);
  auto const at = memories_.find(self);
  if (at == memories_.end() || how != witness::reply::send) return;
  if (request.record && kad::is_content(*request.record)) {
    if (answer.refusal) return;
    if (request.type != message_type::get_value)
      return accepted_content(self, node.store(), at->second, from, request, answer);
    served_content(self, at->second, request, answer);
    return named_closest(self, node.table(), from, request, answer);
  }
  switch (request.type) {
    case message_type::put_value:
    case message_type::replicate:
    case message_type::renew:
      if (answer.refusal) return;
      accepted(self, node.store(), at->second, from, request);
      if (answer.durability == wire::durability::on_disk) {
        auto const& h = at->second[{to_bytes(request.key), from->id()}];
        time_point const until = h.acknowledged + shortened(h.lifetime);  // renewals since then need not be on disk
        promises_[self][{to_bytes(request.key), from->id()}] = {h.sequence, until, until + shortened(h.lifetime)};
      }
      return;
    case message_type::get_value:
    case message_type::get_providers:
      if (!answer.refusal) served(self, at->second, request, answer);
      [[fallthrough]];
    case message_type::find_node:
      if (!answer.refusal) named_closest(self, node.table(), from, request, answer);
      return;
    default: return;
  }
}

/// The contacts of an answer are closer than all those that are left out, but for the one who asks and who is silent.
void oracle::named_closest(peer_id const& self, kad::routing_table const& table, peer_ref const& from,
                           message const& request, message const& answer) {
  if (request.contacts_cursor > 0) return;  // not the whole of it
  kad::key const target = kad::key::of(request.key);
  std::optional<kad::key> farthest;
  for (peer_ref const& named : answer.contacts)
    if (kad::key const id(named->hash()); !farthest || target.closer(*farthest, id)) farthest = id;
  kad::contact const* missed = nullptr;
  table.for_each([&](kad::contact const& c) {
    bool const named = std::count(answer.contacts.begin(), answer.contacts.end(), c.peer) > 0;
    if (!named && c.peer != from && c.peer->unanswered == 0 && farthest && target.closer(c.id, *farthest)) missed = &c;
  });
  expect(missed == nullptr, check::names_closest, [&] {
    return self.short_string() + " names " + std::to_string(answer.contacts.size()) + " contacts to " +
           from->id().short_string() + ", but not " + missed->peer->id().short_string() + ", which is closer";
  });
}

void oracle::accepted(peer_id const& self, kad::record_store const& store, memory& in, peer_ref const& from,
                      message const& request) {
  bool const renew = request.type == message_type::renew;
  bool const handed_on = request.type == message_type::replicate;
  slot_name slot{to_bytes(request.key), from->id()};
  if (!renew) {
    auto const publisher = request.record ? peer_id::from_bytes(request.record->publisher) : fail(errc::malformed);
    if (publisher) slot.publisher = *publisher;
  }
  std::uint64_t const sequence = renew ? request.sequence : request.record->sequence;
  std::string const who = self.short_string() + " acknowledged ";
  auto const what = [&] {
    return who +
           (renew       ? "a renewal of "
            : handed_on ? "a copy of "
                        : "") +
           name(slot) + ", sequence " + std::to_string(sequence) + " from " + from->id().short_string();
  };

  bool const is_unsigned = !renew && request.record->signature.empty();
  if (is_unsigned && slot.publisher != from->id()) return;  // one slot per sender, which nobody can ask for
  auto const stored = store.sequence_of(slot.key, slot.publisher);
  if (!expect(stored == sequence, check::stored_is_stored, [&] {
        return what() + ", but holds " + (stored ? "sequence " + std::to_string(*stored) : std::string("nothing"));
      }))
    return;
  if (!expect(handed_on || slot.publisher == from->id(), check::no_resurrection,
              [&] { return what() + ", who is not its publisher"; }))
    return;
  // Of itself a node knows better, whoever hands it back what it once said.
  if (!correct_ever_.contains(slot.publisher) || slot.publisher == self) return;
  acknowledgements_[{self, slot}].emplace_back(sequence, world_.now());
  if (is_unsigned) return;  // without a sequence there is nothing more to hold it to

  time_point const now = world_.now();
  auto const known = in.find(slot);
  bool const remembered = known != in.end() && now < known->second.remembered_until;
  if (remembered) {
    held const& h = known->second;
    if (!expect(sequence >= h.sequence, check::no_resurrection, [&] {
          return what() + ", though it had acknowledged sequence " + std::to_string(h.sequence) +
                 (h.tombstone ? " (withdrawn)" : "");
        }))
      return;
    if (sequence == h.sequence && (handed_on || renew)) {
      if (!expect(now <= h.at_most_until, check::no_resurrection,
                  [&] { return what() + ", though it had expired there"; }))
        return;
      if (handed_on) return;  // changes nothing
    }
  } else if (renew) {
    broke(check::no_resurrection, what() + ", which it never had");
    return;
  }

  held& h = in[slot];
  if (!renew) {
    h.lifetime = std::chrono::milliseconds(request.record->lifetime_ms);
    h.tombstone = is_tombstone(*request.record);
  }
  bool const news = !remembered || sequence != h.sequence;
  h.sequence = sequence;
  duration life = h.lifetime;
  if (handed_on) life = std::min<duration>(life, std::chrono::milliseconds(request.record->remaining_ms));
  if (news || now > h.surely_until) h.acknowledged = now;  // what had run out may have been missing meanwhile
  h.surely_until = now + shortened(life);
  h.at_most_until = now + lengthened(life);
  told(self, slot, sequence, h.at_most_until);
  h.remembered_until = now + shortened(life) + shortened(h.lifetime);
}

void oracle::served(peer_id const& self, memory& in, message const& request, message const& answer) {
  time_point const now = world_.now();
  std::map<peer_id, std::uint64_t> shown;
  for (wire::record const& w : answer.records) {
    auto const publisher = peer_id::from_bytes(w.publisher);
    if (!publisher) continue;
    shown[*publisher] = w.sequence;
    if (*publisher == self || !correct_ever_.contains(*publisher) || w.signature.empty()) continue;
    slot_name const slot{to_bytes(request.key), *publisher};
    auto const known = in.find(slot);
    auto const serves = [&] {
      return self.short_string() + " serves " + name(slot) + ", sequence " + std::to_string(w.sequence);
    };
    if (!expect(known != in.end(), check::no_resurrection,
                [&] { return serves() + ", which nobody gave it in this life"; }))
      return;
    held const& h = known->second;
    if (!expect(w.sequence == h.sequence, check::no_resurrection, [&] {
          return serves() + ", but has acknowledged " + std::to_string(h.sequence) +
                 (h.tombstone ? " (withdrawn)" : "");
        }))
      return;
    if (!expect(now + std::chrono::milliseconds(w.remaining_ms) <= h.at_most_until, check::no_resurrection, [&] {
          return serves() + ", for " + std::to_string(w.remaining_ms) + " ms, but its life ends in " +
                 std::to_string(seconds(h.at_most_until) - seconds(now)) + " s";
        }))
      return;
  }
  if (request.records_cursor > 0) return;  // not the whole of it
  for (auto at = in.lower_bound({to_bytes(request.key), peer_id()});
       at != in.end() && equal(at->first.key, request.key); ++at) {
    if (at->second.surely_until <= now || at->first.publisher.empty()) continue;  // content is asked for otherwise
    if (!expect(shown.contains(at->first.publisher), check::kept_by_holder, [&] {
          return self.short_string() + " does not serve " + name(at->first) + ", which it acknowledged with sequence " +
                 std::to_string(at->second.sequence) + " and which lives on for " +
                 std::to_string(seconds(at->second.surely_until) - seconds(now)) + " s";
        }))
      return;
  }
}

/// Whether a higher sequence was heard, too, or held: if that ran out before the end, the lower one is no answer
/// either.
bool oracle::overtaken(peer_id const& self, get_watch const& watch, peer_id const& publisher,
                       std::uint64_t sequence) const {
  auto const own = memories_.find(self);
  if (own != memories_.end()) {
    auto const slot = own->second.find({watch.key, publisher});
    if (slot != own->second.end() && slot->second.sequence > sequence) return true;
  }
  if (publisher == self) {  // its own word it knows without anybody's
    auto const said = statements_.find({watch.key, publisher});
    if (said != statements_.end() && !said->second.empty() && said->second.rbegin()->first > sequence) return true;
  }
  for (heard const& h : watch.said)
    for (copy const& c : h.copies)
      if (c.publisher == publisher && c.genuine && c.sequence > sequence) return true;
  return false;
}

// ---- gets -----------------------------------------------------------------------------------------------------------

void oracle::begin_get(peer_id const& self, get_watch& watch) {
  watch.begun = world_.now();
  gets_[{self, watch.key}] = &watch;
}

void oracle::drop_get(peer_id const& self, get_watch const& watch) noexcept {
  auto const at = gets_.find({self, watch.key});
  if (at != gets_.end() && at->second == &watch) gets_.erase(at);
}

void oracle::end_get(peer_id const& self, get_watch& watch, kad::get_result const& got) {
  drop_get(self, watch);
  if (!correct(self)) return;  // a liar's GET is true, but nobody follows what it holds itself
  auto const text = "GET of '" + text_of(watch.key) + "' by " + self.short_string();
  sequences highest;
  for (auto const* list : {&got.records(), &got.withdrawn()}) {
    for (kad::found_record const& f : *list) {
      peer_id const& publisher = f.value.publisher;
      highest[publisher] = f.value.sequence;
      if (!correct_ever_.contains(publisher) || publisher == self) continue;
      // What is not signed a forger can say in anybody's name; the result tells that it is not.
      if (!f.value.is_signed() && plan_.faults.has(fault::forge_records)) continue;
      bool const said = f.value.is_signed() ? was_said(publisher, watch.key, f.value.sequence, hash_of(f.value.value),
                                                       f.value.tombstone())
                                            : was_ever_said(publisher, watch.key, hash_of(f.value.value));
      if (!expect(said, check::genuine, [&] {
            return text + " returned sequence " + std::to_string(f.value.sequence) + " of " + publisher.short_string() +
                   ", which never said that";
          }))
        return;
    }
  }
  judge_answers(self, watch, text, highest, got);
  judge_outcome(watch, got, !got.records().empty());
}

void oracle::end_search(peer_id const& self, get_watch& watch, kad::providers_result const& got) {
  drop_get(self, watch);
  if (!correct(self)) return;
  auto const text = "search for the providers of '" + text_of(watch.key) + "' by " + self.short_string();
  sequences highest;
  for (kad::found_record const& f : got.withdrawn()) {
    highest[f.value.publisher] = f.value.sequence;
    if (!correct_ever_.contains(f.value.publisher) || f.value.publisher == self) continue;
    if (!expect(
            was_said(f.value.publisher, watch.key, f.value.sequence, hash_of(f.value.value), true), check::genuine,
            [&] { return text + " returned a tombstone that " + f.value.publisher.short_string() + " never said"; }))
      return;
  }
  for (kad::provider const& p : got.providers()) {
    auto const said = last_said(p.peer, watch.key, kad::detail::encode_addresses(p.addresses));
    highest[p.peer] = p.peer == self ? ~std::uint64_t{0} : said.value_or(0);  // of itself it knows better
    if (!correct_ever_.contains(p.peer) || p.peer == self) continue;
    if (!p.is_signed && plan_.faults.has(fault::forge_records)) continue;
    if (!expect(said.has_value(), check::genuine,
                [&] { return text + " returned " + p.peer.short_string() + ", which never said that it is there"; }))
      return;
  }
  judge_answers(self, watch, text, highest, got);
  judge_outcome(watch, got, !got.providers().empty());
}

template <class Result>
void oracle::judge_answers(peer_id const& self, get_watch const& watch, std::string const& text,
                           sequences const& highest, Result const& got) {
  auto const at_least = [&](peer_id const& publisher, std::uint64_t sequence) {
    auto const at = highest.find(publisher);
    return at != highest.end() && at->second >= sequence;
  };
  std::size_t const counted = watch.complete_of(got.answered());
  for (std::size_t n = 0; n < counted; ++n) {
    heard const& h = watch.said[watch.in_order[n]];
    for (copy const& c : h.copies) {
      if (!c.known || !c.genuine || c.until <= world_.now()) continue;
      if (overtaken(self, watch, c.publisher, c.sequence)) continue;
      if (!expect(at_least(c.publisher, c.sequence), check::highest_wins, [&] {
            return text + " heard sequence " + std::to_string(c.sequence) + " of " + c.publisher.short_string() +
                   " from " + h.from.short_string() + ", which lives for " +
                   std::to_string(seconds(c.until) - seconds(world_.now())) + " s more, but returned " +
                   (highest.contains(c.publisher) ? std::to_string(highest.at(c.publisher)) : "nothing") + ": " +
                   got.explain();
          }))
        return;
    }
    auto const memory_of = memories_.find(h.from);
    if (!watch.majority || memory_of == memories_.end()) continue;
    auto const& in = memory_of->second;
    for (auto at = in.lower_bound({watch.key, peer_id()}); at != in.end() && at->first.key == watch.key; ++at) {
      held const& it = at->second;
      if (at->first.publisher.empty()) continue;  // content is another GET's
      if (it.acknowledged >= h.asked_at || it.surely_until <= world_.now()) continue;
      bool const ran_out = std::any_of(h.copies.begin(), h.copies.end(), [&](copy const& c) {  // for all that was heard
        return c.publisher == at->first.publisher && c.until <= world_.now();
      });
      if (ran_out || overtaken(self, watch, at->first.publisher, it.sequence)) continue;
      if (!expect(at_least(at->first.publisher, it.sequence), check::kept_for_getter, [&] {
            return text + " heard " + h.from.short_string() + ", which had acknowledged sequence " +
                   std::to_string(it.sequence) + " of " + at->first.publisher.short_string() +
                   (it.tombstone ? " (withdrawn) " : " ") + std::to_string(seconds(it.acknowledged)) +
                   " s after the start, but returned less, of " + std::to_string(h.copies.size()) +
                   " copies from there";
          }))
        return;
    }
  }
}

template <class Result>
void oracle::judge_outcome(get_watch const& watch, Result const& got, bool found_any) {
  using kad::get_outcome;
  bool refusal = false;
  bool invalid = false;
  for (heard const& h : watch.said) {
    refusal = refusal || (h.refused_at && *h.refused_at < world_.now());
    for (copy const& c : h.copies) invalid = invalid || c.until == time_point() || !c.genuine;
  }
  bool right = false;
  switch (got.outcome()) {
    case get_outcome::found: right = found_any; break;
    case get_outcome::not_found: right = !found_any && (got.answered() > 0 || !got.withdrawn().empty()); break;
    case get_outcome::only_invalid: right = !found_any && invalid; break;
    case get_outcome::refused: right = got.answered() == 0 && refusal; break;
    case get_outcome::timed_out: right = got.answered() == 0 && !watch.said.empty() && !refusal; break;
    case get_outcome::nobody_to_ask: right = watch.said.empty(); break;
  }
  expect(right, check::outcome_true, [&] {
    return "GET of '" + text_of(watch.key) + "': " + std::string(kad::to_string(got.outcome())) + ", though " +
           std::to_string(watch.said.size()) + " were asked, " + std::to_string(got.answered()) +
           " answered: " + got.explain();
  });
}

template void oracle::judge_outcome(get_watch const&, kad::get_result const&, bool);  // of content, elsewhere

// ---- puts -----------------------------------------------------------------------------------------------------------

void oracle::begin_put(peer_id const& self, put_watch& watch) {
  watch.begun = world_.now();
  puts_[{self, watch.key}] = &watch;
}

void oracle::drop_put(peer_id const& self, put_watch const& watch) noexcept {
  auto const at = puts_.find({self, watch.key});
  if (at != puts_.end() && at->second == &watch) puts_.erase(at);
}

void oracle::end_put(peer_id const& self, put_watch& watch, kad::put_receipt const& receipt, kad::quorum quorum) {
  drop_put(self, watch);
  auto const text = "PUT of '" + text_of(watch.key) + "' by " + self.short_string() + ", sequence " +
                    std::to_string(receipt.sequence());

  std::set<peer_id> distinct;
  std::size_t stored = 0;
  for (kad::replica const& r : receipt.replicas()) {
    distinct.insert(r.peer);
    stored += r.now == kad::replica::state::stored ? 1u : 0u;
  }
  bool const nobody = std::none_of(receipt.replicas().begin(), receipt.replicas().end(), [](kad::replica const& r) {
    return r.now == kad::replica::state::stored || r.now == kad::replica::state::asked;
  });
  // Where sybils crowd around a key, the record goes to the whole region.
  std::size_t const most = plan_.faults.has(fault::sybils) ? kad::node_options().max_region : plan_.replicas;
  bool const counts =
      distinct.size() == receipt.population() && !distinct.contains(self) && (receipt.population() <= most || nobody) &&
      receipt.needed() == quorum.needed(receipt.population()) &&
      receipt.degraded() == (receipt.population() < plan_.replicas) && receipt.ok() == (stored >= receipt.needed());
  if (!expect(counts, check::receipt_counts, [&] {
        return text + ": |R| " + std::to_string(receipt.population()) + ", needed " + std::to_string(receipt.needed()) +
               ", stored " + std::to_string(stored) + ", ok " + std::to_string(receipt.ok());
      }))
    return;

  for (kad::replica const& r : receipt.replicas()) {
    auto const at = watch.answers.find(r.peer);
    put_watch::said const said = at == watch.answers.end() ? put_watch::said() : at->second;
    bool right = true;
    switch (r.now) {
      case kad::replica::state::stored: {
        right = said.stored;
        if (!correct(r.peer) || born_.at(r.peer) >= watch.begun) break;  // it may have been somebody else who said so
        auto const acks = acknowledgements_.find({r.peer, {watch.key, watch.content ? peer_id() : self}});
        right = right && acks != acknowledgements_.end() &&
                std::any_of(acks->second.begin(), acks->second.end(), [&](auto const& ack) {
                  // On a stream nobody hears a sequence, also when the putter, which had not met its peer, sent one.
                  bool const same = plan_.transport == transport_kind::stream || said.sequences.contains(ack.first);
                  return ack.second >= watch.begun && same;
                });
        break;
      }
      case kad::replica::state::refused: {
        bool const own_word = r.why.find("this node") != std::string::npos;
        right = said.refused || own_word || r.refusal == errc::refused_unsupported;
        break;
      }
      case kad::replica::state::no_answer:  // by then; what comes in at this very instant is too late
        right = !said.sequences.contains(receipt.sequence()) || said.stored_at == world_.now() || said.lost;
        break;
      case kad::replica::state::asked: right = false; break;
    }
    if (!expect(right, check::receipt_true, [&] {
          return text + ": the receipt says of " + r.peer.short_string() + " " +
                 (r.now == kad::replica::state::stored    ? "stored"
                  : r.now == kad::replica::state::refused ? "refused (" + r.why + ")"
                                                          : "no answer (" + r.why + ")") +
                 ", but it " +
                 (said.stored    ? "stored"
                  : said.refused ? "refused"
                                 : "said nothing");
        }))
      return;
  }
}

}  // namespace kadoro_sim
