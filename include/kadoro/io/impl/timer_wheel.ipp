#pragma once

#include <algorithm>
#include <bit>

#include "kadoro/io/timer_wheel.hpp"

namespace kadoro::inline KADORO_ABI::io {

KADORO_DECL timer_wheel::~timer_wheel() {
  for (level& each : levels_)
    for (slot& one : each.slots)
      while (one.nodes.linked()) disarm(static_cast<coro::timer_node&>(*one.nodes.next()));
}

KADORO_DECL void timer_wheel::arm(coro::scheduler& owner, coro::timer_node& node, time_point due) noexcept {
  node.set(&owner, std::max(due, now_), next_order_++);
  place(node);
}

KADORO_DECL void timer_wheel::disarm(coro::timer_node& node) noexcept {
  node.unlink();
  node.set(nullptr, node.due(), node.order());
}

KADORO_DECL void timer_wheel::disarm_all(coro::scheduler const& owner) noexcept {
  for (level& each : levels_) {
    for (slot& one : each.slots) {
      for (coro::list_node* link = one.nodes.next(); link != &one.nodes;) {
        auto& node = static_cast<coro::timer_node&>(*link);
        link = link->next();
        if (node.owner() == &owner) disarm(node);
      }
    }
  }
}

KADORO_DECL std::optional<time_point> timer_wheel::next_due() noexcept {
  unsigned level_index = 0;
  slot const* const next = first(level_index);
  if (next == nullptr) return std::nullopt;
  auto const count = static_cast<duration::rep>(next->earliest ^ std::uint64_t{1} << 63);
  return time_point(duration(count));
}

KADORO_DECL void timer_wheel::place(coro::timer_node& node) noexcept {
  std::uint64_t const key = key_of(node.due());
  std::uint64_t const difference = key ^ position_;
  unsigned const level_index = (63u - static_cast<unsigned>(std::countl_zero(difference | 1))) / digit_bits;
  unsigned const slot_index = static_cast<unsigned>(key >> (level_index * digit_bits)) % slot_count;
  level& target = levels_[level_index];
  slot& into = target.slots[slot_index];
  node.unlink();  // before the look at `into`: the node may be the only one in it
  into.earliest = into.nodes.linked() ? std::min(into.earliest, key) : key;
  node.link_before(into.nodes);
  target.used |= std::uint64_t{1} << slot_index;
  used_levels_ |= 1u << level_index;
}

/// The slot with the earliest nodes: the first on the lowest level in use, because a node on a higher level differs
/// from the position in a higher digit. Null if nothing is armed.
KADORO_DECL timer_wheel::slot* timer_wheel::first(unsigned& level_index) noexcept {
  for (; used_levels_ != 0; used_levels_ &= used_levels_ - 1) {
    level_index = static_cast<unsigned>(std::countr_zero(used_levels_));
    level& lowest = levels_[level_index];
    for (; lowest.used != 0; lowest.used &= lowest.used - 1) {
      slot& candidate = lowest.slots[std::countr_zero(lowest.used)];
      if (candidate.nodes.linked()) return &candidate;
    }
  }
  return nullptr;
}

KADORO_DECL coro::timer_node* timer_wheel::pop(std::uint64_t end_order) noexcept {
  for (;;) {
    unsigned level_index = 0;
    slot* const next = first(level_index);
    if (next == nullptr || next->earliest > key_of(now_)) return nullptr;
    position_ = next->earliest;
    auto& node = static_cast<coro::timer_node&>(*next->nodes.next());
    if (level_index == 0) {
      if (node.order() >= end_order) return nullptr;
      disarm(node);
      return &node;
    }
    // The position has entered this slot, so every node in it now belongs to a lower level.
    while (next->nodes.linked()) place(static_cast<coro::timer_node&>(*next->nodes.next()));
  }
}

}  // namespace kadoro::inline KADORO_ABI::io
