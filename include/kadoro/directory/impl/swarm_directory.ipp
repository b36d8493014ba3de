#pragma once

#include <algorithm>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/when_all.hpp"
#include "kadoro/directory/swarm_directory.hpp"

namespace kadoro::inline KADORO_ABI::directory {

namespace detail {

inline constexpr duration get_limit = std::chrono::seconds(15);  ///< a get ends by itself long before
inline constexpr duration first_fetch = std::chrono::milliseconds(100);
inline constexpr duration last_fetch = std::chrono::seconds(4);
inline constexpr duration shortest_look = std::chrono::milliseconds(5);
inline constexpr std::size_t max_goodbyes = 1024;

inline coro::task<result<void>> wait_for(coro::event& what) { co_return co_await what.wait(); }

/// False when the caller is asked to stop.
inline coro::task<bool> wait_until(coro::event& what, time_point due) {
  auto const woken = co_await coro::with_deadline(wait_for(what), due);
  co_return woken || woken.error() == errc::timed_out;
}

inline result<void> check(directory_options const& o) {
  if (o.cluster.empty() || o.cluster.size() > directory_options::max_cluster_bytes ||
      o.cluster.find('/') != std::string::npos)
    return fail(errc::invalid_argument, "cluster '" + o.cluster + "': 1 to " +
                                            std::to_string(directory_options::max_cluster_bytes) +
                                            " bytes without '/' are allowed");
  if (o.model_name.empty() || o.model_name.size() > shard_announcement::max_text_bytes)
    return fail(errc::invalid_argument, "model name '" + o.model_name + "': 1 to " +
                                            std::to_string(shard_announcement::max_text_bytes) + " bytes are allowed");
  if (o.total_shards == 0 || o.total_shards > max_shards)
    return fail(errc::invalid_argument,
                "total shards " + std::to_string(o.total_shards) + ": must be 1 to " + std::to_string(max_shards));
  if (o.total_layers < o.total_shards)
    return fail(errc::invalid_argument, "total layers " + std::to_string(o.total_layers) + ": fewer than the " +
                                            std::to_string(o.total_shards) + " shards");
  if (o.contact_interval <= duration::zero() || o.contact_timeout <= duration::zero() || o.max_holders_per_shard == 0)
    return fail(errc::invalid_argument, "directory options: intervals and limits must be positive");
  return {};
}

}  // namespace detail

KADORO_DECL result<std::unique_ptr<swarm_directory>> swarm_directory::open(kad::node& node, directory_options options,
                                                                           directory_observer* observer) {
  auto const sound = detail::check(options);
  if (!sound) return fail(sound.error());
  std::string const key = shards_key(options.cluster);
  auto marks = node.watch(as_bytes(key));
  if (!marks) return fail(marks.error());
  std::unique_ptr<swarm_directory> made(new swarm_directory(node, std::move(options), std::move(*marks), observer));
  made->jobs_.spawn(watch_loop(*made));
  made->jobs_.spawn(contact_loop(*made));
  return made;
}

inline swarm_directory::swarm_directory(kad::node& node, directory_options options, kad::watch marks,
                                        directory_observer* observer)
    : node_(node),
      context_(node.context()),
      options_(std::move(options)),
      shards_key_(shards_key(options_.cluster)),
      marks_(std::move(marks)),
      book_(options_.total_shards, {options_.max_holders_per_shard, 4096}, observer),
      jobs_(context_) {
  node_.add_observer(*this);
}

KADORO_DECL swarm_directory::~swarm_directory() {
  if (!closed_) node_.remove_observer(*this);
  jobs_.abandon();
}

KADORO_DECL coro::task<void> swarm_directory::close() {
  if (!closed_) {
    closed_ = true;
    node_.remove_observer(*this);
    jobs_.request_cancel();
  }
  co_await jobs_.join();
}

KADORO_DECL kad::put_options swarm_directory::put_options() const noexcept {
  kad::put_options how;
  how.quorum = options_.quorum;
  how.lifetime = options_.lifetime;
  return how;
}

KADORO_DECL shard_announcement swarm_directory::describe(std::uint32_t shard) const {
  shard_announcement a;
  a.peer = node_.id();
  a.shard_id = shard;
  a.total_shards = options_.total_shards;
  a.layers = layer_range::of(shard, options_.total_shards, options_.total_layers);
  auto const addresses = node_.addresses();
  if (!addresses.empty()) a.address = addresses.front();
  a.model_name = options_.model_name;
  return a;
}

KADORO_DECL coro::task<result<kad::put_receipt>> swarm_directory::announce(shard_announcement what) {
  if (closed_) co_return fail(errc::closed, "announce: this directory is closed");
  if (what.peer != node_.id() || what.total_shards != options_.total_shards || what.shard_id >= what.total_shards)
    co_return fail(errc::invalid_argument, "announce: shard " + std::to_string(what.shard_id) + " of " +
                                               std::to_string(what.total_shards) + " by " + what.peer.to_string() +
                                               " is not for this node and this swarm");
  shard_mark mark;
  mark.shard_id = what.shard_id;
  mark.total_shards = what.total_shards;
  mark.loaded = what.capabilities.shard_loaded;
  if (announced_ && *announced_ != what.shard_id) {
    std::string const old = shard_key(options_.cluster, *announced_);
    kad::put_options const how = put_options();
    auto const gone = co_await node_.withdraw(as_bytes(old), how);
    if (!gone) co_return fail(gone.error());
  }
  announced_ = what.shard_id;
  book_.set_own(what.shard_id, mark.loaded, context_.now());
  book_.describe_own(what);
  settle(true);
  std::string const key = shard_key(options_.cluster, what.shard_id);
  std::string const value = what.to_json();
  std::string const mark_value = mark.to_json();
  kad::put_options const how = put_options();
  auto details_put = node_.put(as_bytes(key), as_bytes(value), how);
  auto mark_put = node_.put(as_bytes(shards_key_), as_bytes(mark_value), how);
  auto both = co_await coro::when_all(std::move(details_put), std::move(mark_put));
  if (!std::get<0>(both)) co_return fail(std::get<0>(both).error());
  if (!std::get<1>(both)) co_return fail(std::get<1>(both).error());
  co_return std::move(std::get<0>(both));
}

KADORO_DECL coro::task<result<void>> swarm_directory::withdraw() {
  if (!announced_) co_return result<void>();
  std::string const key = shard_key(options_.cluster, *announced_);
  announced_.reset();
  book_.clear_own();
  settle(true);
  kad::put_options const how = put_options();
  auto details_put = node_.withdraw(as_bytes(key), how);
  auto mark_put = node_.withdraw(as_bytes(shards_key_), how);
  auto both = co_await coro::when_all(std::move(details_put), std::move(mark_put));
  if (!std::get<0>(both)) co_return fail(std::get<0>(both).error());
  if (!std::get<1>(both)) co_return fail(std::get<1>(both).error());
  co_return result<void>();
}

KADORO_DECL std::vector<peer_id> swarm_directory::stored_by() const {
  if (!announced_) return {};
  std::string const key = shard_key(options_.cluster, *announced_);
  return node_.holders(as_bytes(key));
}

KADORO_DECL std::vector<holder_view> swarm_directory::holders(std::uint32_t shard) const {
  if (shard >= options_.total_shards) return {};
  return book_.holders(shard, node_.id(), context_.now());
}

KADORO_DECL swarm_view swarm_directory::view() const {
  swarm_view v;
  v.cluster = options_.cluster;
  v.model_name = options_.model_name;
  v.total_layers = options_.total_layers;
  for (std::uint32_t i = 0; i < options_.total_shards; ++i)
    v.shards.push_back(book_.holders(i, node_.id(), context_.now()));
  for (std::uint32_t i = 0; i < options_.total_shards; ++i) {
    if (book_.known(i)) continue;
    auto const asked = attempts_.find(i);
    v.why_missing[i] = asked == attempts_.end() || asked->second.said.empty() ? explain() : asked->second.said;
  }
  v.complete = book_.complete();
  v.ready = book_.ready();
  return v;
}

// What happens on the network. Both run in the receive path: they only wake the loops.

KADORO_DECL void swarm_directory::on_peer_confirmed(kad::peer_ref const&) { look_now_.set(); }

KADORO_DECL void swarm_directory::on_peer_lost(kad::peer_ref const& who, error const& why) {
  if (why == errc::closed && goodbyes_.size() < detail::max_goodbyes) goodbyes_.push_back(who);
  look_now_.set();
}

KADORO_DECL void swarm_directory::settle(bool news) {
  book_.reconsider();
  if (news) look_now_.set();
}

KADORO_DECL void swarm_directory::refuse(error const& why) {
  ++counters_.refused_records;
  last_refusal_ = why.message();
}

// The watch.

KADORO_DECL coro::task<void> swarm_directory::watch_loop(swarm_directory& self) {
  for (;;) {
    auto const change = co_await self.marks_.next();
    if (!change) co_return;
    ++self.counters_.changes;
    self.absorb_mark(*change);
    if (self.start_fetches() < time_point::max()) self.look_now_.set();  // when that is due
  }
}

KADORO_DECL void swarm_directory::absorb_mark(kad::watch_event const& from) {
  using kind = kad::watch_event::kind;
  kad::record const& what = from.found.value;
  if (what.publisher == node_.id()) return;
  time_point const now = context_.now();
  if (from.what == kind::expire) return settle(book_.on_mark_ended(what.publisher, what.sequence));
  kad::peer_ref const who = node_.peer_of(what.publisher);
  if (from.what == kind::gone)
    return settle(book_.on_tombstone(who, holder_book::record_kind::mark, what.sequence, what.lifetime_max, now));
  auto const mark = shard_mark::from_json(what.value);
  if (!mark) return refuse(error(errc::malformed, what.publisher.to_string() + ": " + mark.error().message()));
  if (mark->total_shards != options_.total_shards)
    return refuse(error(errc::malformed, what.publisher.to_string() + ": it says that there are " +
                                             std::to_string(mark->total_shards) + " shards, not " +
                                             std::to_string(options_.total_shards)));
  settle(book_.on_mark(who, *mark, what.sequence, now));
}

KADORO_DECL void swarm_directory::absorb_announcements(std::uint32_t shard, kad::get_result const& from) {
  time_point const now = context_.now();
  bool news = false;
  for (kad::found_record const& r : from.records()) {
    if (r.value.publisher == node_.id() || r.value.publisher.empty()) continue;  // empty: unsigned, of nobody
    auto what = shard_announcement::from_json(r.value.value, shard, r.value.publisher);
    if (!what) {
      refuse(what.error());
      continue;
    }
    if (what->total_shards != options_.total_shards) {
      refuse(error(errc::malformed, r.value.publisher.to_string() + ": it says that there are " +
                                        std::to_string(what->total_shards) + " shards, not " +
                                        std::to_string(options_.total_shards)));
      continue;
    }
    kad::peer_ref const who = node_.peer_of(r.value.publisher);
    if (who->addresses().empty() && what->address.is_datagram()) who->add_address(what->address.without_peer(), false);
    if (book_.on_announcement(who, std::move(*what), r.value.sequence, r.remaining, now)) news = true;
  }
  for (kad::found_record const& r : from.withdrawn()) {
    if (r.value.publisher == node_.id()) continue;
    kad::peer_ref const who = node_.peer_of(r.value.publisher);
    if (book_.on_tombstone(who, holder_book::record_kind::announcement, r.value.sequence,
                           std::max(r.remaining, options_.lifetime), now))
      news = true;
  }
  settle(news);
}

/// Asks for the keys of shards that nobody is known for, and of those where a holder has not been described yet.
/// Returns when one is due that is not to wait for the next look: the first of a holder that was never described.
KADORO_DECL time_point swarm_directory::start_fetches() {
  struct reason {
    bool urgent = false;  // a holder cannot be contacted before
    bool described = true;
  };
  time_point const now = context_.now();
  std::map<std::uint32_t, reason> wanted;
  for (auto const& [id, e] : book_.entries()) {
    if (!e.listed() || (e.details && !e.details_stale)) continue;
    reason& why = wanted[e.shard];
    why.urgent = why.urgent || e.peer->addresses().empty();
    why.described = why.described && e.details.has_value();
  }
  for (std::uint32_t i = 0; i < options_.total_shards; ++i)
    if (!book_.known(i)) wanted.try_emplace(i);
  std::erase_if(attempts_, [&wanted](auto const& a) { return !a.second.under_way && !wanted.contains(a.first); });

  time_point next = time_point::max();
  auto at = wanted.lower_bound(next_fetch_);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (at == wanted.end()) at = wanted.begin();
    auto const [shard, why] = *at++;
    attempt& a = attempts_[shard];
    if (a.wait == duration::zero()) {
      a.wait = detail::first_fetch;
      a.next = why.urgent ? now : now + a.wait;
    }
    if (a.under_way) continue;
    if (a.next > now) {
      if (!why.described && a.wait == detail::first_fetch) next = std::min(next, a.next);
      continue;
    }
    if (fetches_under_way_ >= max_fetches_under_way) {
      next_fetch_ = shard;
      break;
    }
    a.under_way = jobs_.spawn(fetch(*this, shard));
    if (a.under_way) ++fetches_under_way_;
  }
  return next;
}

