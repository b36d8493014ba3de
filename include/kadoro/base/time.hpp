#pragma once

#include <chrono>
#include <cstdint>

#include "kadoro/base/version.hpp"

/// @file
/// Time as the whole library sees it: steady, in nanoseconds, and only ever read from a scheduler.

namespace kadoro::inline KADORO_ABI {

using duration = std::chrono::nanoseconds;

/// A clock without `now()`: time comes from `coro::scheduler::now()`, never from the system, so that a simulated run
/// can supply its own. The epoch is unspecified; only differences mean something, and only within one scheduler.
struct clock {
  using duration = kadoro::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<clock, duration>;
  static constexpr bool is_steady = true;
};

using time_point = clock::time_point;

}  // namespace kadoro::inline KADORO_ABI
