#pragma once

#include <algorithm>

#include "kadoro/kad/put_receipt.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL coro::task<result<void>> put_receipt::settled() const {
  auto const shared = state_;  // the receipt may go while we wait
  co_return co_await shared->settled.wait();
}

KADORO_DECL put_receipt put_receipt::snapshot() const {
  facts const& now = *state_;
  auto copy = std::allocate_shared<state>(pooled_allocator<state>(), now);
  copy->decided.set();
  copy->settled.set();
  return put_receipt(std::move(copy));
}

KADORO_DECL std::size_t put_receipt::count(replica::state s) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(state_->replicas.begin(), state_->replicas.end(), [s](replica const& r) { return r.now == s; }));
}

KADORO_DECL std::size_t put_receipt::durable() const noexcept {
  return static_cast<std::size_t>(std::count_if(state_->replicas.begin(), state_->replicas.end(), [](replica const& r) {
    return r.now == replica::state::stored && r.durable;
  }));
}

KADORO_DECL trace put_receipt::steps() const {
  trace now = state_->steps;
  if (now.elapsed()) now.explain(explain());
  return now;
}

KADORO_DECL std::string put_receipt::explain() const {
  std::string text = "stored on " + std::to_string(stored()) + " of " + std::to_string(needed()) + " needed";
  if (state_->failure) return text + ": " + state_->failure->message();
  if (ok()) {
    text += " (" + std::to_string(population()) + " asked";
    if (degraded()) text += ", " + std::to_string(replicas_wanted()) + " wanted: degraded";
    text += ")";
    if (state_->wants_durable) text += ", durable on " + std::to_string(durable());
  }
  bool all_clients = population() > 0;
  for (replica const& r : state_->replicas) {
    all_clients = all_clients && r.refusal == errc::refused_client_mode;
    if (r.now == replica::state::refused) text += ": " + r.peer.to_string() + " " + r.why;
    if (r.now == replica::state::no_answer) text += ": " + r.why;
  }
  if (all_clients) text += "; start it in server mode, or bootstrap from a peer that runs in server mode";
  return text;
}

}  // namespace kadoro::inline KADORO_ABI::kad
