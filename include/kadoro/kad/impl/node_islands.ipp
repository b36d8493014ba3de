#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// Two islands that come to share one node become one swarm, region by region of the key space. Whoever finds, in a
// lookup, two that should know each other and do not, tells them (`introduce`): they ping each other. Whose
// neighbourhood has changed that much looks through its whole table, with the new ones as a start, and so finds such
// pairs in other regions. In a swarm that is whole nobody has anything to tell.

/// Remembers whom each of the peers that are asked has named.
class node_core::named_contacts final : public lookup::visitor {
 public:
  named_contacts(node_core& core, bool patient) noexcept : core_(core), patient_(patient) {}

  struct list {
    peer_list peers;     ///< by distance
    bool whole = false;  ///< else it has not been read to its end
  };

  list const& by(lookup::candidate const& who) const {
    static list const nobody;
    auto const at = named_.find(who.peer->id());
    return at == named_.end() ? nobody : at->second;
  }

 private:
  bool on_answer(lookup::candidate const& from, transport::message const& answer) override {
    list& all = named_[from.peer->id()];
    for (peer_ref const& each : answer.contacts)
      if (all.peers.size() < lookup::max_suggestions) all.peers.push_back(each);
    all.whole = answer.contacts_cursor == 0;
    return false;
  }
  void on_asked(lookup::candidate const& who) override { core_.share_with(who.peer); }
  bool content() const override { return !patient_; }

  node_core& core_;
  bool patient_;
  std::map<peer_id, list> named_;
};

/// Asks those who may live among others about `target`: a lookup that begins with closer ones would never come to them.
KADORO_DECL coro::task<void> node_core::ask_beyond(node_core& core, lookup& seek, kadoro::bytes target,
                                                   peer_list beyond) {
  static constexpr std::size_t max_asked = 3;
  std::size_t asked = 0;
  for (peer_ref const& who : beyond) {
    if (who->unanswered > 0 || who->mode == peer_mode::client || asked == max_asked) continue;
    ++asked;
    transport::message request;
    request.type = transport::message_type::find_node;
    request.key = target;
    auto const answer = co_await core.transport_->request(who, request);
    if (!answer || answer->refusal) continue;
    std::size_t suggested = 0;
    for (peer_ref const& contact : answer->contacts)
      if (++suggested <= lookup::max_suggestions) seek.suggest(contact, who);
  }
}

/// Of those who have answered a lookup: tells each of the others whom it should have named.
KADORO_DECL void node_core::introduce(lookup const& seek, named_contacts const& named, kad::key const& target) {
  static constexpr duration between = std::chrono::minutes(1);
  static constexpr std::size_t max_remembered = 256;
  if (options_.mode != peer_mode::server || table_.size() <= k()) return;  // there a lookup asks everybody anyway
  time_point const now = context_.now();
  std::erase_if(introduced_, [now](auto const& e) { return now - e.second > between; });
  std::vector<lookup::candidate const*> met;
  for (lookup::candidate const* c : seek.closest(k()))
    if (c->now == lookup::state::answered && !is_foreign(*c->peer)) met.push_back(c);
  for (lookup::candidate const* who : met) {
    if (introduced_.size() == max_remembered) return;
    if (introduced_.contains(who->peer->id())) continue;
    auto const& [knows, whole] = named.by(*who);
    auto const farther = [&target](peer_ref const& a, peer_ref const& b) {
      return target.closer(kad::key(a->hash()), kad::key(b->hash()));
    };
    auto const farthest = std::max_element(knows.begin(), knows.end(), farther);
    peer_list lacks;
    for (lookup::candidate const* other : met) {
      if (other == who || std::find(knows.begin(), knows.end(), other->peer) != knows.end()) continue;
      if ((whole && knows.size() < k()) || (!knows.empty() && farther(other->peer, *farthest)))
        lacks.push_back(other->peer);
    }
    if (lacks.empty()) continue;
    if (!jobs_.spawn(introduce_job(*this, who->peer, std::move(lacks)))) return;
    introduced_.emplace(who->peer->id(), now);
  }
}

