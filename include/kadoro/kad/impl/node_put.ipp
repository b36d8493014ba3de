#pragma once

#include <algorithm>
#include <functional>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/coro/yield.hpp"
#include "kadoro/kad/impl/node_core.hpp"
#include "kadoro/kad/impl/sharing_visitor.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// However a put ends, whoever waits for it hears so.
class node_core::put_guard {
 public:
  put_guard(node_core& core, kadoro::bytes key, std::shared_ptr<put_receipt::state> state) noexcept
      : core_(core), key_(std::move(key)), state_(std::move(state)) {}
  put_guard(put_guard const&) = delete;
  put_guard& operator=(put_guard const&) = delete;
  ~put_guard() {
    for (replica& r : state_->replicas) {
      if (r.now != replica::state::asked) continue;
      r.now = replica::state::no_answer;
      r.why = r.peer.to_string() + ": this node closed before it answered";
    }
    state_->decided.set();
    state_->settled.set();
    if (core_.superseded(key_, *state_)) return;  // the end of the newer one is what counts
    core_.newest_put_.erase(key_);
    core_.end_publishing(key_);
  }

 private:
  node_core& core_;
  kadoro::bytes key_;
  std::shared_ptr<put_receipt::state> state_;
};

KADORO_DECL result<record> node_core::next_record(bytes_view key, bytes_view value, put_options how,
                                                  std::uint32_t flags) {
  if ((flags & record::flag_content) != 0) return make_content(key, value, how.lifetime);
  auto const sequence = sequences_.next();
  if (!sequence) return fail(sequence.error());
  return record::make(self_, key, *sequence, how.lifetime, flags, value);
}

/// Takes a record under this node's care: a tombstone is kept until its life ends, but not renewed.
KADORO_DECL void node_core::publish(record const& what, put_options how) {
  time_point const now = context_.now();
  store_.put(what, record_store::origin::own, std::nullopt, what.lifetime_max, now);
  spread_changes();
  if (what.tombstone()) {
    unpublish(what.key);
    return;
  }
  publication& p = publications_[what.key];
  p.what = what;
  p.how = how;
  p.holders.clear();
  p.sharing.clear();
  p.put_at = now;
  p.busy = true;
  duration const half = what.lifetime_max / 2;
  p.next_renewal =
      now + half -
      duration(static_cast<duration::rep>(context_.random().below(static_cast<std::uint64_t>(half.count() / 10 + 1))));
  if (!tick_.armed() || p.next_renewal < tick_.due()) context_.arm(tick_, p.next_renewal);
}

KADORO_DECL void node_core::unpublish(bytes_view key) noexcept {
  last_found_ = nullptr;
  auto const at = publications_.find(key);
  if (at != publications_.end()) publications_.erase(at);
}

/// What this node publishes under that key; null if it publishes nothing there.
KADORO_DECL node_core::publication* node_core::published(bytes_view key) noexcept {
  if (last_found_ != nullptr && equal(last_found_->first, key)) return &last_found_->second;
  auto const at = publications_.find(key);
  if (at == publications_.end()) return nullptr;
  last_found_ = &*at;
  return &at->second;
}

/// The same; null, too, if that is another sequence by now.
KADORO_DECL node_core::publication* node_core::published(record const& what) noexcept {
  publication* const p = published(what.key);
  return p != nullptr && p->what.sequence == what.sequence ? p : nullptr;
}

/// The job that stored `key` has ended. Whoever came in while it ran, and belongs to the closest, gets the record too.
KADORO_DECL void node_core::end_publishing(kadoro::bytes const& key) {
  publication* const p = published(key);
  if (p == nullptr || closed_) return;
  p->busy = false;
  peer_list lacking;  // first: what is begun then may look at the table again
  for (contact const* const c : table_.nearest(key::of(key), options_.replicas))
    if (!p->holders.contains(c->peer->id()) && c->peer->unanswered == 0 && c->last_seen >= p->put_at)
      lacking.push_back(c->peer);
  for (peer_ref const& who : lacking) jobs_.spawn(hand_on_job(*this, who));
}

/// Whether this node itself has said something else under that key since `by`.
KADORO_DECL bool node_core::superseded(bytes_view key, put_receipt::state const& by) const {
  auto const at = newest_put_.find(key);
  return at == newest_put_.end() || at->second != &by;
}

