#include <algorithm>

#include "oracle.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

// What holds of content. It is true by itself, so nobody need have said it; what a holder has acknowledged it serves
// for the longest life that anybody has granted, and no longer.

namespace {

std::string name_of(bytes_view key) { return "content " + kad::printable(key); }

}  // namespace

void oracle::accepted_content(peer_id const& self, kad::record_store const& store, memory& in, peer_ref const& from,
                              message const& request, message const& answer) {
  bool const renew = request.type == message_type::renew_content;
  bool const handed_on = request.type == message_type::replicate;
  wire::record const& w = *request.record;
  slot_name const slot{to_bytes(request.key), peer_id()};
  auto const what = [&] {
    return self.short_string() + " acknowledged " + (renew ? "a renewal of " : "") + name_of(slot.key) + " from " +
           from->id().short_string();
  };
  if (!renew && !expect(equal(kad::content_key(w.value), slot.key), check::genuine,
                        [&] { return what() + ", but its value has another hash"; }))
    return;
  if (!expect(store.sequence_of(slot.key, slot.publisher).has_value(), check::stored_is_stored,
              [&] { return what() + ", but holds nothing"; }))
    return;
  time_point const now = world_.now();
  auto const known = in.find(slot);
  bool const maybe = known != in.end() && now <= known->second.at_most_until;
  if (!expect(maybe || !renew || own_contents_.contains({self, slot.key}), check::no_resurrection,
              [&] { return what() + ", which it did not have, or no more"; }))
    return;
  acknowledgements_[{self, slot}].emplace_back(0, now);
  bool const surely = maybe && now < known->second.surely_until;
  held& h = in[slot];
  if (!surely) h.acknowledged = now;  // what had run out may have been missing meanwhile
  duration life = std::chrono::milliseconds(w.lifetime_ms);
  if (handed_on) life = std::min<duration>(life, std::chrono::milliseconds(w.remaining_ms));
  if (!(handed_on && surely)) {
    h.lifetime = std::max(maybe ? h.lifetime : duration::zero(), life);
    // If it was there still, that it was handed on has changed nothing.
    if (!handed_on || !maybe) h.surely_until = std::max(h.surely_until, now + shortened(life));
    h.at_most_until = std::max(h.at_most_until, now + lengthened(life));
    told(self, slot, 0, h.at_most_until);
  }
  if (answer.durability != wire::durability::on_disk) return;
  time_point const since = renew ? h.acknowledged : now;  // renewals since then need not be on disk
  promise& p = promises_[self][slot];
  p.lives_until = p.remembered_until = since + shortened(life);
}

void oracle::served_content(peer_id const& self, memory& in, message const& request, message const& answer) {
  time_point const now = world_.now();
  slot_name const slot{to_bytes(request.key), peer_id()};
  auto const known = in.find(slot);
  for (wire::record const& w : answer.records) {
    if (!expect(kad::is_content(w) && equal(kad::content_key(w.value), slot.key), check::genuine,
                [&] { return self.short_string() + " serves as " + name_of(slot.key) + " what is not its content"; }))
      return;
    if (own_contents_.contains({self, slot.key})) return;
    bool const in_time =
        known != in.end() && now + std::chrono::milliseconds(w.remaining_ms) <= known->second.at_most_until;
    expect(in_time, check::no_resurrection, [&] {
      return self.short_string() + " serves " + name_of(slot.key) + " for " + std::to_string(w.remaining_ms) +
             " ms, which nobody has granted it";
    });
    return;
  }
  bool const must = known != in.end() && known->second.surely_until > now;
  expect(!must, check::kept_by_holder, [&] {
    return self.short_string() + " does not serve " + name_of(slot.key) +
           ", which it has acknowledged and which lives " +
           std::to_string(seconds(known->second.surely_until) - seconds(now)) + " s more";
  });
}

void oracle::hands_on_content(peer_id const& self, message const& what) {
  bytes const key = to_bytes(what.key);
  if (!expect(equal(kad::content_key(what.record->value), key), check::genuine,
              [&] { return self.short_string() + " hands on as " + name_of(key) + " what is not its content"; }))
    return;
  if (own_contents_.contains({self, key})) return;
  auto const& heard_of = hearsay_[self];
  auto const known = heard_of.find({slot_name{key, peer_id()}, 0});
  time_point const until = known == heard_of.end() ? time_point() : known->second;
  expect(world_.now() + std::chrono::milliseconds(what.record->remaining_ms) <= until, check::no_resurrection, [&] {
    return self.short_string() + " hands on " + name_of(key) + " for " + std::to_string(what.record->remaining_ms) +
           " ms, but what it knows of that ends in " + std::to_string(seconds(until) - seconds(world_.now())) + " s";
  });
}

void oracle::reloaded_content(peer_id const& who, kad::kept_slot const& kept, memory const& before,
                              time_point host_now) {
  time_point const now = world_.now();
  slot_name const slot{kept.key, peer_id()};
  duration const left = kept.valid->expires - host_now;
  auto const was = before.find(slot);
  bool const longer = was != before.end() && now + left > was->second.at_most_until;
  if (!expect(!longer || own_contents_.contains({who, kept.key}), check::durable_is_kept, [&] {
        return who.short_string() + " starts with " + name_of(kept.key) + ", which lives longer than it did";
      }))
    return;
  held h;
  h.lifetime = kept.valid->what.lifetime_max;
  h.acknowledged = now;
  h.surely_until = now + shortened(left);
  h.at_most_until = now + lengthened(left);
  told(who, slot, 0, h.at_most_until);
  auto const in = memories_.find(who);
  if (in != memories_.end()) in->second[slot] = h;
}

void oracle::end_content_get(peer_id const& self, get_watch& watch, kad::content_result const& got) {
  drop_get(self, watch);
  if (!correct(self)) return;
  auto const text = "GET of " + name_of(watch.key) + " by " + self.short_string();
  bool const right = !got.found() || equal(kad::content_key(got.value()), watch.key);
  if (!expect(right, check::genuine, [&] { return text + " returned something else"; })) return;
  std::size_t const counted = watch.complete_of(got.answered());
  for (std::size_t n = 0; n < counted && !got.found(); ++n) {
    heard const& h = watch.said[watch.in_order[n]];
    auto const memory_of = memories_.find(h.from);
    if (memory_of == memories_.end()) continue;
    auto const at = memory_of->second.find({watch.key, peer_id()});
    if (at == memory_of->second.end() || at->second.acknowledged >= h.asked_at) continue;
    if (at->second.surely_until <= world_.now()) continue;
    bool const ran_out =
        std::any_of(h.copies.begin(), h.copies.end(), [&](copy const& c) { return c.until <= world_.now(); });
    if (ran_out) continue;
    broke(check::kept_for_getter, text + " heard " + h.from.short_string() + ", which had acknowledged it " +
                                      std::to_string(seconds(at->second.acknowledged)) +
                                      " s after the start, but did not find it: " + got.explain());
    return;
  }
  passed(check::kept_for_getter);
  judge_outcome(watch, got.details(), !got.details().records().empty());
}

}  // namespace kadoro_sim
