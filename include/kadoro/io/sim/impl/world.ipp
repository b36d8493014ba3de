#pragma once

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/host_key.hpp"
#include "kadoro/io/sim/world.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

KADORO_DECL world::world(std::uint64_t seed)
    : seed_(seed), random_(seed), now_(std::chrono::hours(1000)), trace_(0xcbf29ce484222325u) {}

KADORO_DECL world::~world() {
  while (!owned_.empty()) owned_.pop_back();
}

KADORO_DECL context& world::add_host(endpoint const& address) {
  owned_.push_back(std::make_unique<context>(*this, address));
  return *owned_.back();
}

KADORO_DECL nat& world::add_nat(endpoint const& public_address, nat_policy const& policy) {
  endpoint const key = detail::host_key(public_address);
  nats_.push_back(std::make_unique<nat>(key, policy));
  add_place(key, {nullptr, nats_.back().get()});
  return *nats_.back();
}

KADORO_DECL void world::add_place(endpoint const& address, place const& who) {
  if (address.is_unspecified()) throw std::logic_error("kadoro: a simulated host needs an address");
  if (!places_.emplace(address, who).second)
    throw std::logic_error("kadoro: two in a simulated world with the address " + address.to_string());
}

KADORO_DECL world::place world::find_place(endpoint const& address) const {
  auto const found = places_.find(detail::host_key(address));
  return found == places_.end() ? place() : found->second;
}

KADORO_DECL void world::set_link(endpoint const& from, endpoint const& to, link_policy const& policy) {
  links_[{detail::host_key(from), detail::host_key(to)}] = policy;
}

KADORO_DECL void world::set_blocked(endpoint const& from, endpoint const& to, bool blocked) {
  detail::direction const way{detail::host_key(from), detail::host_key(to)};
  if (blocked)
    blocked_.insert(way);
  else
    blocked_.erase(way);
}

KADORO_DECL bool world::step() {
  ++steps_;
  if (ready_.empty()) {
    auto const next = wheel_.next_due();
    if (!next) return false;
    now_ = std::max(now_, *next);
    wheel_.advance(now_, [this](coro::timer_node& node) {
      ++fired_;
      node.fire();
    });
  }
  ready_.run_pass();
  return true;
}

KADORO_DECL bool world::step_before(std::uint64_t limit) {
  if (steps_ >= limit) throw std::logic_error("kadoro: a simulated run takes too many steps");
  return step();
}

KADORO_DECL void world::run_until(time_point end) {
  std::uint64_t const limit = steps_ + max_steps;
  for (;;) {
    if (ready_.empty()) {
      auto const next = wheel_.next_due();
      if (!next || *next > end) break;
    }
    step_before(limit);
  }
  now_ = std::max(now_, end);
}

KADORO_DECL void world::run_until_idle(std::uint64_t limit) {
  limit += steps_;
  while (step_before(limit)) {
  }
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
