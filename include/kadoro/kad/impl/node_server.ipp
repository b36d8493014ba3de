#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

KADORO_DECL transport::handler::reply node_core::on_request(peer_ref const& from, transport::message const& request,
                                                            transport::message& answer) {
  using transport::message_type;
  if (closed_) return reply::silence;
  bool const for_clients = request.type == message_type::ping || request.type == message_type::push ||
                           request.type == message_type::dial_back_done;
  if (options_.mode == peer_mode::client && !for_clients) {
    answer.refusal = errc::refused_client_mode;
    return reply::send;
  }
  if (turned_away(from, request, answer)) {
    if (request.type == message_type::push)  // what it brought is missing now
      if (auto* const teller = watched_holder(request.key, from)) teller->again = true;
    return reply::send;
  }
  switch (request.type) {
    case message_type::ping:
      if (leaving_) answer.refusal = errc::refused;  // do not count on it
      if (!request.key.empty()) take_knock(from, request);
      break;
    case message_type::find_node: answer_contacts(from, request, answer); break;
    case message_type::get_value:
      if (request.record && is_content(*request.record)) {
        answer_content(from, request, answer);
        break;
      }
      answer_records(from, request, answer);
      if (!request.brief || answer.records.empty()) answer_contacts(from, request, answer);
      break;
    case message_type::get_providers:
      answer_providers(from, request, answer);
      answer_contacts(from, request, answer);
      break;
    case message_type::add_provider: accept_provider(from, request, answer); break;
    case message_type::replicate:
      if (leaving_) {  // it would be passed on at once
        answer.refusal = errc::refused;
        break;
      }
      [[fallthrough]];
    case message_type::put_value:
      accept_record(from, request, answer);
      spread_changes();
      break;
    case message_type::renew:
      answer.refusal = store_.renew(request.key, from->id(), request.sequence, context_.now());
      if (!answer.refusal && kept_ && request.durability == wire::durability::wanted)
        answer.durability = kept_->ask(request.key, from->id());
      spread_changes();
      break;
    case message_type::renew_content: accept_content_renewal(request, answer); break;
    case message_type::watch: answer_watch(from, request, answer); break;
    case message_type::push: take_push(from, request, answer); break;
    case message_type::view: answer_view(from, request, answer); break;
    case message_type::dial_back_please: answer_dial_back(from, request, answer); break;
    case message_type::dial_back: answer_knock_request(from, request, answer); break;
    case message_type::dial_back_done: take_dial_back_done(from, request); break;
    case message_type::offer: answer_offer(request, answer); break;
    case message_type::introduce: accept_introduction(from, request, answer); break;
    default: answer.refusal = errc::refused_unsupported;
  }
  return reply::send;
}

/// The k closest to the key, without the one who asks; those that it has already are left out.
KADORO_DECL void node_core::answer_contacts(peer_ref const& from, transport::message const& request,
                                            transport::message& answer) {
  for (contact const* const c : table_.nearest(key::of(request.key), k() + 1))
    if (c->peer != from && c->peer->unanswered == 0) answer.contacts.push_back(c->peer);
  if (answer.contacts.size() > k()) answer.contacts.resize(k());
  leave_out_passed(request, answer);
}

/// The contacts of earlier pages were answered already.
KADORO_DECL void node_core::leave_out_passed(transport::message const& request, transport::message& answer) {
  std::size_t const passed = request.contacts_cursor == 0 ? 0 : request.contacts_cursor - 1;
  std::size_t const skipped = std::min(passed, answer.contacts.size());
  answer.contacts.erase(answer.contacts.begin(), answer.contacts.begin() + static_cast<std::ptrdiff_t>(skipped));
  answer.contacts_cursor = static_cast<std::uint32_t>(skipped);
}

/// What a foreign reader gets, who takes one record per key and knows no tombstones: a signed one before unsigned ones,
/// then the one that lives longest, then the first in the order of publishers. Null: nothing.
inline record_store::held const* best_for_foreign(std::vector<record_store::held> const& held) {
  record_store::held const* best = nullptr;
  auto const rank = [](record_store::held const& h) { return std::pair(h.value->is_signed(), h.remaining); };
  for (record_store::held const& h : held)
    if (!h.value->tombstone() && !h.value->provides() && !h.value->is_content() &&
        (best == nullptr || rank(h) > rank(*best)))
      best = &h;
  return best;
}

KADORO_DECL void node_core::answer_records(peer_ref const& from, transport::message const& request,
                                           transport::message& answer) {
  std::vector<record_store::held>& held = held_;
  if (is_foreign(*from)) {
    store_.get(request.key, context_.now(), held);
    record_store::held const* const best = best_for_foreign(held);
    if (best == nullptr) return;
    answer.records.push_back(to_wire_unsigned(*best->value, best->remaining));
    if (best->value->is_signed()) note_foreign_copy(*best->value);
    return;
  }
  static constexpr auto wanted = [](record const& r) { return !r.provides() && !r.is_content(); };
  answer.records_cursor =
      store_.get(request.key, context_.now(), held, {request.records_cursor, most_in_answer_bytes, wanted});
  for (record_store::held const& h : held)
    answer.records.push_back(to_wire(*h.value, std::max(1u, to_wire_ms(h.remaining)), false));
}