/// Whether that peer has confirmed this very sequence.
KADORO_DECL bool node_core::is_holder(record const& what, peer_id const& who) noexcept {
  publication* const p = published(what);
  return p != nullptr && p->holders.contains(who);
}

/// What a peer that was asked then has said. The answer to an earlier put of the same content says nothing of this one,
/// which may be for longer.
KADORO_DECL void node_core::note_holder(record const& what, peer_id const& who, time_point asked, bool holds) {
  publication* const p = published(what);
  if (p == nullptr || asked < p->put_at) return;
  if (!holds) {
    p->holders.erase(who);
    return;
  }
  p->holders.insert(who);
  // Whichever job got through to it: a put that still runs says so, also if it has given that peer up already.
  auto const put = newest_put_.find(what.key);
  if (put == newest_put_.end() || put->second->sequence != what.sequence) return;
  for (replica& r : put->second->replicas) {
    if (r.peer != who) continue;
    if (put->second->wants_durable && r.now == replica::state::asked) continue;  // it is being asked that, too
    r = {who, replica::state::stored, {}, {}, r.durable};
    decide(*put->second);  // not before: a put that still looks for its replicas has nothing to decide
  }
}

/// A put is decided once its quorum is met, or cannot be met any more.
KADORO_DECL void node_core::decide(put_receipt::state& of) {
  std::size_t stored = 0;
  std::size_t open = 0;
  for (replica const& r : of.replicas) {
    stored += r.now == replica::state::stored && (r.durable || !of.wants_durable) ? 1u : 0u;
    open += r.now == replica::state::asked ? 1u : 0u;
  }
  if (stored >= of.needed || stored + open < of.needed) of.decided.set();
}

KADORO_DECL std::vector<peer_id> node_core::holders(bytes_view key) const {
  auto const at = publications_.find(key);
  if (at == publications_.end()) return {};
  return {at->second.holders.begin(), at->second.holders.end()};
}

/// R: the r closest known and not proven dead, answered this time or not; where others crowd around the key, the whole
/// region. Whom others have only told of counts when it has answered: else who makes up peers would fill R. With nobody
/// else they are tried all the same. If that is nobody, those who refused, so that the receipt can say who.
KADORO_DECL peer_list node_core::replica_set(lookup const& seek) const {
  std::size_t const width = std::max(options_.replicas, region_width(seek));
  peer_list set;
  peer_list hearsay;
  for (lookup::candidate const* c : seek.closest(std::max(k(), width)))
    (c->suggested_by && c->peer->last_heard == time_point() ? hearsay : set).push_back(c->peer);
  if (set.empty()) set = std::move(hearsay);
  if (set.size() > width) set.resize(width);
  return set;
}

/// Who knows everybody need not look for the closest: `confirm_placements` sees that it was so.
KADORO_DECL coro::task<peer_list> node_core::find_replicas(node_core& core, bytes_view key, lookup& seek) {
  if (core.members_.complete()) co_return core.members_.closest(seek.target(), core.options_.replicas);
  sharing_visitor sharing(core, key);
  seek.start_from(core.k(), core.seeds_);
  co_await seek_all(core, seek, sharing);
  co_await seek_region(core, seek, sharing);
  co_return core.replica_set(seek);
}

