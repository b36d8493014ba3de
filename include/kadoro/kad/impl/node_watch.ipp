#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"
#include "kadoro/kad/range_quota.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// ---- what others watch here -----------------------------------------------------------------------------------------

/// A push holds as many records as fit into so much, but one at least.
inline constexpr std::size_t push_budget_bytes = 900;
inline constexpr std::size_t max_changes_in_push = 32;

/// What a watcher is told, with the bytes that it views.
struct node_core::news_batch {
  std::uint64_t since = 0;
  std::uint64_t upto = 0;
  std::uint64_t head = 0;
  pooled_vector<wire::record> records;
  std::size_t bytes = 0;      // of the records
  std::vector<record> owned;  // never grows beyond what was reserved: `records` views it
};

/// Nothing if the watcher knows everything. A record that has ended is its publisher's name and sequence alone.
KADORO_DECL std::optional<node_core::news_batch> node_core::news_for(bytes_view key, peer_id const& watcher) {
  auto const changes = watchers_.next(key, watcher, max_changes_in_push);
  if (!changes) return std::nullopt;
  news_batch out;
  out.since = changes->since;
  out.head = out.upto = changes->head;
  out.owned.reserve(changes->publishers.size());
  time_point const now = context_.now();
  std::vector<record_store::held> all;  // for records without signature; looked up if needed
  for (auto const& [number, publisher] : changes->publishers) {
    auto held = store_.find(key, publisher, now);
    if (!held) {
      if (all.empty()) store_.get(key, now, all);
      auto const at = std::find_if(all.begin(), all.end(),
                                   [&p = publisher](record_store::held const& h) { return h.value->publisher == p; });
      if (at != all.end()) held = *at;
    }
    record what;
    what.publisher = publisher;
    if (held)
      what = *held->value;
    else if (auto const remembered = store_.highest(key, publisher))
      what.sequence = remembered->sequence;
    out.owned.push_back(std::move(what));
    record const& kept = out.owned.back();
    wire::record w;
    if (held) {
      w = kept.is_signed() ? to_wire(kept, std::max(1u, to_wire_ms(held->remaining)), false)
                           : to_wire_unsigned(kept, held->remaining);
      w.key = {};
    } else {
      w.publisher = kept.publisher.bytes();
      w.sequence = kept.sequence;
    }
    std::size_t const more = wire::encoded_size(w);
    if (!out.records.empty() && out.bytes + more > push_budget_bytes) return out;
    out.bytes += more;
    out.records.push_back(w);
    out.upto = number;
  }
  if (out.records.size() < max_changes_in_push) out.upto = out.head;
  return out;
}

KADORO_DECL void node_core::answer_watch(peer_ref const& from, transport::message const& request,
                                         transport::message& answer) {
  std::vector<record_store::held> held;
  std::vector<peer_id> publishers;
  if (!watchers_.watched(request.key)) {
    store_.get(request.key, context_.now(), held);
    for (record_store::held const& h : held)
      if (!h.value->publisher.empty()) publishers.push_back(h.value->publisher);
  }
  std::uint64_t const start = context_.random().next() >> 2 | 1;
  answer.refusal = watchers_.watch(request.key, from, request.sequence, publishers, start, context_.now());
  if (answer.refusal) return;
  answer_contacts(from, request, answer);
  auto news = news_for(request.key, from->id());
  if (!news) {
    answer.since = answer.sequence = answer.head = request.sequence;
    return;
  }
  answer.since = answer.sequence = news->since;
  answer.head = news->head;
  if (news->bytes > push_budget_bytes || news->upto != news->head)  // the rest is pushed behind the answer
    context_.arm(push_, context_.now() + std::chrono::milliseconds(1));
  if (news->bytes > push_budget_bytes) return;
  answer.sequence = news->upto;
  last_news_ = std::make_unique<news_batch>(std::move(*news));  // the answer views it until it is sent
  answer.records = last_news_->records;
  watchers_.told(request.key, from->id(), answer.sequence);
}

