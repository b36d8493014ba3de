#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// Merges answers by the highest sequence of each publisher, and knows when they are enough. Copies without signature
/// come after all signed ones: they neither end a get that waits for no quorum, nor repair anything.
class node_core::get_collector final : public lookup::visitor {
 public:
  get_collector(node_core& core, get_options how, bytes_view wanted, std::shared_ptr<get_result::state> state)
      : core_(core), how_(how), key_(wanted), state_(std::move(state)) {}
  get_collector(get_collector const&) = delete;
  get_collector& operator=(get_collector const&) = delete;

  /// However a get ends, whoever waits for it hears so.
  ~get_collector() {
    seek_ = nullptr;  // it may be gone already
    decide();
    state_->settled.set();
  }

  void watch(lookup const& seek) noexcept { seek_ = &seek; }

  /// What this node holds itself. True if that is an answer already.
  bool take_local() {
    std::vector<record_store::held> held;
    core_.store_.get(key_, core_.context_.now(), held);
    for (record_store::held const& h : held) {
      if (h.value->is_content() || h.value->provides() != state_->providers || !acceptable(*h.value)) continue;
      if (h.value->is_signed())
        take(*h.value, h.remaining);
      else
        take_unsigned(*h.value, h.remaining, !h.relayed);
    }
    return !how_.quorum && any_live();
  }

  bool on_answer(lookup::candidate const& from, transport::message const& answer) override {
    auto& said = answers_[from.peer->id()];
    for (wire::record const& w : answer.records) {
      bool const is_signed = !w.signature.empty();
      auto what = is_signed ? from_wire(w, key_) : unsigned_from_wire(w, key_);
      bool const good = what && equal(what->key, key_) && (!is_signed || (w.remaining_ms > 0 && verified(*what)));
      if (!good) {
        ++invalid_;
        continue;
      }
      if (what->provides() != state_->providers) continue;
      if (!acceptable(*what)) {
        ++invalid_;
        continue;
      }
      if (!is_signed) {
        said.try_emplace(what->publisher, 0);
        duration const life = what->lifetime_max;
        bool const first_hand = what->publisher == from.peer->id();
        take_unsigned(std::move(*what), life, first_hand);
        continue;
      }
      duration const remaining = std::min<duration>(std::chrono::milliseconds(w.remaining_ms), what->lifetime_max);
      said[what->publisher] = what->sequence;
      take(std::move(*what), remaining);
    }
    if (state_->providers) take_hearsay(from, answer);
    if (how_.quorum || !any_live() || answer.records_cursor != 0) return false;  // all of its pages, or none
    decide();
    return true;
  }

  bool on_answered(lookup::candidate const&) override {
    ++answered_;
    if (!how_.quorum || seek_ == nullptr) return false;
    lookup::tally const closest = seek_->count_closest(core_.options_.replicas);
    if (!closest.all_asked || closest.answered < how_.quorum->needed(closest.peers) ||
        (best_.empty() && unsigned_.empty()))
      return false;
    decide();
    return true;
  }

  /// A quorum waits for those of the closest that are slow, if it needs them. So does a get for the first valid copy,
  /// which has none yet: on a machine that is busy for a moment all holders are slow, and whoever answers in time knows
  /// nothing.
  bool content() const override {
    lookup::tally const closest = seek_->count_closest(core_.options_.replicas);
    return closest.answered >= how_.quorum.value_or(quorum::majority()).needed(closest.peers);
  }

  void on_loss(lookup::candidate const& who) override {
    ++(who.now == lookup::state::refused ? refused_ : unanswered_);
    cause_ = who.now == lookup::state::refused ? who.peer->id().to_string() + " " + who.why : who.why;
  }

  /// From now on the result does not change any more, whatever else comes in.
  void decide() {
    if (state_->decided.is_set()) return;
    state_->closed = core_.closed_;
    state_->answered = answered_;
    state_->refused = refused_;
    state_->unanswered = unanswered_;
    state_->invalid = invalid_;
    state_->rejected = rejected_;
    state_->rejection = rejection_;
    state_->cause = cause_;
    lookup::tally closest;
    if (seek_ != nullptr) closest = seek_->count_closest(core_.options_.replicas);
    state_->needed = how_.quorum.value_or(quorum::majority()).needed(closest.peers);
    state_->heard = closest.answered;
    time_point const now = core_.context_.now();
    for (auto const& [publisher, b] : best_) {
      if (b.expires <= now) continue;
      found_record found = b.found;
      found.remaining = b.expires - now;
      (found.value.tombstone() ? state_->withdrawn : state_->records).push_back(std::move(found));
    }
    add_unsigned(now);
    std::size_t const before = state_->records.size();
    if (!state_->providers) core_.validators_.select(key_, state_->records);
    if (before > 0 && state_->records.empty()) {
      state_->invalid += before;
      state_->rejected += before;
      state_->rejection = "none of what was found is selected";
    }
    conclude(*state_, seek_);
    state_->decided.set();
  }