KADORO_DECL coro::task<result<put_receipt>> node_core::put(kadoro::bytes key, kadoro::bytes value, put_options how,
                                                           std::uint32_t flags) {
  if (leaving_) co_return fail(errc::closed, "put of " + printable(key) + ": this node is closed");
  if (key.empty() || key.size() > record::max_key_bytes)
    co_return fail(key.empty() ? errc::invalid_argument : errc::too_large,
                   "put: a key of " + std::to_string(key.size()) + " bytes; 1 to " +
                       std::to_string(record::max_key_bytes) + " are allowed");
  if (value.size() > record::max_value_bytes)
    co_return fail(errc::too_large, "put of " + printable(key) + ", " + std::to_string(value.size()) +
                                        " bytes of value: at most " + std::to_string(record::max_value_bytes) +
                                        " are allowed");
  if (how.lifetime < record::min_lifetime || how.lifetime > record::max_lifetime)
    co_return fail(errc::invalid_argument, "put of " + printable(key) + ": the lifetime must be 1 ms to 48 h");
  publication const* const before = published(key);
  static constexpr std::uint32_t kinds = record::flag_provider | record::flag_content;
  if (before != nullptr && (before->what.flags & kinds) != (flags & kinds))
    co_return fail(errc::invalid_argument, "put of " + printable(key) +
                                               ": this node publishes another kind of record under that key (content, "
                                               "which is released and not withdrawn, or the entry of a provider)");
  if (before != nullptr && (flags & record::flag_tombstone) != 0)  // it must outlive what it withdraws
    how.lifetime = std::max(how.lifetime, before->what.lifetime_max);
  auto what = next_record(key, value, how, flags);
  if (!what) co_return fail(what.error());
  if (auto const objection = validators_.objection_to(*what))
    co_return fail(errc::refused_validator,
                   "put of " + printable(key) + ": the validator of this node rejects it: " + *objection);
  auto const fits = transport_->check_record_fits(what->key, to_wire(*what, 0, false));
  if (!fits)
    co_return fail(errc::too_large, "put of " + printable(key) + ", " + std::to_string(value.size()) +
                                        " bytes of value: " + fits.error().message());

  auto const state =
      std::allocate_shared<put_receipt::state>(pooled_allocator<put_receipt::state>(), key, context_.now());
  state->sequence = what->sequence;
  state->replicas_wanted = options_.replicas;
  state->wants_durable = how.durable;
  if (!jobs_.spawn(put_job(*this, *what, how, state)))
    co_return fail(errc::queue_full, "put of " + printable(key) + ": too many operations under way");
  publish(*what, how);
  newest_put_[what->key] = state.get();
  auto const decided = co_await state->decided.wait();
  if (!decided) co_return fail(decided.error());
  co_return put_receipt(state);
}

/// Nobody was there to store a record, but some came in meanwhile and were handed it: they are R, and not who refused.
inline void keep_stored(pooled_vector<replica>& of, std::size_t most) {
  auto const holds = [](replica const& r) { return r.now == replica::state::stored; };
  if (std::none_of(of.begin(), of.end(), holds)) return;
  std::erase_if(of, std::not_fn(holds));
  if (of.size() > most) of.resize(most);
}

/// Finds the replica set, stores on it, once more with a higher sequence if somebody remembers one, and reads back.
KADORO_DECL coro::task<void> node_core::put_job(node_core& core, record what, put_options how,
                                                std::shared_ptr<put_receipt::state> state) {
  put_guard const guard(core, what.key, state);
  coro::environment const environment = co_await coro::this_environment();
  lookup seek(core.context_, *core.transport_, core.table_, transport::message_type::find_node, what.key, core.k(),
              state->steps);
  if (core.members_.complete()) core.unconfirmed_.insert_or_assign(what.key, core.members_.view());
  peer_list const set = co_await find_replicas(core, what.key, seek);
  core.keep_holders(what, set);
  state->replicas.reserve(set.size());
  for (peer_ref const& p : set) {
    replica r;
    r.peer = p->id();
    state->replicas.push_back(std::move(r));
  }
  if (set.empty()) {
    for (auto const& c : seek.candidates()) {
      replica r;
      r.peer = c->peer->id();
      r.now = c->now == lookup::state::refused ? replica::state::refused : replica::state::no_answer;
      r.refusal = c->refusal;
      r.why = c->why;
      state->replicas.push_back(std::move(r));
    }
    if (state->replicas.empty())
      state->failure =
          error(errc::unreachable, "no peer is known; the record is kept here and pushed as soon as one appears");
  }
  for (replica& r : state->replicas)  // one that came in meanwhile was handed the record
    if (!how.durable && core.is_holder(what, r.peer)) r = {r.peer, replica::state::stored, {}, {}, false};
  if (set.empty()) keep_stored(state->replicas, core.options_.replicas);
  state->needed = how.quorum.needed(set.empty() ? state->replicas.size() : set.size());
  if (!set.empty()) decide(*state);  // those who stored it on the way may be enough: nobody waits for the others then

  std::uint64_t newer = 0;
  for (int round = 0; round < 2 && !set.empty(); ++round) {
    coro::scope stores(core.context_, environment.cancel());
    stores.abandon();  // if the whole chain of awaits is destroyed, they go with it
    for (std::size_t i = 0; i < set.size(); ++i)
      if (round == 1 || state->replicas[i].now != replica::state::stored)
        stores.spawn(store_replica(core, what, i, state, newer, round == 1));
    co_await stores.join();
    if (newer == 0 || newer < what.sequence || environment.cancel().requested()) break;
    if (core.superseded(what.key, *state)) {  // what is newer is this node's own word: a later put or withdraw
      for (replica& r : state->replicas) {
        if (r.now != replica::state::asked) continue;
        r.now = replica::state::refused;
        r.refusal = errc::refused_stale;
        r.why = "refused: this node has put something newer meanwhile";
      }
      break;
    }
    core.sequences_.adopt(newer);
    auto again = core.next_record(what.key, what.value, how, what.flags);
    if (!again) {
      state->failure = again.error();
      break;
    }
    what = std::move(*again);
    if (!state->decided.is_set()) {
      state->sequence = what.sequence;
      for (replica& r : state->replicas) r.now = replica::state::asked;
    }
    core.publish(what, how);
  }
  state->steps.finish(core.context_.now());
  state->decided.set();

  if (how.read_back && put_receipt(state).stored() > 0) {
    state->reading = put_receipt::read_back::under_way;
    auto const got = std::allocate_shared<get_result::state>(pooled_allocator<get_result::state>(), what.key,
                                                             core.context_.now(), what.provides());
    got->content = what.is_content();
    get_options back;
    if (what.provides()) back.quorum = quorum::majority();  // the first answer may be of others only
    co_await get_job(core, what.key, back, false, got);
    bool const found = std::any_of(got->records.begin(), got->records.end(), [&what](found_record const& r) {
      if (what.provides()) return r.value.publisher == what.publisher;  // a foreign peer may have made it shorter
      bool const same = r.value.is_signed() ? r.value.sequence == what.sequence : r.value.value == what.value;
      return same && r.value.publisher == what.publisher;
    });
    state->reading = found ? put_receipt::read_back::found : put_receipt::read_back::not_found;
  }
  // Whoever waited for this put, and puts again, goes first: its job, and then the requests of that.
  co_await coro::yield();
  co_await coro::yield();
}

