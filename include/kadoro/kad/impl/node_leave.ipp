#pragma once

#include <algorithm>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// A server that leaves takes its copies with it. Of each record that it holds for others, the one that comes into its
// place among the r closest gets a copy first, with what remains of its life. In a swarm of at most r others nobody
// comes into its place, and there is nothing to do.

/// What a node that leaves passes on: each worker takes the next.
struct node_core::legacy {
  static constexpr std::size_t max_bytes = 16u << 20;
  static constexpr std::size_t workers = 16;

  std::vector<std::pair<kadoro::bytes, peer_id>> records;  ///< keys with publishers
  std::vector<peer_id> going;                              ///< others that leave, too, or are not there any more
  std::size_t next = 0;
  std::size_t bytes = 0;  ///< sent
};

/// Passes on what it can until it is asked to stop.
KADORO_DECL coro::task<void> node_core::hand_over(node_core& core, time_point until) {
  if (core.options_.mode != peer_mode::server || core.table_.size() < core.options_.replicas) co_return;
  legacy all;
  core.store_.for_each(core.context_.now(), [&core, &all](record_store::held const& h) {
    bool const theirs = h.value->is_signed() ? h.value->publisher != core.id_ : h.value->is_content();
    if (theirs) all.records.emplace_back(h.value->key, h.value->publisher);
  });
  if (all.records.empty()) co_return;
  time_point const now = core.context_.now();
  auto const asked = co_await coro::with_deadline(ask_who_stays(core, all), now + (until - now) / 4);
  static_cast<void>(asked);  // who has not answered by then is not counted on
  coro::environment const environment = co_await coro::this_environment();
  coro::scope work(core.context_, environment.cancel());
  work.abandon();  // if the whole chain of awaits is destroyed, it goes with it
  for (std::size_t i = 0; i < std::min(legacy::workers, all.records.size()); ++i) work.spawn(pass_on(core, all));
  co_await work.join();
}

/// Others may leave at the same time, or have left without this node having heard of it yet: what they hold goes, too.
KADORO_DECL coro::task<void> node_core::ask_who_stays(node_core& core, legacy& all) {
  peer_list const around =
      core.members_.view() != 0 ? core.members_.all() : core.neighbours(core.table_.self(), 2 * core.k());
  coro::environment const environment = co_await coro::this_environment();
  coro::scope asks(core.context_, environment.cancel());
  asks.abandon();  // if the whole chain of awaits is destroyed, they go with it
  for (peer_ref const& who : around)
    if (who->unanswered == 0 && !is_foreign(*who)) asks.spawn(ask_whether_it_stays(core, all, who));
  co_await asks.join();
}

KADORO_DECL coro::task<void> node_core::ask_whether_it_stays(node_core& core, legacy& all, peer_ref who) {
  transport::message request;
  request.type = transport::message_type::ping;
  auto const answer = co_await core.transport_->request(who, request);
  if (!answer || answer->refusal == errc::refused) all.going.push_back(who->id());
}

KADORO_DECL coro::task<void> node_core::pass_on(node_core& core, legacy& all) {
  static constexpr std::size_t slice = 64;  // then others have their turn
  coro::environment const environment = co_await coro::this_environment();
  while (all.next < all.records.size() && all.bytes < legacy::max_bytes && !environment.cancel().requested()) {
    auto const [key, publisher] = all.records[all.next++];
    if (all.next % slice == 0) {
      auto const turn = co_await coro::sleep_for(duration::zero());
      if (!turn) co_return;
    }
    auto [heirs, needed] = core.heirs_of(kad::key::of(key), publisher, all.going);
    for (peer_ref const& heir : heirs) {
      if (needed == 0) break;
      auto const held = core.store_.find(key, publisher, core.context_.now());
      if (!held) break;
      record const what = *held->value;
      duration const remaining = held->remaining;
      bool const taken = co_await bequeath(core, all, what, remaining, heir);
      if (taken) --needed;
    }
  }
}

/// Who comes into the place of this node, and of those of the r closest that go, too; and who follows in case that one
/// of these leaves as well. Nobody if this node is not among the r closest itself and all of them stay, or everybody
/// has the record anyway. Its publisher needs no copy. In a swarm that is small enough the members say it, who are more
/// than a table has room for. A table may lack one that is closer: then the one before comes into the place, and gets a
/// copy, too.
KADORO_DECL node_core::succession node_core::heirs_of(key const& where, peer_id const& publisher,
                                                      std::vector<peer_id> const& going) const {
  static constexpr std::size_t in_reserve = 2;
  std::size_t const r = options_.replicas;
  std::size_t const n = 2 * r + in_reserve;
  peer_list known = members_.view() != 0 ? members_.closest(where, n) : neighbours(where, n);
  std::erase_if(known, [&publisher](peer_ref const& p) { return p->id() == publisher || is_foreign(*p); });
  bool const among_closest = known.size() < r || !where.closer(key(known[r - 1]->hash()), table_.self());
  std::size_t const in_doubt = members_.view() == 0 && among_closest && r > 1 ? 1 : 0;
  std::size_t const holders = (among_closest ? r - 1 : r) - in_doubt;
  succession out{{}, r};
  for (std::size_t i = 0; i < known.size() && out.heirs.size() < out.needed + in_reserve; ++i) {
    if (known[i]->unanswered > 0 || std::find(going.begin(), going.end(), known[i]->id()) != going.end()) continue;
    if (i < holders)
      --out.needed;
    else
      out.heirs.push_back(known[i]);
  }
  return out;
}

/// Contacts of the table, the closest first.
KADORO_DECL peer_list node_core::neighbours(key const& of, std::size_t n) const {
  peer_list out;
  for (contact const* const c : table_.nearest(of, n)) out.push_back(c->peer);
  return out;
}

/// True if `to` has the record now. What does not fit into one datagram is offered before it is sent: others who leave
/// may have passed it on already.
KADORO_DECL coro::task<bool> node_core::bequeath(node_core& core, legacy& all, record const& what, duration remaining,
                                                 peer_ref to) {
  static constexpr std::size_t worth_a_question = 1024;
  time_point const asked = core.context_.now();
  if (what.is_signed() && what.value.size() > worth_a_question) {
    record_header const header = what.header();
    transport::message offer;
    offer.type = transport::message_type::offer;
    offer.key = what.key;
    offer.record = to_wire(header, false);
    auto const answer = co_await core.transport_->request(to, offer);
    if (!answer) co_return false;
    if (answer->refusal != errc::refused_unknown) co_return !answer->refusal;
  }
  all.bytes += what.value.size();
  auto const said = co_await hand_on(core, what, remaining - (core.context_.now() - asked), to);
  // Who knows something newer needs no copy. Who remembers this very one as run out takes it from its publisher only.
  bool const newer = said && said->record && said->record->sequence > what.sequence;
  co_return said && (!said->refusal || newer);
}

/// Somebody who leaves asks whether this node has that very record, or a newer one.
KADORO_DECL void node_core::answer_offer(transport::message const& request, transport::message& answer) {
  answer.refusal = errc::refused;
  if (leaving_ || !request.record) return;
  auto const header = header_from_wire(*request.record, request.key);
  if (!header) return;
  auto const held = store_.sequence_of(request.key, header->publisher);
  if (held && *held >= header->sequence)
    answer.refusal.reset();
  else
    answer.refusal = errc::refused_unknown;
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