  /// The newest of a publisher, and when it expires by our own clock.
  struct newest {
    found_record found;
    time_point expires{};
  };

  pooled_map<peer_id, newest> const& best() const noexcept { return best_; }
  pooled_map<peer_id, pooled_map<peer_id, std::uint64_t>> const& answers() const noexcept { return answers_; }
  bool wants_all_replicas() const noexcept { return how_.quorum.has_value(); }

 private:
  bool acceptable(record const& what) {
    auto objection = core_.validators_.objection_to(what);
    if (!objection) return true;
    ++core_.validators_.counters().rejected;
    ++rejected_;
    rejection_ = std::move(*objection);
    return false;
  }

  /// Providers that did not sign, or are known to one who does not sign.
  void take_hearsay(lookup::candidate const& from, transport::message const& answer) {
    for (wire::peer const& entry : answer.providers) {
      auto const who = peer_id::from_bytes(entry.id);
      if (!who) {
        ++invalid_;
        continue;
      }
      record what;
      what.key = to_bytes(key_);
      what.publisher = *who;
      what.lifetime_max = unsigned_lifetime;
      what.flags = record::flag_provider;
      what.value = addresses_of(entry);
      if (!answers_[from.peer->id()].try_emplace(*who, 0).second) continue;  // said on two pages
      take_unsigned(std::move(what), unsigned_lifetime, *who == from.peer->id());
    }
  }

  /// The next holder mostly has the very same copy: then nothing needs to be hashed.
  bool verified(record const& what) const {
    auto const at = best_.find(what.publisher);
    return (at != best_.end() && at->second.found.value == what) || core_.verified_.verify(what);
  }

  bool any_live() const {
    return std::any_of(best_.begin(), best_.end(), [](auto const& b) { return !b.second.found.value.tombstone(); });
  }

  void take(record what, duration remaining) {
    newest& best = best_[what.publisher];
    time_point const expires = core_.context_.now() + remaining;
    bool const first = best.found.holders == 0;
    if (!first && what.sequence < best.found.value.sequence) return;
    if (first || what.sequence > best.found.value.sequence) {
      best.found.value = std::move(what);
      best.found.holders = 0;
      best.expires = expires;
    }
    best.expires = std::max(best.expires, expires);
    ++best.found.holders;
  }

  /// One of the values that unsigned copies give to a publisher.
  struct claim {
    newest copy;
    bool first_hand = false;  // the publisher itself said it
  };

  void take_unsigned(record what, duration remaining, bool first_hand) {
    static constexpr std::size_t max_claims = 16;  // of one publisher; there is no order in them that could help
    pooled_vector<claim>& claims = unsigned_[what.publisher];
    auto at = std::find_if(claims.begin(), claims.end(), [&what](claim const& c) {
      return what.provides() || c.copy.found.value.value == what.value;
    });
    if (at == claims.end()) {
      if (claims.size() == max_claims) {
        ++invalid_;
        return;
      }
      at = claims.emplace(claims.end());
      at->copy.found.value = std::move(what);
    } else if (what.provides()) {
      add_addresses(at->copy.found.value, what);
    }
    at->first_hand = at->first_hand || first_hand;
    at->copy.expires = std::max(at->copy.expires, core_.context_.now() + remaining);
    ++at->copy.found.holders;
  }

  /// An entry without signature says all that anybody knows of where its provider is.
  static void add_addresses(record& to, record const& more) {
    std::vector<multiaddr> all = decode_addresses(to.value);
    for (multiaddr& where : decode_addresses(more.value))
      if (std::find(all.begin(), all.end(), where) == all.end()) all.push_back(std::move(where));
    to.value = encode_addresses(all);
  }

  /// Of every publisher without a signed word: what it said itself, else what lives longest. Who names no publisher may
  /// well have its copy from one that signed, and counts only where nobody did.
  void add_unsigned(time_point now) {
    for (auto const& [publisher, claims] : unsigned_) {
      if (publisher.empty() ? !best_.empty() : best_.contains(publisher)) continue;
      auto const at = std::max_element(claims.begin(), claims.end(), [](claim const& a, claim const& b) {
        return std::pair(a.first_hand, a.copy.expires) < std::pair(b.first_hand, b.copy.expires);
      });
      if (at->copy.expires <= now) continue;
      found_record found = at->copy.found;
      found.remaining = at->copy.expires - now;
      state_->records.push_back(std::move(found));
    }
    std::sort(state_->records.begin(), state_->records.end(),
              [](found_record const& a, found_record const& b) { return a.value.publisher < b.value.publisher; });
  }