/// One replica of a put. In the first round a higher sequence of ours is no failure yet: it is adopted.
KADORO_DECL coro::task<void> node_core::store_replica(node_core& core, record const& what, std::size_t index,
                                                      std::shared_ptr<put_receipt::state> state, std::uint64_t& newer,
                                                      bool last_round) {
  peer_ref const to = core.book_.intern(state->replicas[index].peer);
  std::size_t const step = state->steps.asked(to->id(), {}, core.context_.now());
  store_answer answer = co_await store_at(core, what, to, false, state->wants_durable);
  trace::told told;
  told.stored = answer.now == replica::state::stored;
  if (told.stored)
    state->steps.answered(step, told, core.context_.now());
  else
    state->steps.failed(step, answer.why);
  if (answer.newer != 0 && answer.newer >= what.sequence && !last_round) {
    newer = std::max(newer, answer.newer);
    co_return;
  }
  replica& r = state->replicas[index];
  if (r.now == replica::state::stored && answer.now != replica::state::stored) co_return;  // it holds what it held
  r.durable = answer.durable;
  r.now = answer.now;
  r.refusal = answer.refusal;
  r.why = std::move(answer.why);
  decide(*state);
}

KADORO_DECL coro::task<node_core::store_answer> node_core::ask_to_store(node_core& core, record const& what,
                                                                        peer_ref to, bool renew, bool durable) {
  store_answer said;
  time_point const begun = core.context_.now();
  bool const held = core.is_holder(what, to->id());
  bool const foreign = is_foreign(*to);
  if (foreign && what.tombstone()) {
    said.now = replica::state::refused;
    said.refusal = errc::refused_unsupported;
    said.why = "cannot be told that a record is withdrawn: it keeps its copy until that runs out";
    core.note_holder(what, to->id(), begun, false);
    co_return said;
  }
  if (foreign && what.provides()) {
    said = co_await provide_at_foreign(core, what, to);
    core.note_holder(what, to->id(), begun, said.now == replica::state::stored);
    co_return said;
  }
  if (what.is_content()) {
    auto objection = co_await objection_to_content(core, to);
    if (objection) {
      core.note_holder(what, to->id(), begun, false);
      co_return std::move(*objection);
    }
  }
  for (int attempt = renew && !foreign ? 0 : 1; attempt < 2; ++attempt) {
    transport::message request;
    request.key = what.key;
    if (attempt == 0) {
      ask_to_renew(request, what);
    } else {
      request.type = transport::message_type::put_value;
      request.record = foreign ? to_wire_unsigned(what, what.lifetime_max) : to_wire(what, 0, false);
    }
    if (durable && !foreign) request.durability = wire::durability::wanted;
    if (foreign) core.note_foreign_copy(what);  // it may take it and not be heard
    auto const answer = co_await core.transport_->request(to, request);
    if (!foreign && attempt == 1 && is_foreign(*to)) core.note_foreign_copy(what);  // which only its handshake said
    if (!answer) {
      if (answer.error() == errc::too_large) {  // for what that peer speaks
        said.now = replica::state::refused;
        said.refusal = errc::refused_too_large;
      }
      said.why = answer.error().message();
      break;
    }
    if (!answer->refusal) {
      said.now = replica::state::stored;
      said.durable = answer->durability == wire::durability::on_disk;
      // What was withdrawn must not come back: that waits for the disk in any case.
      if ((durable || what.tombstone()) && answer->durability == wire::durability::pending) {
        said.durable = co_await await_durable(core, what, to);
      }
      break;
    }
    if (attempt == 0 && answer->refusal != errc::refused_rate) continue;
    said.now = replica::state::refused;
    said.refusal = answer->refusal;
    said.why = transport::why_refused(*answer);
    if (answer->refusal == errc::refused_rate)
      core.place_again(what, std::chrono::milliseconds(answer->retry_after_ms));
    if (!answer->refusal_text.empty()) said.why += ": " + printable(answer->refusal_text);
    if (answer->refusal == errc::refused_stale && answer->record) {
      auto const word = header_from_wire(*answer->record, what.key);
      if (word && word->publisher == core.id_ && word->key == what.key && word->verify()) said.newer = word->sequence;
    }
  }
  if (said.now == replica::state::no_answer && !held && core.is_holder(what, to->id())) {
    said.now = replica::state::stored;  // another job of ours got through to it meanwhile
    said.why.clear();
  }
  core.note_holder(what, to->id(), begun, said.now == replica::state::stored);
  co_return said;
}