KADORO_DECL coro::task<void> swarm_directory::fetch(swarm_directory& self, std::uint32_t shard) {
  ++self.counters_.fetches;
  std::string const key = shard_key(self.options_.cluster, shard);
  kad::get_options how;
  how.quorum = self.options_.quorum;
  auto const got = co_await coro::with_deadline(self.node_.get(as_bytes(key), how), detail::get_limit);
  --self.fetches_under_way_;
  attempt& a = self.attempts_[shard];
  a.under_way = false;
  a.next = self.context_.now() + a.wait;
  a.wait = std::min(detail::last_fetch, a.wait * 2);
  a.said = got ? got->explain() : got.error().message();
  if (got) self.absorb_announcements(shard, *got);
}

// Contacts.

KADORO_DECL coro::task<void> swarm_directory::contact_loop(swarm_directory& self) {
  for (;;) {
    self.look_now_.reset();
    time_point const now = self.context_.now();
    bool news = self.book_.expire(now);
    for (kad::peer_ref const& who : std::exchange(self.goodbyes_, {}))
      if (holder_book::entry* const e = self.book_.find(who->id()))
        if (self.book_.on_goodbye(*e, now)) {
          e->next_contact = now + self.options_.contact_interval;
          news = true;
        }
    time_point next = now + self.options_.contact_interval;
    for (auto& [id, e] : self.book_.entries()) {
      time_point const heard = e.peer->last_heard;
      if (heard > e.doubted && now - heard <= self.options_.contact_interval && self.book_.on_contact(e)) news = true;
    }
    self.start_contacts(next);
    next = std::min(next, self.start_fetches());
    self.settle(news);
    if (news) self.look_now_.reset();  // this was the look
    bool const go_on = co_await detail::wait_until(self.look_now_, std::max(next, now + detail::shortest_look));
    if (!go_on) co_return;
  }
}

