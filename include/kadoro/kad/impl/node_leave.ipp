#pragma once

#include <algorithm>
#include <optional>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// A server that leaves takes its copies with it. Of each record that it holds for others, the one that comes into its
// place among the r closest gets a copy first, with what remains of its life. In a swarm of at most r others nobody
// comes into its place, and there is nothing to do.

struct node_core::succession {
  peer_list heirs;         ///< in the order in which they are asked, with some in reserve
  std::size_t needed = 0;  ///< so many of them
};

/// What a node that leaves passes on: each worker takes the next.
struct node_core::legacy {
  static constexpr std::size_t max_bytes = 16u << 20;
  static constexpr std::size_t workers = 16;

  struct bequest {
    kadoro::bytes key;
    peer_id publisher;
    std::optional<succession> to = std::nullopt;  ///< once it has been looked at
  };

  std::vector<bequest> records;  ///< what needs a further copy stands once more, behind all others
  std::vector<peer_id> going;    ///< others that leave, too, or are not there any more
  std::vector<peer_id> silent;   ///< others that may be slow
  std::size_t next = 0;
  std::size_t bytes = 0;  ///< sent

  bool may_go_on(coro::environment const& in) const noexcept { return bytes < max_bytes && !in.cancel().requested(); }
  static bool has(std::vector<peer_id> const& some, peer_ref const& who) {
    return std::find(some.begin(), some.end(), who->id()) != some.end();
  }
};

/// Passes on what it can until it is asked to stop.
KADORO_DECL coro::task<void> node_core::hand_over(node_core& core, time_point until) {
  if (core.options_.mode != peer_mode::server || core.table_.size() < core.options_.replicas) co_return;
  legacy all;
  core.store_.for_each(core.context_.now(), [&core, &all](record_store::held const& h) {
    bool const theirs = h.value->is_signed() ? h.value->publisher != core.id_ : h.value->is_content();
    if (theirs) all.records.push_back({h.value->key, h.value->publisher});
  });
  bool const lacking = std::any_of(all.records.begin(), all.records.end(), [&core](legacy::bequest const& b) {
    return core.anybody_lacks(kad::key::of(b.key), b.publisher);
  });
  if (!lacking) co_return;
  time_point const now = core.context_.now();
  auto const asked = co_await coro::with_deadline(ask_who_stays(core, all), now + (until - now) / 4);
  static_cast<void>(asked);  // who has not answered by then is silent
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
  if (!answer && (answer.error() == errc::cancelled || answer.error() == errc::queue_full))
    all.silent.push_back(who->id());
  else if (!answer || answer->refusal == errc::refused)
    all.going.push_back(who->id());
}

/// A copy of each record first, then further ones of those that need more.
KADORO_DECL coro::task<void> node_core::pass_on(node_core& core, legacy& all) {
  static constexpr std::size_t slice = 64;  // then others have their turn
  coro::environment const environment = co_await coro::this_environment();
  while (all.next < all.records.size() && all.may_go_on(environment)) {
    legacy::bequest mine = std::move(all.records[all.next++]);
    if (all.next % slice == 0) {
      auto const turn = co_await coro::sleep_for(duration::zero());
      if (!turn) co_return;
    }
    if (!mine.to) mine.to = core.heirs_of(kad::key::of(mine.key), mine.publisher, all);
    peer_list& heirs = mine.to->heirs;
    bool taken = mine.to->needed == 0;
    while (!taken && !heirs.empty() && all.may_go_on(environment)) {
      peer_ref const heir = heirs.front();
      heirs.erase(heirs.begin());
      auto const held = core.store_.find(mine.key, mine.publisher, core.context_.now());
      if (!held) break;
      record const what = *held->value;
      duration const remaining = held->remaining;
      bool const took = co_await bequeath(core, all, what, remaining, heir);
      taken = took;
      if (taken && --mine.to->needed > 0) all.records.push_back(mine);
    }
  }
}

/// The closest servers that are known, but for the publisher, who needs no copy. In a swarm that is small enough the
/// members say it, who are more than a table has room for.
KADORO_DECL peer_list node_core::possible_heirs(key const& where, peer_id const& publisher, std::size_t n) const {
  peer_list known = members_.view() != 0 ? members_.closest(where, n) : neighbours(where, n);
  std::erase_if(known, [&publisher](peer_ref const& p) { return p->id() == publisher || is_foreign(*p); });
  return known;
}

/// Whether there is anybody but those that have the record already.
KADORO_DECL bool node_core::anybody_lacks(key const& where, peer_id const& publisher) const {
  std::size_t const r = options_.replicas;
  return possible_heirs(where, publisher, 2 * r).size() >= r;
}

/// Who comes into the place of this node, and of those of the r closest that go, too; and who follows in case that one
/// of these leaves as well. Nobody if this node is not among the r closest itself and all of them stay. A table may
/// lack one that is closer: then the one before comes into the place, and gets a copy, too. Several that leave at once
/// each begin with another one. Who was silent may be there, but nobody should wait for it, or count on its copy.
KADORO_DECL node_core::succession node_core::heirs_of(key const& where, peer_id const& publisher,
                                                      legacy const& all) const {
  static constexpr std::size_t in_reserve = 2;
  static constexpr std::size_t most = 3;  // the others that leave do their part
  std::size_t const r = options_.replicas;
  peer_list const known = possible_heirs(where, publisher, 2 * r + in_reserve + all.going.size());
  bool const among_closest = known.size() < r || !where.closer(key(known[r - 1]->hash()), table_.self());
  std::size_t const in_doubt = members_.view() == 0 && among_closest && r > 1 ? 1 : 0;
  std::size_t const holders = (among_closest ? r - 1 : r) - in_doubt;
  succession out{{}, r};
  peer_list silent;
  std::size_t before = in_doubt;  // so many others begin with one that is closer
  for (std::size_t i = 0; i < known.size(); ++i) {
    peer_ref const& who = known[i];
    if (who->unanswered > 0 || legacy::has(all.going, who))
      before += where.closer(key(who->hash()), table_.self()) ? 1u : 0u;
    else if (i < holders)
      out.needed -= legacy::has(all.silent, who) ? 0u : 1u;
    else
      (legacy::has(all.silent, who) ? silent : out.heirs).push_back(who);
  }
  std::size_t const turns = std::min(out.needed, out.heirs.size());
  if (turns > 0)
    std::rotate(out.heirs.begin(), out.heirs.begin() + static_cast<std::ptrdiff_t>(before % turns),
                out.heirs.begin() + static_cast<std::ptrdiff_t>(turns));
  out.needed = std::min(out.needed, most);
  out.heirs.insert(out.heirs.end(), silent.begin(), silent.end());
  if (out.heirs.size() > out.needed + in_reserve) out.heirs.resize(out.needed + in_reserve);
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