/// It will soon be on that peer's disk: asks again, patiently, because others want the same of it.
KADORO_DECL coro::task<bool> node_core::await_durable(node_core& core, record const& what, peer_ref to) {
  static constexpr int tries = 6;
  duration pause = std::chrono::milliseconds(10);
  for (int i = 0; i < tries; ++i, pause *= 2) {
    auto const slept = co_await coro::sleep_for(pause);
    if (!slept) break;
    transport::message request;
    ask_to_renew(request, what);
    request.durability = wire::durability::wanted;
    auto const answer = co_await core.transport_->request(to, request);
    if (!answer || answer->refusal || answer->durability == wire::durability::not_said) break;
    if (answer->durability == wire::durability::on_disk) co_return true;
  }
  co_return false;
}

/// Gives a holder's copy to a peer, with what remains of its life. A foreign one takes it as this node's word; what
/// cannot be said to it is a refusal, without asking.
KADORO_DECL coro::task<result<transport::message>> node_core::hand_on(node_core& core, record const& what,
                                                                      duration remaining, peer_ref to) {
  bool const foreign = is_foreign(*to);
  if (what.is_content() && !keeps_content(*to)) {
    transport::message unsaid;
    unsaid.refusal = errc::refused_unsupported;
    co_return unsaid;
  }
  transport::message request;
  request.key = what.key;
  request.type = foreign ? transport::message_type::put_value : transport::message_type::replicate;
  request.record =
      foreign ? to_wire_unsigned(what, remaining) : to_wire(what, std::max(1u, to_wire_ms(remaining)), false);
  if (foreign) {
    if (what.tombstone() || what.provides()) {  // only the provider itself may say that it is one
      transport::message unsaid;
      unsaid.refusal = errc::refused_unsupported;
      co_return unsaid;
    }
    core.note_foreign_copy(what);
  }
  co_return co_await core.transport_->request(to, request);
}

/// Foreign peers pass on what they have, as long as libp2p keeps records: until then its sequence is remembered here.
KADORO_DECL void node_core::note_foreign_copy(record const& what) {
  store_.remember_until(what.key, what.publisher, context_.now() + unsigned_lifetime);
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
