#pragma once

#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "kadoro/coro/impl/group.hpp"

/// @file
/// `when_all`: several operations at once, and the values of all.

namespace kadoro::inline KADORO_ABI::coro {

namespace detail {

/// `void` has no values; where one is needed, `std::monostate` stands for it.
template <class T>
using value_or_unit = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
value_or_unit<T> take_value(slot<T>& from) {
  if constexpr (std::is_void_v<T>) {
    from.out.take();
    return std::monostate();
  } else {
    return from.out.take();
  }
}

template <class... T, std::size_t... I>
void start_all(task_group& group, std::tuple<slot<T>...>& slots, std::index_sequence<I...>, task<T>&... tasks) {
  (group.start(std::move(tasks), std::get<I>(slots)), ...);
}

template <class... T>
std::tuple<value_or_unit<T>...> take_all(std::tuple<slot<T>...>& slots) {
  return std::apply([](auto&... each) { return std::tuple<value_or_unit<T>...>(take_value(each)...); }, slots);
}

}  // namespace detail

/// Runs all concurrently, started in the order given, and completes when the last has ended. `void` becomes
/// `std::monostate`. If one throws, the others are asked to cancel and waited for, then the first exception is thrown.
/// A `result` with an error is a value like any other. Cancellation of the awaiter reaches all.
template <class... T>
task<std::tuple<detail::value_or_unit<T>...>> when_all(task<T>... tasks) {
  environment const outer = co_await this_environment();
  std::tuple<detail::slot<T>...> slots;
  detail::task_group group(outer, detail::task_group::wanted::all);
  detail::start_all(group, slots, std::index_sequence_for<T...>(), tasks...);
  co_await group.ended();
  if (group.error()) std::rethrow_exception(group.error());
  co_return detail::take_all(slots);
}

/// The same for any number of one type; the values are in the order of the tasks.
template <class T>
  requires(!std::is_void_v<T>)
task<std::vector<T>> when_all(std::vector<task<T>> tasks) {
  environment const outer = co_await this_environment();
  std::vector<detail::slot<T>> slots(tasks.size());
  detail::task_group group(outer, detail::task_group::wanted::all);
  for (std::size_t i = 0; i < tasks.size(); ++i) group.start(std::move(tasks[i]), slots[i]);
  co_await group.ended();
  if (group.error()) std::rethrow_exception(group.error());
  std::vector<T> values;
  values.reserve(slots.size());
  for (detail::slot<T>& each : slots) values.push_back(each.out.take());
  co_return values;
}

inline task<void> when_all(std::vector<task<void>> tasks) {
  environment const outer = co_await this_environment();
  std::vector<detail::slot<void>> slots(tasks.size());
  detail::task_group group(outer, detail::task_group::wanted::all);
  for (std::size_t i = 0; i < tasks.size(); ++i) group.start(std::move(tasks[i]), slots[i]);
  co_await group.ended();
  if (group.error()) std::rethrow_exception(group.error());
}

}  // namespace kadoro::inline KADORO_ABI::coro
