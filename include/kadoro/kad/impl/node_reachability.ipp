#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"

/// @file
/// Whether others can call this node. It asks a helper, whom it knows; the helper asks one of its own contacts, whom
/// this node has never called, to dial the address where the helper sees this node, once.

namespace kadoro::inline KADORO_ABI::kad::detail {

KADORO_DECL reachability node_core::reachability_now() const {
  return judge_reachability(transport_->observations(), dial_back_.known);
}

// ---- for ourselves --------------------------------------------------------------------------------------------------

/// Called by the tick. Private addresses are nobody's business outside, so nobody is asked about them.
KADORO_DECL void node_core::check_reachability(time_point now) {
  dial_back& d = dial_back_;
  if (d.waiting) {
    if (now >= d.give_up) end_dial_back(now);
    return;
  }
  if (now < d.next || now - opened_at_ < dial_back::first) return;
  reachability const verdict = reachability_now();
  if (!verdict.observed || verdict.observed->is_private()) return;
  peer_ref const helper = next_helper();
  if (!helper) return;
  context_.random().fill(d.nonce);
  d.waiting = true;
  d.helper = helper->id();
  d.asked = verdict.observed;  // unless the helper sees us elsewhere
  d.dialled.reset();
  d.give_up = now + dial_back::helper_time;
  if (!jobs_.spawn(dial_back_job(*this, helper))) d.waiting = false;
}

/// A server that answers and was not asked before; when all were, the round begins anew.
KADORO_DECL peer_ref node_core::next_helper() {
  dial_back& d = dial_back_;
  if (d.helpers.size() >= dial_back::max_helpers) d.helpers.clear();
  peer_list fresh;
  peer_list all;
  table_.for_each([&](contact const& c) {
    if (c.peer->unanswered > 0 || is_foreign(*c.peer) || !transport_->session_address(c.peer)) return;
    all.push_back(c.peer);
    if (!d.helpers.contains(c.peer->id())) fresh.push_back(c.peer);
  });
  if (fresh.empty()) d.helpers.clear();
  peer_list const& from = fresh.empty() ? all : fresh;
  if (from.empty()) return {};
  peer_ref const chosen = from[static_cast<std::size_t>(context_.random().below(from.size()))];
  d.helpers.insert(chosen->id());
  return chosen;
}

KADORO_DECL coro::task<void> node_core::dial_back_job(node_core& core, peer_ref helper) {
  transport::message request;
  request.type = transport::message_type::dial_back_please;
  kadoro::bytes const nonce = to_bytes(core.dial_back_.nonce);
  request.key = nonce;
  auto const answer = co_await core.transport_->request(helper, request);
  dial_back& d = core.dial_back_;
  if (core.closed_ || !d.waiting || !equal(d.nonce, nonce)) co_return;
  std::optional<io::endpoint> asked;
  if (answer && !answer->refusal && answer->providers.size() == 1 && answer->providers[0].addresses.size() == 1) {
    auto const where = multiaddr::from_bytes(answer->providers[0].addresses[0]);
    if (where) asked = where->udp_endpoint();
  }
  if (!asked) co_return core.end_dial_back(core.context_.now());
  d.asked = asked;
}

/// The helper says whether somebody has dialled. What was dialled may still be on its way.
KADORO_DECL void node_core::take_dial_back_done(peer_ref const& from, transport::message const& request) {
  dial_back& d = dial_back_;
  if (!d.waiting || from->id() != d.helper || !equal(d.nonce, request.key)) return;
  d.dialled = request.sequence > 0;
  time_point const now = context_.now();
  if (!*d.dialled) return end_dial_back(now);
  d.give_up = std::min(d.give_up, now + dial_back::patience);
}

/// A ping with a nonce, in a first flight. It proves something if it is ours, and if nothing of ours has gone to where
/// it comes from: then no NAT has let it in because we had asked there.
KADORO_DECL void node_core::take_knock(peer_ref const& from, transport::message const& request) {
  dial_back& d = dial_back_;
  if (!d.waiting || !d.asked || !request.unsolicited || from->id() == d.helper || !equal(d.nonce, request.key)) return;
  d.known.verified = d.known.tried = d.asked;
  d.known.failed = 0;
  d.known.nobody = false;
  d.waiting = false;
  d.interval = dial_back::longest;
  d.next = context_.now() + d.interval;
}

/// Nothing was heard.
KADORO_DECL void node_core::end_dial_back(time_point now) {
  dial_back& d = dial_back_;
  d.waiting = false;
  d.known.nobody = !d.dialled || !*d.dialled;
  if (!d.known.nobody && d.asked) {
    if (d.known.tried != d.asked) d.known.failed = 0;
    d.known.tried = d.asked;
    ++d.known.failed;
    static constexpr std::size_t too_often = 3;  // a datagram may be lost
    if (d.known.verified == d.asked && d.known.failed >= too_often) d.known.verified.reset();
  }
  d.interval = std::min(2 * d.interval, dial_back::longest);
  d.next = now + d.interval;
}

// ---- for others -----------------------------------------------------------------------------------------------------

/// As the limiter wants it: who asks, not from where.
inline std::uint64_t asker_number(peer_ref const& who) noexcept { return load_be<std::uint64_t>(who->hash().data()); }

/// Only the address where we see the asker ourselves is passed on, so nobody can point us at somebody else.
KADORO_DECL void node_core::answer_dial_back(peer_ref const& from, transport::message const& request,
                                             transport::message& answer) {
  auto const where = transport_->session_address(from);
  if (request.key.size() != dial_back::nonce_bytes || !where || where->is_private()) {
    answer.refusal = errc::refused;
    return;
  }
  if (!dial_back_.helps.take(asker_number(from), context_.now())) {
    answer.refusal = errc::refused_rate;
    return;
  }
  if (!jobs_.spawn(help_job(*this, from, *where, to_bytes(request.key)))) {
    answer.refusal = errc::refused_full;
    return;
  }
  dial_back_address_ = multiaddr::datagram(*where, std::nullopt);
  wire::peer self;
  self.id = from->id().bytes();
  self.addresses.push_back(dial_back_address_->bytes());
  answer.providers.push_back(std::move(self));
}

KADORO_DECL coro::task<void> node_core::help_job(node_core& core, peer_ref asker, io::endpoint where,
                                                 kadoro::bytes nonce) {
  peer_list able;
  core.table_.for_each([&](contact const& c) {
    auto const at = core.transport_->session_address(c.peer);
    if (c.peer == asker || c.peer->unanswered > 0 || is_foreign(*c.peer) || !at) return;
    if (at->is_v6() == where.is_v6() && at->range() != where.range()) able.push_back(c.peer);
  });
  multiaddr const address = multiaddr::datagram(where, std::nullopt);
  transport::message request;
  request.type = transport::message_type::dial_back;
  request.key = nonce;
  request.providers.emplace_back();
  request.providers[0].id = asker->id().bytes();
  request.providers[0].addresses.push_back(address.bytes());
  bool dialled = false;
  for (std::size_t tries = 0; tries < dial_back::max_dialled && !able.empty() && !dialled && !core.closed_; ++tries) {
    auto const at = static_cast<std::ptrdiff_t>(core.context_.random().below(able.size()));
    peer_ref const who = able[static_cast<std::size_t>(at)];
    able.erase(able.begin() + at);
    auto const answer = co_await core.transport_->request(who, request);
    dialled = answer && !answer->refusal;
  }
  transport::message done;
  done.type = transport::message_type::dial_back_done;
  done.key = nonce;
  done.sequence = dialled ? 1 : 0;
  auto const told = co_await core.transport_->request(asker, done);
  static_cast<void>(told);
}

/// Dials once, if we have never had to do with that peer: then it has never written to us either, or in vain.
KADORO_DECL void node_core::answer_knock_request(peer_ref const& from, transport::message const& request,
                                                 transport::message& answer) {
  answer.refusal = errc::refused_unknown;
  if (request.key.size() != dial_back::nonce_bytes || request.providers.size() != 1 ||
      request.providers[0].addresses.size() != 1)
    return;
  auto const id = peer_id::from_bytes(request.providers[0].id);
  auto const address = multiaddr::from_bytes(request.providers[0].addresses[0]);
  auto const where = address ? address->udp_endpoint() : std::nullopt;
  if (!id || !where || where->is_private()) return;
  if (!dial_back_.knocks.take(asker_number(from), context_.now())) {
    answer.refusal = errc::refused_rate;
    return;
  }
  if (transport_->knock(book_.intern(*id), *where, request.key)) answer.refusal.reset();
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