  node_core& core_;
  get_options how_;
  bytes_view key_;
  std::shared_ptr<get_result::state> state_;
  lookup const* seek_ = nullptr;
  std::size_t answered_ = 0;
  std::size_t refused_ = 0;
  std::size_t unanswered_ = 0;
  std::size_t invalid_ = 0;
  std::size_t rejected_ = 0;  // of these, by a validator
  std::string rejection_;
  std::string cause_;
  pooled_map<peer_id, newest> best_;                                 // by publisher, signed
  pooled_map<peer_id, pooled_vector<claim>> unsigned_;               // likewise, in the order in which they came
  pooled_map<peer_id, pooled_map<peer_id, std::uint64_t>> answers_;  // who holds which sequence of whom
};

KADORO_DECL coro::task<result<get_result>> node_core::get(kadoro::bytes key, get_options how) {
  return seek_records(std::move(key), how, false);
}

KADORO_DECL coro::task<result<get_result>> node_core::seek_records(kadoro::bytes key, get_options how, bool providers) {
  if (leaving_) co_return fail(errc::closed, "get of " + printable(key) + ": this node is closed");
  if (key.empty() || key.size() > record::max_key_bytes)
    co_return fail(errc::invalid_argument, "get: a key of " + std::to_string(key.size()) + " bytes; 1 to " +
                                               std::to_string(record::max_key_bytes) + " are allowed");
  auto const state =
      std::allocate_shared<get_result::state>(pooled_allocator<get_result::state>(), key, context_.now(), providers);
  if (!jobs_.spawn(get_job(*this, std::move(key), how, true, state)))
    co_return fail(errc::queue_full, "get: too many operations under way");
  auto const decided = co_await state->decided.wait();
  if (!decided) co_return fail(decided.error());
  if (state->closed) co_return fail(errc::closed, "get: this node was closed");
  co_return get_result(state);
}

/// In a small swarm one holder has what a get without quorum wants; every so often all are asked, to see which lag. Who
/// reads thousands a second looks a hundred times a second at most: more would keep the holders from what is asked for.
KADORO_DECL bool node_core::looks_for_laggards() noexcept {
  static constexpr std::uint64_t gets_per_look = 32;
  static constexpr duration pause = std::chrono::milliseconds(10);
  time_point const now = context_.now();
  if (gets_++ % gets_per_look != 0 || now < next_laggard_look_) return false;
  next_laggard_look_ = now + pause;
  return true;
}

/// Goes on behind the caller's back after the result is decided: late answers show which holders lag.
KADORO_DECL coro::task<void> node_core::get_job(node_core& core, kadoro::bytes key, get_options how, bool local,
                                                std::shared_ptr<get_result::state> state) {
  if (state->content) {
    co_await content_job(core, std::move(key), how, local, std::move(state));
    co_return;
  }
  get_collector collector(core, how, key, state);
  if (local && collector.take_local()) {
    state->steps.finish(core.context_.now());
    co_return;
  }
  transport::message_type const question =
      state->providers ? transport::message_type::get_providers : transport::message_type::get_value;
  lookup seek(core.context_, *core.transport_, core.table_, question, key, core.k(), state->steps);
  collector.watch(seek);
  if (how.quorum || state->providers || core.table_.size() > core.k() || core.looks_for_laggards())
    seek.ask_first(core.options_.replicas);
  else
    seek.ask_one_of(core.options_.replicas, core.asked_alone_);
  seek.start_from(core.k(), core.seeds_);
  co_await seek_all(core, seek, collector);
  if (collector.best().empty()) {
    co_await seek_region(core, seek, collector);
  }
  collector.decide();
  state->steps.finish(core.context_.now());
  co_await repair(core, collector, seek);
}

/// Holders that lag get the newest sequence; with a quorum, so do replicas that lack the record. A foreign peer has no
/// sequences, and one record per key: it gets one if it shows none at all.
KADORO_DECL coro::task<void> node_core::repair(node_core& core, get_collector const& seen, lookup const& seek) {
  static constexpr std::size_t max_repairs = 8;
  static constexpr duration worth_it = std::chrono::seconds(1);
  std::size_t repaired = 0;
  for (lookup::candidate const* c : seek.closest(core.options_.replicas)) {
    auto const said = seen.answers().find(c->peer->id());
    if (c->now != lookup::state::answered || said == seen.answers().end()) continue;
    bool const foreign = is_foreign(*c->peer);
    if (foreign && !said->second.empty()) continue;
    for (auto const& [publisher, best] : seen.best()) {
      auto const holds = said->second.find(publisher);
      bool const lacks = holds == said->second.end() && seen.wants_all_replicas() && publisher != c->peer->id();
      bool const lags = holds != said->second.end() && holds->second < best.found.value.sequence;
      duration const remaining = best.expires - core.context_.now();
      if ((!lacks && !lags) || remaining < worth_it || ++repaired > max_repairs) continue;
      if (foreign && (best.found.value.tombstone() || best.found.value.provides())) continue;
      auto const answer = co_await hand_on(core, best.found.value, remaining, c->peer);
      if (!answer || foreign) break;
    }
  }
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