/// Whoever is to hear of what has changed hears of it.
KADORO_DECL void node_core::tell_watchers() {
  for (watcher_table::push const& which : watchers_.take_due())
    if (!jobs_.spawn(push_job(*this, which))) watchers_.push_failed(which);
}

/// A watcher is taken to be where it will be once the push has arrived: so the next one need not wait for that. If one
/// is lost or overtaken, the watcher notices that something is missing, and asks.
KADORO_DECL coro::task<void> node_core::push_job(node_core& core, watcher_table::push which) {
  peer_ref const& to = which.to;
  do {
    auto news = core.news_for(which.key, to->id());
    if (!news) continue;
    transport::message request;
    request.type = transport::message_type::push;
    request.key = which.key;
    request.records = news->records;
    request.contacts = core.contacts_for(*news, to);
    request.since = news->since;
    request.sequence = news->upto;
    request.head = news->head;
    core.watchers_.told(which.key, to->id(), news->upto);
    auto const answer = co_await core.transport_->request(to, request);
    if (!answer || answer->refusal) {
      core.watchers_.push_failed(which);
      co_return;
    }
  } while (core.watchers_.push_ended(which));
}

/// Where the publishers of these records are, so that a watcher can call them at once.
KADORO_DECL peer_list node_core::contacts_for(news_batch const& news, peer_ref const& to) {
  static constexpr std::size_t max_contacts = 4;
  peer_list out;
  for (record const& what : news.owned) {
    if (out.size() == max_contacts) break;
    if (what.value.empty() || what.publisher == id_ || what.publisher == to->id()) continue;
    peer_ref const who = book_.intern(what.publisher);
    if (who->last_heard != time_point() && who->unanswered == 0 && who->mode == peer_mode::server) out.push_back(who);
  }
  return out;
}

// ---- what this node watches -----------------------------------------------------------------------------------------

KADORO_DECL result<watch> node_core::watch_key(bytes_view key) {
  if (leaving_) return fail(errc::closed, "watch of " + printable(key) + ": this node is closed");
  if (key.empty() || key.size() > record::max_key_bytes)
    return fail(errc::invalid_argument, "watch: a key of " + std::to_string(key.size()) + " bytes; 1 to " +
                                            std::to_string(record::max_key_bytes) + " are allowed");
  static constexpr std::size_t max_watched = 1024;
  auto at = watching_.find(key);
  if (at == watching_.end()) {
    if (watching_.size() == max_watched)
      return fail(errc::queue_full,
                  "watch of " + printable(key) + ": " + std::to_string(max_watched) + " keys are watched already");
    at = watching_.emplace(to_bytes(key), std::make_shared<watched_key>(to_bytes(key))).first;
    take_own_word(*at->second);
  }
  auto const reader = std::make_shared<watch::state>(at->second);
  at->second->add_reader(reader);
  find_holders(*at->second);
  if (settled_ && table_.size() > k()) jobs_.spawn(seek_holders(*this, at->second));
  return watch(reader);
}

/// What this node holds itself, and its validators accept today.
KADORO_DECL void node_core::take_own_word(watched_key& of) {
  std::vector<record_store::held> held;
  store_.get(of.key, context_.now(), held);
  for (record_store::held const& h : held)
    if (!h.value->publisher.empty() && !validators_.objection_to(*h.value))
      of.on_record(id_, 0, *h.value, h.remaining, context_.now());
}

/// The store has changed: for those who watch here, and for this node if it watches.
KADORO_DECL void node_core::on_store_change(bytes_view key, peer_id const& publisher, bool ended) {
  if (publisher.empty()) return;
  watchers_.on_change(key, publisher, !ended);
  if (watching_.find(key) != watching_.end()) own_changes_.emplace_back(to_bytes(key), publisher);
}