KADORO_DECL void node_core::accept_record(peer_ref const& from, transport::message const& request,
                                          transport::message& answer) {
  if (!request.record) {
    answer.refusal = errc::refused;
    return;
  }
  // A withdrawal is taken, though not promised: what it withdraws must not be shown any more.
  bool const withdraws = (request.record->flags & record::flag_tombstone) != 0;
  if (kept_ && kept_->refuses() && !withdraws) {
    answer.refusal = errc::refused;
    return;
  }
  if (is_content(*request.record)) return accept_content(from, request, answer);
  auto const stored = request.record->signature.empty() ? accept_unsigned(from, request) : accept_signed(from, request);
  answer.refusal = stored.refused;
  if (stored.refused == errc::refused_validator) answer.refusal_text = as_bytes(last_objection_);
  // Nobody need ask for what a withdrawal wants: that the record does not come back.
  bool const own_word = request.type == transport::message_type::put_value && !request.record->signature.empty();
  if (kept_ && !stored.refused && own_word && (withdraws || request.durability == wire::durability::wanted)) {
    auto const highest = store_.highest(request.key, from->id());  // verifies it: it is written once, and as valid
    if (highest && highest->sequence == request.record->sequence)
      answer.durability = kept_->ask(request.key, from->id());
    else
      answer.refusal = errc::refused_signature;
  }
  if (stored.held) {
    last_held_ = *stored.held;  // the answer views it until it is sent
    answer.record = to_wire(last_held_, false);
  }
  last_put_taken_ = context_.now();
  if (store_.backlog() > 0 && !verify_.armed()) context_.arm(verify_, last_put_taken_ + rest_before_verifying);
}

/// Asks the validator of its key. What that says against it stays until the next time, for the answer.
KADORO_DECL bool node_core::acceptable(record const& what) {
  auto objection = validators_.objection_to(what);
  if (!objection) return true;
  ++validators_.counters().refused;
  last_objection_ = std::move(*objection);
  return false;
}

KADORO_DECL record_store::put_result node_core::accept_signed(peer_ref const& from, transport::message const& request) {
  auto what = from_wire(*request.record, request.key);
  if (!what || !equal(what->key, request.key)) return {errc::refused, std::nullopt, false};
  bool const handed_on = request.type == transport::message_type::replicate;
  if (!handed_on && what->publisher != from->id()) return {errc::refused_publisher, std::nullopt, false};
  if (!acceptable(*what)) return {errc::refused_validator, std::nullopt, false};
  // Only what remains is passed on; the publisher itself states a whole life by putting.
  duration const remaining =
      handed_on ? duration(std::chrono::milliseconds(request.record->remaining_ms)) : what->lifetime_max;
  return store_.put(std::move(*what),
                    handed_on ? record_store::origin::handed_on : record_store::origin::publisher_session,
                    transport::proved_range(*from), remaining, context_.now());
}

/// Only from those who cannot sign, and nothing about this node: what it says, it says itself.
KADORO_DECL record_store::put_result node_core::accept_unsigned(peer_ref const& from,
                                                                transport::message const& request) {
  if (request.type != transport::message_type::put_value || !is_foreign(*from))
    return {errc::refused_unsupported, std::nullopt, false};
  auto what = unsigned_from_wire(*request.record, request.key);
  if (!what || !equal(what->key, request.key)) return {errc::refused, std::nullopt, false};
  if (what->publisher == id_) return {errc::refused_publisher, std::nullopt, false};
  if (!acceptable(*what)) return {errc::refused_validator, std::nullopt, false};
  return store_.put_unsigned(std::move(*what), from->id(), transport::proved_range(*from), context_.now());
}

/// Signatures of records that came over their publisher's session are verified when there is nothing better to do:
/// while more puts come, others may be waiting for this core to answer theirs. It does not wait until the backlog is
/// full.
KADORO_DECL void node_core::verify_idle() {
  static constexpr std::size_t batch = 4;
  time_point const rested = last_put_taken_ + rest_before_verifying;
  bool const room = store_.backlog() < options_.store.verify_backlog / 2;
  if (room && context_.now() < rested)
    context_.arm(verify_, rested);
  else if (store_.verify_some(batch))
    context_.arm(verify_, context_.now() + std::chrono::milliseconds(1));
}

KADORO_DECL void node_core::on_peer_confirmed(peer_ref const& who) {
  if (closed_) return;
  if (who->mode == peer_mode::server) {
    if (members_.add(who)) tell_views_soon();
    switch (table_.insert(who, context_.now())) {
      case insert_result::added:
        probe_interval_ = duration::zero();  // news: look again soon
        news_of(who);
        if (kept_ && table_.size() <= k()) kept_->note_contacts(table_, false);  // a node may not live to see a tick
        if (!jobs_.closed()) jobs_.spawn(hand_on_job(*this, who));
        break;
      case insert_result::pending:
        if (auto oldest = table_.eviction_candidate(who)) jobs_.spawn(evict_job(*this, *oldest, who));
        break;
      case insert_result::refreshed:
      case insert_result::rejected: break;
    }
  } else {
    table_.remove(who);
    if (members_.remove(who->id())) tell_views_soon();
  }
  review_watches(who);
  for (node_observer* observer : std::vector<node_observer*>(observers_)) observer->on_peer_confirmed(who);
}

KADORO_DECL void node_core::on_peer_lost(peer_ref const& who, error const& why) {
  if (closed_) return;
  news_of(who);
  remember_dead(who);
  if (why == errc::closed)
    table_.remove(who);
  else
    table_.on_failed(who);
  watchers_.drop_all(who->id());
  if (members_.remove(who->id())) tell_views_soon();
  review_watches(who);
  for (node_observer* observer : std::vector<node_observer*>(observers_)) observer->on_peer_lost(who, why);
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
