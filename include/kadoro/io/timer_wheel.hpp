#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kadoro/base/time.hpp"
#include "kadoro/coro/scheduler.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// The timers of a loop: an intrusive, hierarchical wheel. Arming and disarming take constant time and no memory, and
/// nodes fire in the exact order of (due, arming).
///
/// Level k has 64 slots of 64^k ns. A node waits on the level of the highest base-64 digit in which its due differs
/// from the wheel's position, in the slot of that digit; when the position enters that slot, its nodes move to lower
/// levels, in order. Eleven levels hold every instant, so there is no horizon; a slot of level 0 holds one instant, so
/// there is nothing to sort. (Varghese and Lauck, 1987, scheme 7, without ticks: the position jumps from due to due.)
class timer_wheel {
 public:
  timer_wheel() noexcept = default;
  timer_wheel(timer_wheel const&) = delete;
  timer_wheel& operator=(timer_wheel const&) = delete;
  /// Disarms whatever is still armed.
  KADORO_DECL ~timer_wheel();

  /// Arms `node` for `due` on behalf of `owner`; moves it if it was armed. A due before the `now` of the
  /// latest `advance` counts as that `now`.
  KADORO_DECL void arm(coro::scheduler& owner, coro::timer_node& node, time_point due) noexcept;

  /// No effect if `node` is not armed.
  KADORO_DECL void disarm(coro::timer_node& node) noexcept;

  /// Disarms every node of `owner`. Visits all nodes: for rare use.
  KADORO_DECL void disarm_all(coro::scheduler const& owner) noexcept;

  /// An instant before which nothing is due: mostly the earliest due itself, sometimes that of a node disarmed since.
  /// Empty if nothing is armed.
  KADORO_DECL std::optional<time_point> next_due() noexcept;

  /// Calls `fire(node)` for every node that is due at `now` or before, in the order of (due, arming). Nodes that are
  /// armed meanwhile wait for the next call. A node may arm, disarm or destroy any other.
  template <class Fire>
  void advance(time_point now, Fire&& fire) {
    std::uint64_t const end = next_order_;
    if (now > now_) now_ = now;
    while (coro::timer_node* const node = pop(end)) fire(*node);
  }

 private:
  static constexpr unsigned digit_bits = 6;
  static constexpr unsigned slot_count = 1u << digit_bits;
  static constexpr unsigned level_count = (64 + digit_bits - 1) / digit_bits;

  struct slot {
    coro::list_node nodes;
    std::uint64_t earliest = 0;  // of the nodes that came in since the slot was empty
  };

  struct level {
    slot slots[slot_count];
    std::uint64_t used = 0;  // a bit per slot; a slot that disarming has emptied keeps its bit until it is looked at
  };

  /// Instants as unsigned numbers of the same order.
  static std::uint64_t key_of(time_point instant) noexcept {
    return static_cast<std::uint64_t>(instant.time_since_epoch().count()) ^ std::uint64_t{1} << 63;
  }

  KADORO_DECL void place(coro::timer_node& node) noexcept;
  KADORO_DECL slot* first(unsigned& level_index) noexcept;
  KADORO_DECL coro::timer_node* pop(std::uint64_t end_order) noexcept;

  level levels_[level_count];
  std::uint32_t used_levels_ = 0;
  time_point now_ = time_point::min();
  std::uint64_t position_ = 0;  // a key: not after `now_`, nor after any armed node's
  std::uint64_t next_order_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/impl/timer_wheel.ipp"
#endif