KADORO_DECL void node_core::take_own_changes() {
  for (auto const& [key, publisher] : std::exchange(own_changes_, {})) {
    auto const at = watching_.find(key);
    if (at == watching_.end()) continue;
    auto const held = store_.find(key, publisher, context_.now());
    if (held)
      at->second->on_record(id_, 0, *held->value, held->remaining, context_.now());
    else
      at->second->on_ended(id_, publisher, context_.now());
  }
}

/// After anything that may have changed the store.
KADORO_DECL void node_core::spread_changes() {
  if (closed_) return;
  take_own_changes();
  tell_watchers();
}

/// Looks whom to watch at: the closest servers to the key that are not proven dead. Talks to those that are due.
KADORO_DECL void node_core::find_holders(watched_key& of) {
  static constexpr std::size_t max_watched_at = 4;
  auto const self = watching_.find(of.key);
  if (closed_ || self == watching_.end() || self->second.get() != &of) return;  // nobody watches any more
  time_point const now = context_.now();
  key const& where = of.where;
  std::vector<contact> known;
  table_.closest(where, k(), known);
  peer_list candidates;
  for (contact const& c : known) candidates.push_back(c.peer);
  std::erase_if(of.near, [](peer_ref const& who) { return who->unanswered > 0; });
  candidates.insert(candidates.end(), of.near.begin(), of.near.end());
  for (auto const& [id, h] : of.holders) candidates.push_back(h.peer);
  std::sort(candidates.begin(), candidates.end(),
            [&where](peer_ref const& a, peer_ref const& b) { return where.closer(key(a->hash()), key(b->hash())); });
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());

  std::set<peer_id> wanted;
  range_quota places(options_.table.max_per_range_in_bucket);
  of.why_nobody = "no peer is known";
  for (peer_ref const& who : candidates) {
    if (wanted.size() == std::min(options_.replicas, max_watched_at)) break;
    auto const at = of.holders.find(who->id());
    bool const refused = at != of.holders.end() && at->second.now == watched_key::holder::state::refused;
    if (refused && at->second.next > now) continue;
    // A stranger is pinged first: a dial that carries no read would hold up a lookup that wants to ask it.
    if (who->last_heard == time_point()) continue;
    if (who->unanswered > 0 || who->mode == peer_mode::client) {
      of.why_nobody = "the peers that are known do not answer, or are clients";
      continue;
    }
    if (!places.admits(transport::proved_range(*who))) continue;
    wanted.insert(who->id());
    if (at == of.holders.end()) of.holders[who->id()].peer = who;
  }
  bool const all_tell =
      std::all_of(wanted.begin(), wanted.end(), [&of](peer_id const& id) { return of.holders.at(id).complete; });
  for (auto at = of.holders.begin(); at != of.holders.end();) {
    auto const here = at++;
    auto& [id, h] = *here;
    // One that is no longer of the closest tells until the others do.
    bool const keeps = wanted.contains(id) || h.busy ||
                       (h.now == watched_key::holder::state::refused && h.next > now) ||
                       (!all_tell && h.peer->unanswered == 0);
    if (!keeps) {
      of.on_holder_lost(id, now);
      of.holders.erase(here);
      continue;
    }
    if (h.busy || !wanted.contains(id)) continue;
    if (h.next > now && !(h.again && h.hurry.take(now))) continue;
    h.busy = jobs_.spawn(watch_job(*this, self->second, h.peer));
  }
}

/// Asks one holder to tell, and from then on again before its promise runs out.
KADORO_DECL coro::task<void> node_core::watch_job(node_core& core, std::shared_ptr<watched_key> of, peer_ref at) {
  peer_id const id = at->id();
  bool const polls = at->mode != peer_mode::unknown && (at->features & transport::transport::feature_watch) == 0;
  if (polls) {
    co_await poll_holder(core, of, at);
  } else {
    co_await ask_holder(core, of, at);
  }
  auto const h = of->holders.find(id);
  if (h != of->holders.end()) h->second.busy = false;
  core.find_holders(*of);
}

