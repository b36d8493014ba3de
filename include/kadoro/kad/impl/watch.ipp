#pragma once

#include "kadoro/kad/impl/watched_key.hpp"
#include "kadoro/kad/trace.hpp"
#include "kadoro/kad/watch.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL std::string_view to_string(watch_event::kind what) noexcept {
  switch (what) {
    case watch_event::kind::add: return "add";
    case watch_event::kind::change: return "change";
    case watch_event::kind::expire: return "expire";
    case watch_event::kind::gone: return "gone";
  }
  return "unknown";
}

KADORO_DECL watch::~watch() { close(); }

KADORO_DECL void watch::close() noexcept {
  if (!state_) return;
  state_->closed = true;
  state_->news.set();
}

KADORO_DECL coro::task<result<watch_event>> watch::next() {
  std::shared_ptr<state> const mine = state_;
  coro::environment const environment = co_await coro::this_environment();
  for (;;) {
    if (mine->closed) co_return fail(errc::closed, "watch of " + printable(mine->key->key) + ": it is closed");
    auto event = mine->key->take(*mine, environment.sched().now());
    if (event) co_return std::move(*event);
    mine->news.reset();
    auto const woken = co_await mine->news.wait();
    if (!woken) co_return fail(woken.error());
  }
}

KADORO_DECL bool watch::caught_up() const noexcept {
  for (auto const& [id, h] : state_->key->holders)
    if (h.complete) return true;
  return false;
}

KADORO_DECL std::vector<peer_id> watch::holders() const {
  std::vector<peer_id> out;
  for (auto const& [id, h] : state_->key->holders)
    if (h.complete) out.push_back(id);
  return out;
}

KADORO_DECL std::string watch::explain() const {
  detail::watched_key const& of = *state_->key;
  std::size_t telling = 0;
  std::string refused;
  for (auto const& [id, h] : of.holders) {
    telling += h.complete ? 1u : 0u;
    if (h.now == detail::watched_key::holder::state::refused) refused += "; " + id.to_string() + " " + h.why;
  }
  std::string const what = "watch of " + printable(of.key) + ": ";
  if (telling > 0)
    return what + std::to_string(telling) + " of " + std::to_string(of.holders.size()) + " holders tell of changes" +
           refused;
  return what + (of.holders.empty() ? of.why_nobody : "no holder has answered yet") + refused;
}

}  // namespace kadoro::inline KADORO_ABI::kad
