#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// Content is a record like others to those who keep records alive: a publication with sequence 0 and without a
// publisher, put, renewed, placed and handed on by the same jobs. What differs is here: what goes over the wire, who
// can take it, and a GET that ends with the first copy whose hash is right.

/// Whether its handshake said that it knows content. Peers of an older format do not, nor does anybody who speaks
/// libp2p's schema: a key without a namespace is none to them.
inline bool keeps_content(transport::peer const& who) noexcept {
  return (who.features & transport::transport::feature_content) != 0;
}

/// A renewal of either kind of record.
inline void ask_to_renew(transport::message& request, record const& what) {
  request.key = what.key;
  request.type = what.is_content() ? transport::message_type::renew_content : transport::message_type::renew;
  request.sequence = what.sequence;
  if (what.is_content()) request.record = content_renewal(what.lifetime_max);
}

// ---- what this node puts --------------------------------------------------------------------------------------------

/// Why that peer cannot be given content; nothing if it can. One that was not met yet is met first: what it knows, its
/// handshake says, in which a ping may ride.
KADORO_DECL coro::task<std::optional<node_core::store_answer>> node_core::objection_to_content(node_core& core,
                                                                                               peer_ref to) {
  store_answer said;
  if (to->mode == peer_mode::unknown) {
    auto const met = co_await core.ping(to);
    if (!met && to->mode == peer_mode::unknown) {
      said.why = met.error().message();
      co_return said;
    }
  }
  if (keeps_content(*to)) co_return std::nullopt;
  said.now = replica::state::refused;
  said.refusal = errc::refused_unsupported;
  said.why = "knows no content-addressed records: it is of an older version, or speaks libp2p's schema only";
  co_return said;
}

KADORO_DECL bool node_core::release_content(bytes_view key) {
  publication const* const p = published(key);
  if (p == nullptr || !p->what.is_content()) return false;
  unpublish(key);
  return true;
}

// ---- what others put here -------------------------------------------------------------------------------------------

KADORO_DECL void node_core::accept_content(peer_ref const& from, transport::message const& request,
                                           transport::message& answer) {
  auto what = content_from_wire(*request.record, request.key);
  if (!what || !equal(what->key, request.key)) {
    answer.refusal = errc::refused;
    return;
  }
  if (!acceptable(*what)) {
    answer.refusal = errc::refused_validator;
    answer.refusal_text = as_bytes(last_objection_);
    return;
  }
  bool const handed_on = request.type == transport::message_type::replicate;
  duration const remaining =
      handed_on ? duration(std::chrono::milliseconds(request.record->remaining_ms)) : what->lifetime_max;
  answer.refusal =
      store_
          .put_content(std::move(*what),
                       handed_on ? record_store::origin::handed_on : record_store::origin::publisher_session,
                       from->id(), transport::proved_range(*from), remaining, context_.now())
          .refused;
  if (!answer.refusal && kept_ && !handed_on && request.durability == wire::durability::wanted)
    answer.durability = kept_->ask(request.key, peer_id());
}

KADORO_DECL void node_core::accept_content_renewal(transport::message const& request, transport::message& answer) {
  if (!request.record || !is_content(*request.record)) {
    answer.refusal = errc::refused;
    return;
  }
  duration const life = std::chrono::milliseconds(request.record->lifetime_ms);
  answer.refusal = store_.renew_content(request.key, life, context_.now());
  if (!answer.refusal && kept_ && request.durability == wire::durability::wanted)
    answer.durability = kept_->ask(request.key, peer_id());
}

/// Whoever gets the content needs no other peers.
KADORO_DECL void node_core::answer_content(peer_ref const& from, transport::message const& request,
                                           transport::message& answer) {
  auto const held = store_.find_content(request.key, context_.now());
  if (held)
    answer.records.push_back(to_wire(*held->value, std::max(1u, to_wire_ms(held->remaining)), false));
  else
    answer_contacts(from, request, answer);
}

// ---- getting --------------------------------------------------------------------------------------------------------

/// Takes the first copy whose hash is right, and remembers who has none.
class node_core::content_collector final : public lookup::visitor {
 public:
  content_collector(node_core& core, get_options how, bytes_view key, std::shared_ptr<get_result::state> state)
      : core_(core), how_(how), key_(key), state_(std::move(state)) {}
  content_collector(content_collector const&) = delete;
  content_collector& operator=(content_collector const&) = delete;

  /// However a get ends, whoever waits for it hears so.
  ~content_collector() {
    seek_ = nullptr;  // it may be gone already
    decide();
    state_->settled.set();
  }

  void watch(lookup const& seek) noexcept { seek_ = &seek; }

  bool take_local() {
    auto const held = core_.store_.find_content(key_, core_.context_.now());
    if (!held || !acceptable(*held->value)) return false;
    take(*held->value, held->remaining);
    return true;
  }

  bool on_answer(lookup::candidate const& from, transport::message const& answer) override {
    if (std::count(lacking_.begin(), lacking_.end(), from.peer) > 0) return false;  // one wrong copy is enough
    auto const copy = std::find_if(answer.records.begin(), answer.records.end(), is_content);
    bool const none = copy == answer.records.end();
    if (none && answer.records_cursor != 0) return false;  // it is on the next page
    if (none || !good(*copy)) {
      if (!none) ++state_->invalid;
      lacking_.push_back(from.peer);
      return false;
    }
    decide();
    return !how_.quorum;
  }

  bool on_answered(lookup::candidate const&) override {
    ++answered_;
    if (!how_.quorum || !best_ || seek_ == nullptr) return false;
    lookup::tally const closest = seek_->count_closest(core_.options_.replicas);
    return closest.all_asked && closest.answered >= how_.quorum->needed(closest.peers);
  }