KADORO_DECL coro::task<void> node_core::ask_holder(node_core& core, std::shared_ptr<watched_key> const& of,
                                                   peer_ref at) {
  using state = watched_key::holder::state;
  static constexpr duration refusal_lasts = std::chrono::seconds(30);
  watched_key::holder* h = &of->holders.at(at->id());
  h->again = false;
  transport::message request;
  request.type = transport::message_type::watch;
  request.key = of->key;
  request.sequence = h->known;
  auto const answer = co_await core.transport_->request(at, request);
  time_point const now = core.context_.now();
  auto const here = of->holders.find(at->id());
  if (here == of->holders.end()) co_return;
  h = &here->second;
  if (!answer) {
    h->now = state::asked;
    h->complete = false;
    h->next = now + std::chrono::seconds(1);
    h->known = 0;
    of->on_holder_lost(at->id(), now);
    co_return;
  }
  if (answer->refusal) {
    bool const foreign = *answer->refusal == errc::refused_unsupported;
    h->now = foreign ? state::polled : state::refused;
    duration const hint = std::chrono::milliseconds(answer->retry_after_ms);
    h->next = foreign ? now : now + (hint > duration::zero() ? std::min(hint, refusal_lasts) : refusal_lasts);
    h->why = transport::why_refused(*answer);
    co_return;
  }
  h->now = state::telling;
  // A third of the promise, and not all nodes at once.
  duration const third = watcher_table::life / 3;
  auto const spread = static_cast<std::uint64_t>(third.count() / 4);
  h->next = now + third - duration(static_cast<duration::rep>(core.context_.random().below(spread)));
  core.take_changes(*of, *h, *answer);
  core.learn_holders(*of, *answer);
  core.meet(answer->contacts);
}

/// A peer that cannot tell is asked, more rarely as long as nothing changes.
KADORO_DECL coro::task<void> node_core::poll_holder(node_core& core, std::shared_ptr<watched_key> const& of,
                                                    peer_ref at) {
  static constexpr duration shortest = std::chrono::seconds(1);
  static constexpr duration longest = std::chrono::seconds(20);
  transport::message request;
  request.type = transport::message_type::get_value;
  request.key = of->key;
  std::uint64_t const round = of->holders.at(at->id()).round + 1;
  of->holders.at(at->id()).again = false;
  bool all = false;
  for (std::size_t page = 0; page < lookup::max_pages; ++page) {
    auto const answer = co_await core.transport_->request(at, request);
    if (!answer || answer->refusal) break;
    for (wire::record const& w : answer->records) core.take_record(*of, at->id(), round, w);
    if (page == 0) core.learn_holders(*of, *answer);
    all = answer->records_cursor <= request.records_cursor;
    if (all) break;
    request.records_cursor = answer->records_cursor;
  }
  time_point const now = core.context_.now();
  auto const here = of->holders.find(at->id());
  if (here == of->holders.end()) co_return;
  watched_key::holder& h = here->second;
  h.now = watched_key::holder::state::polled;
  h.round = round;
  h.complete = all;
  if (all)
    of->on_told_all(at->id(), round, now);
  else
    of->on_holder_lost(at->id(), now);
  bool const news = of->changes() != std::exchange(h.known, of->changes());
  h.interval = news ? shortest : std::clamp(2 * h.interval, shortest, longest);
  h.next = now + h.interval;
}

/// What a holder tells, by push or in its answer. What was overtaken, and is known by now, is nothing new. Where
/// something is missing before it, live records count all the same, and in the next full telling too: the holder is
/// asked what else there is.
KADORO_DECL void node_core::take_changes(watched_key& of, watched_key::holder& from, transport::message const& news) {
  static constexpr std::uint64_t overtaken = 1024;  ///< changes; numbers of another life are farther off
  if (news.since != 0 && news.sequence <= from.known && from.known - news.sequence < overtaken) return;
  if (news.since != 0 && news.since != from.known) {
    from.again = true;
    for (wire::record const& w : news.records)
      if (!w.value.empty()) take_record(of, from.peer->id(), from.round + 1, w);
    return;
  }
  if (news.since == 0) {
    ++from.round;
    from.retelling = true;
  }
  for (wire::record const& w : news.records) take_record(of, from.peer->id(), from.round, w);
  from.known = news.sequence;
  if (news.sequence != news.head) return;
  if (std::exchange(from.retelling, false) || !from.complete)
    of.on_told_all(from.peer->id(), from.round, context_.now());
  from.complete = true;
}

