#pragma once

#include <algorithm>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/impl/node_core.hpp"
#include "kadoro/kad/impl/sharing_visitor.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// ---- joining --------------------------------------------------------------------------------------------------------

/// Looks for this node's own id until a round brings nobody new: whoever starts at the same moment is found too.
KADORO_DECL void node_core::start_settling() {
  if (!settling_ && !closed_) settling_ = jobs_.spawn(settle_in(*this));
}

KADORO_DECL coro::task<void> node_core::settle_in(node_core& core) {
  static constexpr int max_rounds = 4;
  for (int round = 0; round < max_rounds && !core.closed_; ++round) {
    std::size_t const before = core.table_.size();
    peer_list const nobody;
    co_await look_at_home(core, nobody);
    if (core.table_.size() == before) break;
  }
  core.settling_ = false;
  if (!core.settled_) core.look_soon();
  core.settled_ = true;
  if (core.table_.size() <= core.k()) co_return;
  for (auto const& [key, of] : core.watching_)
    if (of->holders.empty()) core.jobs_.spawn(seek_holders(core, of));
}

/// Looks for this node's own neighbourhood again and again: soon after news of it, rarely when nothing happens, but
/// never not at all. Others may have given this node up during an outage that it did not notice; whoever it asks knows
/// it again.
KADORO_DECL void node_core::look_around(time_point now) {
  static constexpr duration longest = std::chrono::seconds(20);
  static constexpr duration asleep = std::chrono::seconds(2);  // a tick of a second was so late
  if (now - last_tick_ > asleep) look_soon();
  last_tick_ = now;
  if (!settled_ || now < next_look_) return;
  if (members_.complete()) {
    for (peer_ref const& who : members_.take_turn(k())) members_.told(who->id(), 0);  // and hear what they know
    tell_views();
  } else {
    start_settling();
  }
  look_interval_ = std::min(2 * look_interval_, longest);
  // Not all nodes at once, though they started together.
  auto const spread = static_cast<std::uint64_t>(look_interval_.count() / 4);
  next_look_ = now + look_interval_ - duration(static_cast<duration::rep>(context_.random().below(spread)));
}

KADORO_DECL void node_core::look_soon() {
  static constexpr duration shortest = std::chrono::seconds(2);
  look_interval_ = shortest;
  next_look_ = std::min(next_look_, context_.now() + shortest);
}

/// Others go on suggesting a peer that they have not missed yet. Holding on to it keeps what we know: it is not asked,
/// and takes no place in a replica set, until it calls or answers `check_dead`, or for so long.
KADORO_DECL void node_core::remember_dead(peer_ref const& who) {
  static constexpr std::size_t max_dead = 256;
  static constexpr duration first_check = std::chrono::seconds(5);
  who->unanswered = std::max(who->unanswered, 1u);
  who->lost_at = context_.now();
  if (std::any_of(dead_.begin(), dead_.end(), [&who](dead_peer const& d) { return d.peer == who; })) return;
  if (dead_.size() == max_dead) dead_.erase(dead_.begin());
  dead_.push_back({who, who->lost_at, who->lost_at + first_check});
}

/// A peer that was only unreachable for a while does not know that we have given it up. It is pinged now and then, at
/// growing intervals, and forgotten in the end. Those that never answered anything are left alone.
KADORO_DECL void node_core::check_dead(time_point now) {
  static constexpr duration memory = std::chrono::minutes(1);
  static constexpr std::size_t max_pings = 4;
  std::erase_if(dead_, [now](dead_peer const& d) { return d.peer->unanswered == 0 || now - d.since > memory; });
  std::size_t pings = 0;
  for (dead_peer& d : dead_) {
    if (d.next_check > now || d.peer->last_heard == time_point()) continue;
    d.next_check = now + (now - d.since);
    check(d.peer);
    if (++pings == max_pings) return;
  }
}

