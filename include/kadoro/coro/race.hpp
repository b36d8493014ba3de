#pragma once

#include <cassert>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "kadoro/coro/impl/group.hpp"
#include "kadoro/coro/when_all.hpp"

/// @file
/// `race`: several operations at once, and the value of the first.

namespace kadoro::inline KADORO_ABI::coro {

/// Which one won, and its value.
template <class T>
struct race_result {
  std::size_t index;
  T value;
};

template <>
struct race_result<void> {
  std::size_t index;
};

namespace detail {

/// Starts them in order until one has completed at once: what comes behind it has lost already.
template <class... T, std::size_t... I>
void start_race(task_group& group, std::tuple<slot<T>...>& slots, std::index_sequence<I...>, task<T>&... tasks) {
  ((group.has_winner() ? void() : group.start(std::move(tasks), std::get<I>(slots))), ...);
}

template <class Variant, class... T, std::size_t... I>
Variant take_winner(std::size_t winner, std::tuple<slot<T>...>& slots, std::index_sequence<I...>) {
  using taker = Variant (*)(std::tuple<slot<T>...>&);
  static constexpr taker takers[] = {
      [](std::tuple<slot<T>...>& all) { return Variant(std::in_place_index<I>, take_value(std::get<I>(all))); }...};
  return takers[winner](slots);
}

template <class T>
void start_race(task_group& group, std::vector<slot<T>>& slots, std::vector<task<T>>& tasks) {
  assert(!tasks.empty() && "a race needs at least one task");
  for (std::size_t i = 0; i < tasks.size() && !group.has_winner(); ++i) group.start(std::move(tasks[i]), slots[i]);
}

}  // namespace detail

/// Runs all concurrently, started in the order given. The first to complete wins, with its value or its exception; the
/// others are asked to cancel **and waited for**, and what they give is dropped. Of several that complete in the same
/// step the one with the lowest index wins; a task behind one that completes at once is not started. The index of the
/// variant names the winner; `void` becomes `std::monostate`. A `result` with an error is a completion like any other.
/// Cancellation of the awaiter reaches all.
template <class... T>
  requires(sizeof...(T) > 0)
task<std::variant<detail::value_or_unit<T>...>> race(task<T>... tasks) {
  using variant = std::variant<detail::value_or_unit<T>...>;
  environment const outer = co_await this_environment();
  std::tuple<detail::slot<T>...> slots;
  detail::task_group group(outer, detail::task_group::wanted::first);
  detail::start_race(group, slots, std::index_sequence_for<T...>(), tasks...);
  co_await group.ended();
  co_return detail::take_winner<variant>(group.winner(), slots, std::index_sequence_for<T...>());
}

/// The same for any number (at least one) of one type.
template <class T>
task<race_result<T>> race(std::vector<task<T>> tasks) {
  environment const outer = co_await this_environment();
  std::vector<detail::slot<T>> slots(tasks.size());
  detail::task_group group(outer, detail::task_group::wanted::first);
  detail::start_race(group, slots, tasks);
  co_await group.ended();
  std::size_t const winner = group.winner();
  if constexpr (std::is_void_v<T>) {
    slots[winner].out.take();
    co_return race_result<void>{winner};
  } else {
    race_result<T> first{winner, slots[winner].out.take()};
    co_return first;
  }
}

}  // namespace kadoro::inline KADORO_ABI::coro
