#pragma once

#include <algorithm>
#include <array>
#include <cassert>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/host_key.hpp"
#include "kadoro/io/sim/port.hpp"
#include "kadoro/io/sim/sampling.hpp"
#include "kadoro/io/sim/world.hpp"

/// @file
/// The way of a datagram through a world. Each function that may end it returns the fate.

namespace kadoro::inline KADORO_ABI::io::sim {

namespace detail {

/// FNV-1a over 64-bit words instead of bytes, folded, so that hashing costs little beside the rest of a simulation.
inline void mix(std::uint64_t& hash, std::uint64_t word) noexcept {
  hash = (hash ^ word) * 0x100000001b3u;
  hash ^= hash >> 32;
}

inline void mix(std::uint64_t& hash, bytes_view data) noexcept {
  mix(hash, data.size());
  if (data.size() >= 32) {  // four at once: a processor multiplies faster than it waits for the product
    std::array<std::uint64_t, 4> lanes{1, 2, 3, 4};
    for (; data.size() >= 32; data = data.subspan(32))
      for (std::size_t i = 0; i < 4; ++i) mix(lanes[i], load_be<std::uint64_t>(data.data() + 8 * i));
    for (std::uint64_t const lane : lanes) mix(hash, lane);
  }
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

}  // namespace detail

KADORO_DECL world::flight* world::new_flight(endpoint const& from, endpoint const& to, bytes_view data) {
  if (idle_.empty()) {
    if (flights_.size() == max_in_flight) return nullptr;
    flights_.push_back(std::make_unique<flight>(*this, &world::on_arrival));
    idle_.reserve(flights_.capacity());  // so that `land` never allocates
    idle_.push_back(flights_.back().get());
  }
  flight& one = *idle_.back();
  idle_.pop_back();
  one.from = one.origin = from;
  one.to = to;
  one.data.assign(data);
  one.inside = nullptr;
  one.island = 0;
  one.digest = 0;
  one.hint = false;
  one.tcp = false;
  return &one;
}

KADORO_DECL void world::land(flight& one) noexcept { idle_.push_back(&one); }

/// Counts, records and shows what happened to `one`.
KADORO_DECL void world::report(flight& one, fate what) {
  counters_.count(what);
  if (one.digest == 0) {
    one.digest = 0xcbf29ce484222325u;
    detail::mix(one.digest, one.from);
    detail::mix(one.digest, one.to);
    detail::mix(one.digest, one.data);
  }
  detail::mix(trace_, detail::instant(now_));
  detail::mix(trace_, one.digest);
  detail::mix(trace_, static_cast<std::uint64_t>(what));
  if (observer_ != nullptr) observer_->on_datagram(now_, one.from, one.to, one.data, what);
}

KADORO_DECL void world::finish(flight& one, fate what) {
  if (!one.hint) report(one, what);
  land(one);
}

KADORO_DECL void world::send(context& sender, endpoint const& from, endpoint const& to, bytes_view data, bool tcp) {
  ++counters_.sent;
  flight* const one = new_flight(from, to, data);
  if (one == nullptr) {
    ++counters_.lost;
    return;
  }
  one->tcp = tcp;
  auto const stopped = pass_gates(sender, *one);
  if (stopped) return finish(*one, *stopped);
  link_policy const* const own = own_link(one->from, to);
  link_policy const& link = own != nullptr ? *own : default_link_;
  time_point leaves = now_;
  auto const dropped = pass_link(*one, link, leaves);
  if (dropped) return finish(*one, *dropped);
  flight* const copy = happens(link.duplicate) ? new_flight(one->from, to, one->data) : nullptr;
  depart(*one, own, leaves);
  if (copy == nullptr) return;
  copy->origin = one->origin;
  copy->inside = one->inside;
  copy->tcp = one->tcp;
  copy->island = one->island;
  report(*copy, fate::duplicated);
  depart(*copy, own, leaves);
}

/// The sender's side: if its cable is in, its firewall takes note, its NAT translates, then filters and cuts.
KADORO_DECL std::optional<fate> world::pass_gates(context& sender, flight& one) {
  one.island = sender.island_;
  if (!sender.online_) return fate::vanished;
  if (sender.firewall_memory_ > duration::zero()) {
    time_point const until = now_ + sender.firewall_memory_;
    if (!sender.firewall_.note(one.from.port(), one.to, now_, until)) return fate::firewalled;
  }
  if (sender.nat_ != nullptr) {
    context const* const target = find_place(one.to).host;
    if (target != nullptr && target->nat_ == sender.nat_) {
      one.inside = sender.nat_;
    } else {
      auto const outside = sender.nat_->outbound(one.from, one.to, now_);
      if (!outside) return fate::nat_dropped;
      one.from = *outside;
    }
  }
  if (filter_ && !filter_(one.from, one.to, one.data)) return fate::filtered;
  if (is_blocked(one)) return fate::blocked;
  if (islanders_ > 0) {
    context const* const target = find_place(one.to).host;
    if (target != nullptr && is_parted(one, *target)) return fate::partitioned;
  }
  return std::nullopt;
}

/// What the link does to a datagram that it may lose.
KADORO_DECL std::optional<fate> world::pass_link(flight& one, link_policy const& link, time_point& leaves) {
  if (link.mtu_bytes != 0 && one.data.size() > link.mtu_bytes) return fate::black_holed;
  if (link.bandwidth_bytes_per_s != 0 && !join_queue(one, link, leaves)) return fate::queue_full;
  if (happens(link.loss)) return fate::lost;
  if (!one.data.empty() && happens(link.corrupt)) corrupt(one);
  return std::nullopt;
}

/// Waits for the link; false if its queue is full. `leaves`: when the last byte has left.
KADORO_DECL bool world::join_queue(flight const& one, link_policy const& link, time_point& leaves) {
  auto const time_for = [&](std::uint64_t size_bytes) {
    constexpr std::uint64_t second_ns = 1'000'000'000;
    std::uint64_t const bounded = std::min<std::uint64_t>(size_bytes, 1u << 31);  // no overflow; 2 GiB is any queue
    return duration(static_cast<duration::rep>(bounded * second_ns / link.bandwidth_bytes_per_s));
  };
  if (queues_.size() >= max_queues) std::erase_if(queues_, [&](auto const& each) { return each.second <= now_; });
  detail::direction const way{detail::host_key(one.from), detail::host_key(one.to)};
  auto const found = queues_.find(way);
  time_point const free = found == queues_.end() ? now_ : std::max(found->second, now_);
  time_point const end = free + time_for(one.data.size());
  if (free > now_ && end - now_ > time_for(link.queue_bytes)) return false;
  if (found != queues_.end()) {
    found->second = end;
  } else {
    if (queues_.size() >= max_queues) return false;
    queues_.emplace(way, end);
  }
  leaves = end;
  return true;
}

KADORO_DECL void world::corrupt(flight& one) {
  std::uint64_t const bits = one.data.size() * 8;
  auto const flip = [&](std::uint64_t bit) { one.data[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8); };
  std::uint64_t const first = random_.below(bits);
  flip(first);
  for (std::uint64_t more = random_.below(8); more > 0; --more) {
    std::uint64_t const bit = random_.below(bits);
    if (bit != first) flip(bit);  // so that the datagram has changed in any case
  }
  one.digest = 0;
  report(one, fate::corrupted);
}

KADORO_DECL void world::inject(endpoint const& from, endpoint const& to, bytes_view data) {
  ++counters_.injected;
  flight* const one = new_flight(from, to, data);
  if (one == nullptr) {
    ++counters_.lost;
    return;
  }
  context const* const owner = find_place(from).host;
  if (owner != nullptr) one->island = owner->island_;
  depart(*one, own_link(from, to), now_);
}

KADORO_DECL link_policy const* world::own_link(endpoint const& from, endpoint const& to) const {
  if (links_.empty()) return nullptr;
  auto const found = links_.find({detail::host_key(from), detail::host_key(to)});
  return found == links_.end() ? nullptr : &found->second;
}

KADORO_DECL duration world::draw_delay(flight& one, link_policy const* own) {
  link_policy const& link = own != nullptr ? *own : default_link_;
  duration delay = own == nullptr && geography_ ? geography_->one_way(one.from, one.to) : link.delay;
  if (link.spread > 0) delay = detail::log_normal(delay, link.spread, detail::normal_q16(random_));
  auto const up_to = [&](duration most) {
    return duration(static_cast<duration::rep>(random_.below(static_cast<std::uint64_t>(most.count()) + 1)));
  };
  if (link.jitter > duration::zero()) delay += up_to(link.jitter);
  if (link.reorder_delay > duration::zero() && happens(link.reorder)) {
    delay += up_to(link.reorder_delay);
    if (!one.hint) report(one, fate::reordered);
  }
  return delay;
}

KADORO_DECL void world::depart(flight& one, link_policy const* own, time_point leaves) {
  time_point const due = leaves + draw_delay(one, own);
  if (!one.hint) report(one, fate::departed);
  detail::mix(trace_, detail::instant(due));
  wheel_.arm(*this, one, due);
}

KADORO_DECL void world::on_arrival(coro::timer_node& node) {
  auto& one = static_cast<flight&>(node);
  one.in.arrive(one);
}

KADORO_DECL void world::arrive(flight& one) {
  ++internal_fired_;
  fate const what = try_to_deliver(one);
  if (what == fate::delivered && !one.tcp) {  // it is the port's now
    if (!one.hint) report(one, what);
    return;
  }
  finish(one, what);
}

/// Through the receiver's gates to its port, which takes a datagram over if this returns `delivered`; its TCP has then
/// looked at a segment.
KADORO_DECL fate world::try_to_deliver(flight& one) {
  if (is_blocked(one)) return fate::blocked;
  place const outer = find_place(one.to);
  endpoint target = one.to;
  context* host = outer.host;
  if (outer.box != nullptr) {
    bool const hairpin = std::ranges::equal(one.from.address(), one.to.address());
    auto const inside = outer.box->inbound(one.to.port(), one.from, now_);
    if (hairpin || !inside) return fate::nat_dropped;
    target = *inside;
    host = find_place(target).host;
  }
  if (host == nullptr || !host->online_) return fate::vanished;
  if (host->nat_ != (outer.box != nullptr ? outer.box : one.inside)) return fate::vanished;
  if (islanders_ > 0 && is_parted(one, *host)) return fate::partitioned;
  if (host->firewall_memory_ > duration::zero() && !host->firewall_.allows(target.port(), one.from, now_))
    return fate::firewalled;
  if (one.tcp) {
    if (host->paused_) return fate::overflow;  // it is sent again
    host->tcp_.take(target, one.from, one.data);
    return fate::delivered;
  }
  detail::port* const port = host->find_port(target);
  if (port != nullptr) return port->arrive(one) ? fate::delivered : fate::overflow;
  if (!one.hint && hints_ && !host->paused_ && host->nat_ == nullptr) answer_unheard(one);
  return fate::unheard;
}

/// The ICMP message "port unreachable", from a host that is not behind a NAT.
KADORO_DECL void world::answer_unheard(flight& one) {
  flight* const answer = new_flight(one.to, one.from, {});
  if (answer == nullptr) return;
  answer->hint = true;
  depart(*answer, own_link(answer->from, answer->to), now_);
}

KADORO_DECL bool world::is_blocked(flight const& one) const {
  return !blocked_.empty() && blocked_.contains({detail::host_key(one.from), detail::host_key(one.to)});
}

/// Whether the sender is on another island: the one where it is now or, if it is gone, where it was.
KADORO_DECL bool world::is_parted(flight const& one, context const& target) const {
  context const* const sender = find_place(one.origin).host;
  return target.island_ != (sender != nullptr ? sender->island_ : one.island);
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