KADORO_DECL void node_core::take_record(watched_key& of, peer_id const& by, std::uint64_t round,
                                        wire::record const& w) {
  time_point const now = context_.now();
  if (w.signature.empty() && w.value.empty() && w.ttl_s == 0) {
    if (auto const publisher = peer_id::from_bytes(w.publisher)) of.on_ended(by, *publisher, now);
    return;
  }
  bool const is_signed = !w.signature.empty();
  auto what = is_signed ? from_wire(w, of.key) : unsigned_from_wire(w, of.key);
  if (!what || what->publisher.empty() || !equal(what->key, of.key)) return;
  if (!of.has_room_for(by, *what)) return;
  if (is_signed && (w.remaining_ms == 0 || !(of.knows(*what) || verified_.verify(*what)))) return;
  if (validators_.objection_to(*what)) {
    ++validators_.counters().rejected;
    return;
  }
  duration const remaining = is_signed
                                 ? std::min<duration>(std::chrono::milliseconds(w.remaining_ms), what->lifetime_max)
                                 : what->lifetime_max;
  of.on_record(by, round, std::move(*what), remaining, now);
}

/// Closer servers than those that are known may hold the key by now.
KADORO_DECL void node_core::learn_holders(watched_key& of, transport::message const& answer) {
  for (peer_ref const& who : answer.contacts)
    if (!who->addresses().empty() && who->unanswered == 0) of.learn(who);
}

/// Null: that key is not watched, or not there.
KADORO_DECL watched_key::holder* node_core::watched_holder(bytes_view key, peer_ref const& who) {
  auto const at = watching_.find(key);
  if (at == watching_.end()) return nullptr;
  auto const holder = at->second->holders.find(who->id());
  return holder == at->second->holders.end() ? nullptr : &holder->second;
}

KADORO_DECL void node_core::take_push(peer_ref const& from, transport::message const& request,
                                      transport::message& answer) {
  watched_key::holder* const teller = watched_holder(request.key, from);
  if (teller == nullptr) {
    answer.refusal = errc::refused_unknown;
    return;
  }
  watched_key& of = *watching_.find(request.key)->second;
  take_changes(of, *teller, request);
  if (teller->again && !teller->busy) find_holders(of);
  meet(request.contacts);
}

/// In a swarm that is larger than the table, a lookup finds the first holders; their answers name those that come
/// later.
KADORO_DECL coro::task<void> node_core::seek_holders(node_core& core, std::shared_ptr<watched_key> of) {
  auto const found = std::make_shared<find_state>();
  peer_list const nobody;
  co_await find_job(core, of->key, found, nobody);
  for (peer_ref const& who : found->closest) of->learn(who);
  core.find_holders(*of);
}

/// A server came or went. One that came with a new session may have forgotten what it promised in an older one.
KADORO_DECL void node_core::review_watches(peer_ref const& who) {
  for (auto const& [key, of] : watching_) {
    auto const at = of->holders.find(who->id());
    if (at != of->holders.end() && at->second.now == watched_key::holder::state::telling)
      at->second.next = context_.now();
    find_holders(*of);
  }
}

KADORO_DECL void node_core::look_after_watches(time_point now) {
  watchers_.expire(now);
  for (auto at = watching_.begin(); at != watching_.end();) {
    auto const here = at++;
    if (here->second->expire(now)) take_own_word(*here->second);
    if (!here->second->drop_closed_readers()) {
      watching_.erase(here);  // its holders find out when they push
      continue;
    }
    find_holders(*here->second);
    for (peer_ref const& who : here->second->near)
      if (who->last_heard == time_point()) check(who);
  }
  spread_changes();
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