KADORO_DECL coro::task<void> node_core::introduce_job(node_core& core, peer_ref to, peer_list others) {
  static constexpr std::size_t budget_bytes = 900;  // one datagram
  std::vector<multiaddr> kept;                      // what the request views
  kept.reserve(others.size() * transport::peer::max_addresses);
  transport::message request;
  request.type = transport::message_type::introduce;
  std::size_t size = 0;
  for (peer_ref const& each : others) {
    wire::peer entry;
    entry.id = each->id().bytes();
    for (transport::peer::address const& a : each->addresses()) {
      if (!a.confirmed) continue;
      kept.push_back(a.where);
      entry.addresses.push_back(kept.back().bytes());
    }
    std::size_t const more = wire::encoded_size(entry);
    if (entry.addresses.empty() || size + more > budget_bytes) continue;
    size += more;
    request.providers.push_back(std::move(entry));
  }
  if (request.providers.empty()) co_return;
  auto const said = co_await core.transport_->request(to, request);
  static_cast<void>(said);
}

/// Others whom this node should know, by hearsay: each is pinged, and counts when it has answered.
KADORO_DECL void node_core::accept_introduction(peer_ref const& from, transport::message const& request,
                                                transport::message& answer) {
  static constexpr duration given_up = std::chrono::seconds(10);
  if (is_foreign(*from)) {
    answer.refusal = errc::refused_unsupported;
    return;
  }
  for (wire::peer const& entry : request.providers) {
    if (checking_.size() >= max_checks) {
      answer.refusal = errc::refused_rate;
      return;
    }
    auto const id = peer_id::from_bytes(entry.id);
    if (!id || *id == id_) continue;
    peer_ref const who = book_.intern(*id);
    for (bytes_view const raw : entry.addresses)
      if (auto const where = multiaddr::from_bytes(raw)) who->add_address(where->without_peer(), false);
    bool const no_room = table_.contains(who) || table_.eviction_candidate(who).has_value();
    bool const lost = who->unanswered > 0 && context_.now() - who->lost_at < given_up;
    if (no_room || lost || who->mode == peer_mode::client || who->addresses().empty()) continue;
    check(who);
  }
}

/// Looks for this node's own id, and notes who its neighbours are. If most of them are new, others have joined this
/// swarm, or this node has just come in: then what else is new is looked for.
KADORO_DECL coro::task<void> node_core::look_at_home(node_core& core, peer_list beyond) {
  co_await find_job(core, to_bytes(core.id_.bytes()), nullptr, std::move(beyond));
  std::vector<contact> closest;
  core.table_.closest(core.table_.self(), core.k(), closest);
  peer_list fresh;
  std::vector<peer_id> home;
  home.reserve(closest.size());
  for (contact const& c : closest) {
    bool const known = std::find(core.home_.begin(), core.home_.end(), c.peer->id()) != core.home_.end();
    if (!known) fresh.push_back(c.peer);
    home.push_back(c.peer->id());
  }
  bool const first = core.home_.empty();
  core.home_ = std::move(home);
  if (core.table_.size() <= core.k() || 2 * fresh.size() < closest.size()) co_return;
  core.look_through(first ? core.seeds_ : std::move(fresh));
}

/// One lookup for each bucket.
KADORO_DECL void node_core::look_through(peer_list const& beyond) {
  static constexpr duration between = std::chrono::seconds(10);
  time_point const now = context_.now();
  if (closed_ || now < next_look_through_) return;
  next_look_through_ = now + between;
  for (int const bucket : table_.buckets_to_refresh(now, duration::zero()))
    if (bucket <= deepest_refreshed) jobs_.spawn(find_job(*this, target_in(bucket), nullptr, beyond));
}

/// What is looked for is a pre-image, so it takes some hashing; buckets too deep for that are those of our own
/// neighbourhood.
KADORO_DECL kadoro::bytes node_core::target_in(int bucket) {
  kadoro::bytes target(32);
  for (int tries = 0; tries < 1 << (deepest_refreshed + 3); ++tries) {
    context_.random().fill(target);
    if (table_.bucket_of(key::of(target)) == bucket) break;
  }
  return target;
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