/// A server came or went. If it is one of our neighbours, others may have come or gone too.
KADORO_DECL void node_core::news_of(peer_ref const& who) {
  std::vector<contact> closest;
  table_.closest(table_.self(), k(), closest);
  if (std::any_of(closest.begin(), closest.end(), [&who](contact const& c) { return c.peer == who; })) look_soon();
}

KADORO_DECL coro::task<result<void>> node_core::join() {
  if (leaving_) co_return fail(errc::closed, "join: this node is closed");
  auto const state = std::make_shared<join_state>();
  if (!jobs_.spawn(join_job(*this, state))) co_return fail(errc::queue_full, "join: too many operations under way");
  auto const done = co_await state->done.wait();
  if (!done) co_return fail(done.error());
  co_return state->outcome;
}

KADORO_DECL coro::task<void> node_core::join_job(node_core& core, std::shared_ptr<join_state> state) {
  trace steps("find_node", core.id_.bytes(), core.context_.now());
  lookup seek(core.context_, *core.transport_, core.table_, transport::message_type::find_node, core.id_.bytes(),
              core.k(), steps);
  seek.start_from(core.k(), core.seeds_);
  sharing_visitor sharing(core);
  co_await seek_all(core, seek, sharing);
  core.start_settling();

  errc code = core.closed_ ? errc::closed : seek.candidates().empty() ? errc::unreachable : errc::no_answer;
  std::string why = core.closed_                ? "join: this node was closed"
                    : seek.candidates().empty() ? "join: no bootstrap address, and no peer is known"
                                                : "";
  bool answered = false;
  for (auto const& c : seek.candidates()) {
    answered = answered || c->now == lookup::state::answered;
    if (c->refusal) code = *c->refusal;
    why += (why.empty() ? "join: " : "; ") + (c->refusal ? c->peer->id().to_string() + " " + c->why : c->why);
  }
  if (!answered) state->outcome = fail(code, std::move(why));
  state->done.set();
}

KADORO_DECL coro::task<result<peer_list>> node_core::find_closest(kadoro::bytes key) {
  if (leaving_) co_return fail(errc::closed, "lookup of " + printable(key) + ": this node is closed");
  auto const state = std::make_shared<find_state>();
  if (!jobs_.spawn(find_job(*this, std::move(key), state, {})))
    co_return fail(errc::queue_full, "lookup: too many operations under way");
  auto const done = co_await state->done.wait();
  if (!done) co_return fail(done.error());
  if (closed_) co_return fail(errc::closed, "lookup: this node was closed");
  if (state->closest.empty()) co_return fail(errc::unreachable, "lookup: no peer is known, or none has answered");
  co_return std::move(state->closest);
}

/// A lookup behind the scenes, or with somebody who waits for it; those `beyond` are asked too, however far they are.
KADORO_DECL coro::task<void> node_core::find_job(node_core& core, kadoro::bytes target,
                                                 std::shared_ptr<find_state> state, peer_list beyond) {
  trace steps("find_node", target, core.context_.now());
  lookup seek(core.context_, *core.transport_, core.table_, transport::message_type::find_node, target, core.k(),
              steps);
  seek.start_from(core.k(), core.seeds_);
  co_await ask_beyond(core, seek, target, std::move(beyond));
  named_contacts named(core, state != nullptr);
  co_await seek_all(core, seek, named);
  core.table_.touch(core.table_.bucket_of(key::of(target)), core.context_.now());
  if (!state) {
    core.introduce(seek, named, key::of(target));
    co_return;
  }
  for (lookup::candidate const* c : seek.closest(core.k()))
    if (c->now == lookup::state::answered) state->closest.push_back(c->peer);
  state->done.set();
}

// ---- timers ---------------------------------------------------------------------------------------------------------

/// Once a second, or when the next renewal is due.
KADORO_DECL void node_core::arm_tick() {
  if (closed_) return;
  time_point due = context_.now() + std::chrono::seconds(1);
  for (auto const& [key, p] : publications_)
    due = std::min(due, std::max(p.next_renewal, context_.now() + std::chrono::milliseconds(10)));
  context_.arm(tick_, due);
}

