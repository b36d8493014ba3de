#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// A provider's entry is a record under the multihash that has `flag_provider`, so what keeps records alive keeps
// entries alive. Between kadoro nodes it is put and handed on like any other; peers that speak libp2p's schema only are
// told by ADD_PROVIDER, and tell by the `providers` of an answer.

KADORO_DECL coro::task<result<put_receipt>> node_core::provide(multihash content, put_options how) {
  return put(to_bytes(content.bytes()), own_addresses(), how, record::flag_provider);
}

KADORO_DECL coro::task<result<put_receipt>> node_core::unprovide(multihash content, put_options how) {
  return put(to_bytes(content.bytes()), {}, how, record::flag_provider | record::flag_tombstone);
}

KADORO_DECL coro::task<result<providers_result>> node_core::get_providers(multihash content, get_options how) {
  auto entries = co_await seek_records(to_bytes(content.bytes()), how, true);
  if (!entries) co_return fail(entries.error());
  co_return providers_result(std::move(*entries));
}

KADORO_DECL kadoro::bytes node_core::own_addresses() const { return encode_addresses(transport_->listen_addresses()); }

/// This node can be reached elsewhere than its entry says: the entry is put anew. False if it is right as it is.
KADORO_DECL bool node_core::provide_again(publication const& outdated) {
  record const& old = outdated.what;
  if (!old.provides() || outdated.busy || old.value == own_addresses()) return false;
  put_options how = outdated.how;
  how.read_back = false;
  auto const what = next_record(old.key, own_addresses(), how, old.flags);
  if (!what) return false;
  auto const state =
      std::allocate_shared<put_receipt::state>(pooled_allocator<put_receipt::state>(), what->key, context_.now());
  state->sequence = what->sequence;
  state->replicas_wanted = options_.replicas;
  if (!jobs_.spawn(put_job(*this, *what, how, state))) return false;
  publish(*what, how);
  newest_put_[what->key] = state.get();
  return true;
}

/// Tells a peer that speaks libp2p's schema. That has no answer to it, so it is asked afterwards whom it knows.
KADORO_DECL coro::task<node_core::store_answer> node_core::provide_at_foreign(node_core& core, record const& what,
                                                                              peer_ref to) {
  static constexpr int max_questions = 2;
  static constexpr duration between = std::chrono::milliseconds(200);
  store_answer said;
  wire::peer self;
  self.id = core.id_.bytes();
  self.addresses.assign(address_views(what.value));
  transport::message request;
  request.type = transport::message_type::add_provider;
  request.key = what.key;
  request.providers.push_back(self);
  core.note_foreign_copy(what);  // it may take it and not be heard
  auto const told = co_await core.transport_->request(to, request);
  if (!told) {
    said.why = told.error().message();
    co_return said;
  }
  said.now = replica::state::refused;
  said.refusal = told->refusal.value_or(errc::refused);
  said.why = told->refusal ? make_error_code(*told->refusal).message()
                           : "was told, and does not name this node as a provider when it is asked";
  for (int question = 0; question < max_questions && !told->refusal; ++question) {
    if (question > 0) {
      auto const slept = co_await coro::sleep_for(between);
      if (!slept) break;
    }
    transport::message inquiry;
    inquiry.type = transport::message_type::get_providers;
    inquiry.key = what.key;
    auto const answer = co_await core.transport_->request(to, inquiry);
    if (!answer) {
      said.now = replica::state::no_answer;
      said.refusal.reset();
      said.why = answer.error().message();
      break;
    }
    bool const named = std::any_of(answer->providers.begin(), answer->providers.end(),
                                   [&core](wire::peer const& p) { return equal(p.id, core.id_.bytes()); });
    if (!named) continue;
    said.now = replica::state::stored;
    said.refusal.reset();
    said.why.clear();
    break;
  }
  co_return said;
}

/// Signed entries go to those who can read them; what others said, and everything to others, goes as providers.
KADORO_DECL void node_core::answer_providers(peer_ref const& from, transport::message const& request,
                                             transport::message& answer) {
  static constexpr auto wanted = [](record const& r) { return r.provides(); };
  std::vector<record_store::held>& held = held_;
  bool const foreign = is_foreign(*from);
  std::size_t const most = foreign ? record_store::page().bytes : most_in_answer_bytes;
  answer.records_cursor = store_.get(request.key, context_.now(), held, {request.records_cursor, most, wanted});
  for (record_store::held const& h : held) {
    if (!foreign && h.value->is_signed()) {
      answer.records.push_back(to_wire(*h.value, std::max(1u, to_wire_ms(h.remaining)), false));
      continue;
    }
    if (h.value->tombstone()) continue;
    wire::peer entry;
    entry.id = h.value->publisher.bytes();
    entry.addresses.assign(address_views(h.value->value));
    answer.providers.push_back(std::move(entry));
  }
}

/// Only from those who cannot sign, and only about themselves. Its answer stays here: libp2p's protocol has none.
KADORO_DECL void node_core::accept_provider(peer_ref const& from, transport::message const& request,
                                            transport::message& answer) {
  answer.refusal = errc::refused_unsupported;
  if (!is_foreign(*from)) return;
  if (kept_ && kept_->refuses()) {
    answer.refusal = errc::refused;
    return;
  }
  answer.refusal = errc::refused_publisher;
  if (request.key.empty() || request.key.size() > multihash::max_bytes) {
    answer.refusal = errc::refused_too_large;
    return;
  }
  for (wire::peer const& entry : request.providers) {
    if (!equal(entry.id, from->id().bytes())) continue;
    record what;
    what.key = to_bytes(request.key);
    what.publisher = from->id();
    what.lifetime_max = unsigned_lifetime;
    what.flags = record::flag_provider;
    what.value = addresses_of(entry);
    answer.refusal =
        store_.put_unsigned(std::move(what), from->id(), transport::proved_range(*from), context_.now()).refused;
    return;
  }
}

/// What somebody says of where a provider can be reached, as the value of its entry.
KADORO_DECL kadoro::bytes node_core::addresses_of(wire::peer const& entry) {
  std::vector<multiaddr> known;
  for (bytes_view const each : entry.addresses)
    if (auto where = multiaddr::from_bytes(each)) known.push_back(std::move(*where));
  return encode_addresses(known);
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
