#pragma once

#include "kadoro/coro/waiter.hpp"

/// @file
/// Letting others go first.

namespace kadoro::inline KADORO_ABI::coro {

namespace detail {

class yield_awaiter : public waiter {
 public:
  yield_awaiter() noexcept = default;
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) noexcept {
    begin_uncancellable(h);
    complete();
  }
  void await_resume() const noexcept {}
};

}  // namespace detail

/// Goes behind all that is ready now; what that makes ready runs later. Costs no timer. A request to cancel does not
/// shorten it.
inline detail::yield_awaiter yield() noexcept { return detail::yield_awaiter(); }

}  // namespace kadoro::inline KADORO_ABI::coro