KADORO_DECL void node_core::tick() {
  time_point const now = context_.now();
  store_.expire(now);
  look_after_watches(now);
  compare_views();
  confirm_placements(now);
  check_dead(now);
  renew_due(now);
  dial_seeds(now);
  probe(now);
  look_around(now);
  refresh(now);
  check_reachability(now);
  keep_contacts(now);
  coro::frame_pool::trim_idle(now);
  arm_tick();
}

/// Whom this node knows is noted for its next life. Whom it knew in its last one is forgotten once it has looked
/// around: who of them lives is in the table.
KADORO_DECL void node_core::keep_contacts(time_point now) {
  static constexpr duration patience = std::chrono::seconds(10);
  if (!kept_) return;
  kept_->note_contacts(table_, false);
  if (seeds_.size() > named_seeds_ && settled_ && table_.size() > 0 && now - opened_at_ > patience)
    seeds_.resize(named_seeds_);
}

/// Keeps an eye on contacts that failed, at growing intervals, so that one that comes back is found again.
KADORO_DECL void node_core::probe(time_point now) {
  static constexpr duration shortest = std::chrono::seconds(1);
  static constexpr duration longest = std::chrono::seconds(8);
  static constexpr std::size_t max_pings = 8;
  if (now < next_probe_ && probe_interval_ != duration::zero()) return;
  probe_interval_ = std::clamp(2 * probe_interval_, shortest, longest);
  next_probe_ = now + probe_interval_;
  peer_list missing;
  table_.for_each([&missing](contact const& c) {
    if (c.suspect && missing.size() < max_pings) missing.push_back(c.peer);
  });
  for (peer_ref const& p : missing) check(p);
  if (table_.size() < 3 && table_.size() + seeds_.size() > 0) start_settling();
}

/// Runs a lookup. It does not wait for peers that are slow; whether they are dead is found out behind it.
KADORO_DECL coro::task<void> node_core::seek_all(node_core& core, lookup& seek, lookup::visitor& sees) {
  co_await seek.run(sees);
  for (auto const& c : seek.candidates())
    if (c->now == lookup::state::slow && c->peer->unanswered == 0) core.check(c->peer);
}

/// Pings a peer, unless that is under way: whoever does not answer is reported lost by the transport.
KADORO_DECL void node_core::check(peer_ref const& who) {
  if (closed_ || !checking_.insert(who->id()).second) return;
  if (!jobs_.spawn(ping_job(*this, who))) checking_.erase(who->id());
}

KADORO_DECL coro::task<void> node_core::ping_job(node_core& core, peer_ref to) {
  auto const alive = co_await core.ping(to);
  core.checking_.erase(to->id());
  if (alive) core.table_.on_alive(to, core.context_.now());
}

/// A full bucket keeps its oldest contact if that still answers.
KADORO_DECL coro::task<void> node_core::evict_job(node_core& core, peer_ref oldest, peer_ref newcomer) {
  auto const alive = co_await core.ping(oldest);
  if (alive)
    core.table_.on_alive(oldest, core.context_.now());
  else if (newcomer->unanswered == 0)  // silence has removed the oldest; who leaves stays until it has gone
    core.table_.insert(newcomer, core.context_.now());
}

/// Looks through buckets that no lookup has touched for long, but for those of our own neighbourhood, which
/// `look_around` sees to.
KADORO_DECL void node_core::refresh(time_point now) {
  static constexpr duration interval = std::chrono::minutes(10);
  if (now < next_refresh_) return;
  next_refresh_ = now + interval / 10;
  for (int const bucket : table_.buckets_to_refresh(now, interval)) {
    if (bucket > deepest_refreshed)
      table_.touch(bucket, now);
    else
      jobs_.spawn(find_job(*this, target_in(bucket), nullptr, {}));
  }
}

// ---- keeping records alive ------------------------------------------------------------------------------------------