/// Pings whoever was silent for too long. `next` becomes the time of the next look, if that is earlier.
KADORO_DECL void swarm_directory::start_contacts(time_point& next) {
  time_point const now = context_.now();
  for (auto& [id, e] : book_.entries()) {
    if (!e.listed()) continue;
    if (e.mark.live) next = std::min(next, e.mark.expires);
    if (e.announcement.live) next = std::min(next, e.announcement.expires);
    if (e.checking || e.peer->addresses().empty()) continue;
    time_point due = e.next_contact;
    if (e.verified && !e.suspect) due = std::max(due, e.peer->last_heard + options_.contact_interval);
    if (due > now) {
      next = std::min(next, due);
      continue;
    }
    if (contacts_under_way_ >= max_contacts_under_way) continue;  // the one that ends looks again
    e.checking = jobs_.spawn(contact(*this, e.peer));
    if (e.checking) ++contacts_under_way_;
  }
}

KADORO_DECL coro::task<void> swarm_directory::contact(swarm_directory& self, kad::peer_ref who) {
  ++self.counters_.contacts;
  auto const answer = co_await coro::with_deadline(self.node_.ping(who), self.options_.contact_timeout);
  --self.contacts_under_way_;
  if (self.jobs_.closed()) co_return;
  holder_book::entry* const e = self.book_.find(who->id());
  if (e == nullptr) co_return;
  e->checking = false;
  time_point const now = self.context_.now();
  bool const alive = answer || answer.error() == condition::refused;  // a refusal is a sign of life too
  e->next_contact = alive ? now : now + self.options_.contact_interval;
  bool news = false;
  if (alive) {
    news = self.book_.on_contact(*e);
  } else {
    ++self.counters_.contacts_failed;
    news = self.book_.on_failure(*e, now);
  }
  self.settle(news);
  self.look_now_.set();
}

}  // namespace kadoro::inline KADORO_ABI::directory
