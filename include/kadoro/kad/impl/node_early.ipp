#pragma once

#include <algorithm>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// Who probably belongs to the replicas of a record is given it in the same round trip as the question that is just
// being put to it: the lookup tells later who does belong to them, and finds the record there. Only those count.

/// In a swarm that is smaller than the table that is whoever is met, for all that this node publishes.
KADORO_DECL void node_core::share_with(peer_ref const& who) {
  static constexpr std::size_t max_publications = 64;  ///< beyond that, once it has been confirmed
  if (closed_ || table_.size() >= k() || publications_.size() > max_publications) return;
  for (auto& [key, p] : publications_)
    if (probably_replica(kad::key::of(key), p, who)) share(p, who);
}

/// In a larger one that is, for the key that is looked up, who is so close to it that fewer than r others are due in
/// between. The idea is that of "IPFS in the Fast Lane: Accelerating Record Storage with Optimistic Provide" (Trautwein
/// et al., INFOCOM 2024); but here a receipt waits until it knows who the replicas are.
KADORO_DECL void node_core::share_on_the_way(bytes_view key, peer_ref const& who) {
  publication* const p = published(key);
  if (closed_ || p == nullptr || p->holders.size() + p->sharing.size() >= 2 * options_.replicas) return;
  if (due_closer(kad::key::of(key), kad::key(who->hash())) < static_cast<double>(options_.replicas)) share(*p, who);
}

KADORO_DECL void node_core::share(publication& p, peer_ref const& who) {
  if (who->mode == peer_mode::client || who->unanswered > 0 || is_foreign(*who)) return;
  if (p.how.durable || p.holders.contains(who->id()) || p.sharing.contains(who->id())) return;
  auto const done = std::allocate_shared<coro::event>(pooled_allocator<coro::event>());
  if (jobs_.spawn(share_job(*this, p.what, who, done))) p.sharing.emplace(who->id(), publication::share{who, done});
}

/// Fewer than r of those that are known, or are being given the record, are closer.
KADORO_DECL bool node_core::probably_replica(key const& where, publication const& p, peer_ref const& who) const {
  key const id(who->hash());
  auto const known = table_.nearest(where, options_.replicas);
  auto closer = static_cast<std::size_t>(std::count_if(known.begin(), known.end(), [&](contact const* c) {
    return c->peer->unanswered == 0 && !p.sharing.contains(c->peer->id()) && where.closer(c->id, id);
  }));
  for (auto const& [other, share] : p.sharing)
    if (where.closer(key(share.to->hash()), id)) ++closer;
  return closer < options_.replicas;
}

/// Servers that somebody tells of. In a small swarm everybody will know everybody: why not now.
KADORO_DECL void node_core::meet(peer_list const& strangers) {
  if (closed_ || table_.size() >= k()) return;
  for (peer_ref const& who : strangers) {
    if (checking_.size() >= max_checks) return;  // who makes up peers costs us no more than that
    if (!worth_meeting(*who)) continue;
    check(who);
    share_with(who);
  }
}

/// Of those who were given the record on the way, only these belong to its replicas.
KADORO_DECL void node_core::keep_holders(record const& what, peer_list const& set) {
  publication* const p = published(what);
  if (set.empty() || p == nullptr) return;
  std::erase_if(p->holders, [&set](peer_id const& id) {
    return std::none_of(set.begin(), set.end(), [&id](peer_ref const& kept) { return kept->id() == id; });
  });
}

KADORO_DECL coro::task<void> node_core::share_job(node_core& core, record what, peer_ref to,
                                                  std::shared_ptr<coro::event> done) {
  auto const turn =
      co_await coro::sleep_for(duration::zero());  // a question that can ride in a first flight goes first
  if (turn) {
    store_answer const said = co_await ask_to_store(core, what, to, false, false);
    static_cast<void>(said);
  }
  if (publication* const p = core.published(what)) p->sharing.erase(to->id());
  done->set();
}

/// Puts, or renews and puts only if that peer does not know the record. What is being shared with it is waited for.
KADORO_DECL coro::task<node_core::store_answer> node_core::store_at(node_core& core, record const& what, peer_ref to,
                                                                    bool renew, bool durable) {
  if (!renew && !durable) {
    std::shared_ptr<coro::event> sharing;
    if (publication* const p = core.published(what)) {
      auto const job = p->sharing.find(to->id());
      if (job != p->sharing.end()) sharing = job->second.done;
    }
    if (sharing) {
      auto const waited = co_await sharing->wait();
      if (waited && core.is_holder(what, to->id())) {
        store_answer shared;
        shared.now = replica::state::stored;
        co_return shared;
      }
    }
  }
  co_return co_await ask_to_store(core, what, std::move(to), renew, durable);
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