KADORO_DECL void node_core::renew_due(time_point now) {
  for (auto& [key, p] : publications_) {
    if (p.next_renewal > now) continue;
    if (renewals_ >= max_renewals || !jobs_.spawn(renew_job(*this, key))) return;
    ++renewals_;
    p.next_renewal = now + p.how.lifetime / 2;
  }
}

class node_core::renewal_guard {
 public:
  explicit renewal_guard(node_core& core) noexcept : core_(core) {}
  renewal_guard(renewal_guard const&) = delete;
  renewal_guard& operator=(renewal_guard const&) = delete;
  ~renewal_guard() { --core_.renewals_; }

 private:
  node_core& core_;
};

class node_core::placement_guard {
 public:
  placement_guard(node_core& core, kadoro::bytes key) noexcept : renewal_(core), core_(core), key_(std::move(key)) {}
  placement_guard(placement_guard const&) = delete;
  placement_guard& operator=(placement_guard const&) = delete;
  ~placement_guard() { core_.end_publishing(key_); }

 private:
  renewal_guard renewal_;
  node_core& core_;
  kadoro::bytes key_;
};

/// The copies must not run out while somebody is slow: who holds the record is asked at once to renew it, and whether
/// others should hold it is seen to beside that.
KADORO_DECL coro::task<void> node_core::renew_job(node_core& core, kadoro::bytes key) {
  renewal_guard const guard(core);
  publication* const found = core.published(key);
  if (found == nullptr) co_return;
  publication& p = *found;
  if (core.provide_again(p)) co_return;
  record const what = p.what;
  peer_list holders;
  for (peer_id const& id : p.holders) holders.push_back(core.book_.intern(id));
  time_point const due = p.next_renewal;
  core.store_.put(what, record_store::origin::own, std::nullopt, what.lifetime_max, core.context_.now());
  if (!p.busy && core.jobs_.spawn(place_job(core, key))) {
    p.busy = true;
    ++core.renewals_;
  }
  // Who has not answered when the next renewal is due is a holder no more.
  auto const in_time = co_await coro::with_deadline(renew_holders(core, what, holders), due);
  static_cast<void>(in_time);
}

KADORO_DECL coro::task<void> node_core::renew_holders(node_core& core, record const& what, peer_list const& holders) {
  coro::environment const environment = co_await coro::this_environment();
  coro::scope renewals(core.context_, environment.cancel());
  renewals.abandon();  // if the whole chain of awaits is destroyed, they go with it
  for (peer_ref const& p : holders) renewals.spawn(renew_at(core, what, p));
  co_await renewals.join();
}

/// After a fresh lookup: who belongs to the closest and has not got the record gets it, who does not is let go.
KADORO_DECL coro::task<void> node_core::place_job(node_core& core, kadoro::bytes key) {
  placement_guard const guard(core, key);
  publication* p = core.published(key);
  if (p == nullptr) co_return;
  record const what = p->what;
  put_options const how = p->how;

  trace steps("renew", key, core.context_.now());
  lookup seek(core.context_, *core.transport_, core.table_, transport::message_type::find_node, key,
              core.options_.replicas, steps);
  peer_list const set = co_await find_replicas(core, key, seek);

  p = core.published(what);
  if (p == nullptr) co_return;  // withdrawn, or replaced

  std::uint64_t newer = 0;
  coro::environment const environment = co_await coro::this_environment();
  coro::scope stores(core.context_, environment.cancel());
  stores.abandon();  // if the whole chain of awaits is destroyed, they go with it
  pooled_set<peer_id> kept;
  for (peer_ref const& to : set) {
    if (p->holders.contains(to->id()))
      kept.insert(to->id());
    else
      stores.spawn(place_at(core, what, to, newer));
  }
  if (stores.size() + kept.size() > 0) p->holders = std::move(kept);
  co_await stores.join();

  p = core.published(what);
  if (p == nullptr) co_return;
  if (newer != 0 && newer >= what.sequence) {  // somebody remembers more of us than we do: say it again, louder
    core.sequences_.adopt(newer);
    auto again = core.next_record(key, what.value, how, what.flags);
    if (!again) co_return;
    core.publish(*again, how);
    p = core.published(*again);
  }
  // A record that nobody holds is tried again soon.
  if (p->holders.empty()) p->next_renewal = core.context_.now() + std::chrono::seconds(1);
}

