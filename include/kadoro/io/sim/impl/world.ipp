#pragma once

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/host_key.hpp"
#include "kadoro/io/sim/port.hpp"
#include "kadoro/io/sim/world.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

namespace detail {

/// FNV-1a over 64-bit words instead of bytes, folded, so that hashing costs little beside the rest of a simulation.
inline void mix(std::uint64_t& hash, std::uint64_t word) noexcept {
  hash = (hash ^ word) * 0x100000001b3u;
  hash ^= hash >> 32;
}

inline void mix(std::uint64_t& hash, bytes_view data) noexcept {
  mix(hash, data.size());
  for (; data.size() >= 8; data = data.subspan(8)) mix(hash, load_be<std::uint64_t>(data.data()));
  for (std::uint8_t const byte : data) mix(hash, byte);
}

inline void mix(std::uint64_t& hash, endpoint const& address) noexcept {
  mix(hash, address.address());
  mix(hash, address.port());
}

inline std::uint64_t instant(time_point at) noexcept {
  return static_cast<std::uint64_t>(at.time_since_epoch().count());
}

enum fate : std::uint64_t { fate_filtered, fate_lost, fate_first_arrival };

}  // namespace detail

KADORO_DECL world::world(std::uint64_t seed)
    : seed_(seed), random_(seed), now_(std::chrono::hours(1000)), trace_(0xcbf29ce484222325u) {}

KADORO_DECL world::~world() {
  while (!owned_.empty()) owned_.pop_back();
}

KADORO_DECL context& world::add_host(endpoint const& address) {
  owned_.push_back(std::make_unique<context>(*this, address));
  return *owned_.back();
}

KADORO_DECL void world::set_link(endpoint const& from, endpoint const& to, link_policy const& policy) {
  links_[{detail::host_key(from), detail::host_key(to)}] = policy;
}

KADORO_DECL link_policy const& world::link(endpoint const& from, endpoint const& to) const {
  if (links_.empty()) return default_link_;
  auto const found = links_.find({detail::host_key(from), detail::host_key(to)});
  return found == links_.end() ? default_link_ : found->second;
}

KADORO_DECL bool world::step() {
  ++steps_;
  if (ready_.empty()) {
    auto const next = wheel_.next_due();
    if (!next) return false;
    now_ = std::max(now_, *next);
    wheel_.advance(now_, [](coro::timer_node& node) { node.fire(); });
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

KADORO_DECL void world::trace(endpoint const& from, endpoint const& to, bytes_view data, std::uint64_t fate) noexcept {
  detail::mix(trace_, detail::instant(now_));
  detail::mix(trace_, from);
  detail::mix(trace_, to);
  detail::mix(trace_, data);
  detail::mix(trace_, fate);
}

KADORO_DECL world::flight* world::new_flight(endpoint const& from, endpoint const& to, bytes_view data) {
  if (idle_.empty()) {
    if (flights_.size() == max_in_flight) return nullptr;
    flights_.push_back(std::make_unique<flight>(*this, &world::on_arrival));
    idle_.reserve(flights_.capacity());  // so that `land` never allocates
    idle_.push_back(flights_.back().get());
  }
  flight& one = *idle_.back();
  idle_.pop_back();
  one.from = from;
  one.to = to;
  one.data.assign(data.begin(), data.end());
  one.hint = false;
  return &one;
}

KADORO_DECL void world::land(flight& one) noexcept { idle_.push_back(&one); }

KADORO_DECL void world::send(endpoint const& from, endpoint const& to, bytes_view data) {
  ++counters_.sent;
  flight* const one = new_flight(from, to, data);
  if (one == nullptr) {
    ++counters_.lost;
    return trace(from, to, data, detail::fate_lost);
  }
  if (filter_ && !filter_(from, to, one->data)) {
    ++counters_.filtered;
    trace(from, to, one->data, detail::fate_filtered);
    return land(*one);
  }
  link_policy const& way = link(from, to);
  if (way.loss > 0 && random_.unit() < way.loss) {
    ++counters_.lost;
    trace(from, to, one->data, detail::fate_lost);
    return land(*one);
  }
  depart(*one, way);
}

KADORO_DECL void world::inject(endpoint const& from, endpoint const& to, bytes_view data) {
  ++counters_.injected;
  flight* const one = new_flight(from, to, data);
  if (one != nullptr) return depart(*one, link(from, to));
  ++counters_.lost;
  trace(from, to, data, detail::fate_lost);
}

KADORO_DECL void world::depart(flight& one, link_policy const& way) {
  time_point due = now_ + way.delay;
  if (way.jitter > duration::zero()) {
    std::uint64_t const more = random_.below(static_cast<std::uint64_t>(way.jitter.count()) + 1);
    due += duration(static_cast<duration::rep>(more));
  }
  trace(one.from, one.to, one.data, detail::fate_first_arrival + detail::instant(due));
  wheel_.arm(*this, one, due);
}

KADORO_DECL void world::on_arrival(coro::timer_node& node) {
  auto& one = static_cast<flight&>(node);
  one.in.arrive(one);
}

KADORO_DECL void world::arrive(flight& one) {
  auto const host = hosts_.find(detail::host_key(one.to));
  if (host == hosts_.end() || !host->second->online()) {
    if (!one.hint) ++counters_.vanished;
    return land(one);
  }
  auto const port = ports_.find(detail::host_key(one.to, one.to.port()));
  if (port != ports_.end()) {
    if (port->second->arrive(one)) {
      if (!one.hint) ++counters_.delivered;
      return;
    }
    if (!one.hint) ++counters_.overflow;
    return land(one);
  }
  if (one.hint) return land(one);
  ++counters_.unheard;
  if (!hints_) return land(one);
  std::swap(one.from, one.to);
  one.hint = true;
  one.data.clear();
  depart(one, link(one.from, one.to));
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