  /// As long as nothing is found, a majority must have said that it has none: whoever answers in time may know nothing.
  bool content() const override {
    lookup::tally const closest = seek_->count_closest(core_.options_.replicas);
    return closest.answered >= how_.quorum.value_or(quorum::majority()).needed(closest.peers);
  }

  void on_loss(lookup::candidate const& who) override {
    ++(who.now == lookup::state::refused ? state_->refused : state_->unanswered);
    state_->cause = who.now == lookup::state::refused ? who.peer->id().to_string() + " " + who.why : who.why;
  }

  /// From now on the result does not change any more, whatever else comes in.
  void decide() {
    if (state_->decided.is_set()) return;
    state_->closed = core_.closed_;
    lookup::tally closest;
    if (seek_ != nullptr) closest = seek_->count_closest(core_.options_.replicas);
    state_->answered = answered_ + (best_ && seek_ != nullptr ? 1 : 0);  // the one that is answering
    state_->needed = how_.quorum.value_or(quorum::majority()).needed(closest.peers);
    state_->heard = closest.answered;
    if (best_) state_->records.push_back({*best_, expires_ - core_.context_.now(), 1});
    conclude(*state_, seek_);
    state_->decided.set();
  }

  /// What was found, with what is left of its life; null if nothing was.
  record const* best() const noexcept { return best_ ? &*best_ : nullptr; }
  time_point expires() const noexcept { return expires_; }
  peer_list const& lacking() const noexcept { return lacking_; }

 private:
  bool good(wire::record const& w) {
    bool const known = best_ && equal(w.value, best_->value);  // nothing needs to be hashed twice
    if (w.remaining_ms == 0 || (!known && !equal(content_key(w.value), key_))) return false;
    auto what = content_from_wire(w, key_);
    if (!what || !equal(what->key, key_) || !acceptable(*what)) return false;
    duration const remaining = std::min<duration>(std::chrono::milliseconds(w.remaining_ms), what->lifetime_max);
    take(std::move(*what), remaining);
    return true;
  }

  bool acceptable(record const& what) {
    auto objection = core_.validators_.objection_to(what);
    if (!objection) return true;
    ++core_.validators_.counters().rejected;
    ++state_->rejected;
    state_->rejection = std::move(*objection);
    return false;
  }

  void take(record what, duration remaining) {
    expires_ = std::max(expires_, core_.context_.now() + remaining);
    if (!best_) best_ = std::move(what);
  }

  node_core& core_;
  get_options how_;
  bytes_view key_;
  std::shared_ptr<get_result::state> state_;
  lookup const* seek_ = nullptr;
  std::size_t answered_ = 0;
  std::optional<record> best_;
  time_point expires_{};
  peer_list lacking_;
};

KADORO_DECL coro::task<result<content_result>> node_core::get_content(kadoro::bytes key, get_options how) {
  if (leaving_) co_return fail(errc::closed, "get of content " + printable(key) + ": this node is closed");
  if (key.size() != crypto::digest().size())
    co_return fail(errc::invalid_argument, "get of content: a key of " + std::to_string(key.size()) +
                                               " bytes; it is the 32 bytes of a SHA-256, see content_key");
  auto const state =
      std::allocate_shared<get_result::state>(pooled_allocator<get_result::state>(), key, context_.now());
  state->content = true;
  if (!jobs_.spawn(content_job(*this, std::move(key), how, true, state)))
    co_return fail(errc::queue_full, "get of content: too many operations under way");
  auto const decided = co_await state->decided.wait();
  if (!decided) co_return fail(decided.error());
  if (state->closed) co_return fail(errc::closed, "get of content: this node was closed");
  co_return content_result(get_result(state));
}

/// One of the closest is asked first, because it most likely has the value, which may be large; the others follow if it
/// is slow or has none. With a quorum all of the closest are asked, and those that lack it get it.
KADORO_DECL coro::task<void> node_core::content_job(node_core& core, kadoro::bytes key, get_options how, bool local,
                                                    std::shared_ptr<get_result::state> state) {
  content_collector collector(core, how, key, state);
  if (local && collector.take_local()) {
    collector.decide();
    state->steps.finish(core.context_.now());
    co_return;
  }
  lookup seek(core.context_, *core.transport_, core.table_, transport::message_type::get_value, key, core.k(),
              state->steps);
  collector.watch(seek);
  seek.ask_for_content();
  bool const knows_holders = core.table_.size() <= core.k();
  if (how.quorum)
    seek.ask_first(core.options_.replicas);
  else
    seek.ask_one_of(knows_holders ? core.options_.replicas : 1, core.asked_alone_);
  seek.start_from(core.k(), core.seeds_);
  co_await seek_all(core, seek, collector);
  collector.decide();
  state->steps.finish(core.context_.now());
  co_await repair_content(core, collector, seek);
}

/// Those of the closest that have answered without it get it, with what is left of its life.
KADORO_DECL coro::task<void> node_core::repair_content(node_core& core, content_collector const& seen,
                                                       lookup const& seek) {
  static constexpr std::size_t max_repairs = 8;
  static constexpr duration worth_it = std::chrono::seconds(1);
  if (seen.best() == nullptr) co_return;
  std::size_t repaired = 0;
  for (lookup::candidate const* c : seek.closest(core.options_.replicas)) {
    duration const remaining = seen.expires() - core.context_.now();
    bool const lacks = std::count(seen.lacking().begin(), seen.lacking().end(), c->peer) > 0;
    if (!lacks || !keeps_content(*c->peer) || remaining < worth_it || ++repaired > max_repairs) continue;
    auto const answer = co_await hand_on(core, *seen.best(), remaining, c->peer);
    static_cast<void>(answer);
  }
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