/// Who remembers more of us than we do is no holder then: the next placement finds that out.
KADORO_DECL coro::task<void> node_core::renew_at(node_core& core, record const& what, peer_ref to) {
  store_answer const said = co_await store_at(core, what, std::move(to), true);
  static_cast<void>(said);
}

KADORO_DECL coro::task<void> node_core::place_at(node_core& core, record const& what, peer_ref to,
                                                 std::uint64_t& newer) {
  store_answer const said = co_await store_at(core, what, std::move(to), false);
  newer = std::max(newer, said.newer);
}

// ---- handing on -----------------------------------------------------------------------------------------------------

/// Whether the newcomer is among the r closest to `where` that we know.
KADORO_DECL bool node_core::belongs_to(key const& where, peer_ref const& newcomer) const {
  std::vector<contact> known;
  table_.closest(where, options_.replicas, known);
  return std::any_of(known.begin(), known.end(), [&newcomer](contact const& c) { return c.peer == newcomer; });
}

/// Whether nobody else that we know is closer to `where`: one holder hands a record on, not all of them.
KADORO_DECL bool node_core::in_charge_of(key const& where, peer_ref const& newcomer) const {
  std::vector<contact> known;
  table_.closest(where, 2, known);
  for (contact const& c : known)
    if (c.peer != newcomer && where.closer(c.id, table_.self())) return false;
  return true;
}

/// A server came in that is closer to some of our records than others that hold them: it gets a copy of each, with what
/// remains of its life, and our own records whole.
KADORO_DECL coro::task<void> node_core::hand_on_job(node_core& core, peer_ref to) {
  std::vector<kadoro::bytes> own;
  for (auto const& [key, p] : core.publications_)
    if (!p.holders.contains(to->id()) && !p.busy && core.belongs_to(kad::key::of(key), to)) own.push_back(key);
  for (kadoro::bytes const& key : own) {
    publication const* const p = core.published(key);  // it may have been withdrawn meanwhile
    if (p == nullptr) continue;
    record const what = p->what;
    auto const said = co_await store_at(core, what, to, false);
    if (said.now == replica::state::no_answer) co_return;
  }

  static constexpr std::size_t slice = 64;  // then others have their turn
  std::vector<std::pair<kadoro::bytes, peer_id>> theirs;
  bool const foreign = is_foreign(*to);
  core.store_.for_each(core.context_.now(), [&core, &to, &theirs, foreign](record_store::held const& h) {
    if (h.value->is_content() && (foreign || core.publications_.contains(h.value->key))) return;
    if (!h.value->is_content() && !h.value->is_signed()) return;
    if (h.value->publisher == core.id_ || h.value->publisher == to->id()) return;
    // A foreign peer keeps one record per key, and would only take the last.
    if (foreign && (core.publications_.contains(h.value->key) || h.value->tombstone() || h.value->provides() ||
                    (!theirs.empty() && theirs.back().first == h.value->key)))
      return;
    theirs.emplace_back(h.value->key, h.value->publisher);
  });
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    auto const& [key, publisher] = theirs[i];
    if (i % slice == slice - 1) {
      auto const turn = co_await coro::sleep_for(duration::zero());
      if (!turn) co_return;
    }
    kad::key const where = kad::key::of(key);
    if (!core.belongs_to(where, to) || !core.in_charge_of(where, to)) continue;
    auto const held = core.store_.find(key, publisher, core.context_.now());
    if (!held) continue;
    record const what = *held->value;
    if (!what.is_signed() && !what.is_content()) continue;
    auto const answer = co_await hand_on(core, what, held->remaining, to);
    if (!answer) co_return;
  }
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
