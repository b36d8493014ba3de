#pragma once

#include "kadoro/coro/waiter.hpp"

/// @file
/// Waiting for time to pass.

namespace kadoro::inline KADORO_ABI::coro {

namespace detail {

/// `now + length`, without overflow: a caller may say "never" with `duration::max()`.
inline time_point after(time_point now, duration length) noexcept {
  if (length > duration::zero() && now > time_point::max() - length) return time_point::max();
  return now + length;
}

class sleep_awaiter : public waiter, private timer_node {
 public:
  explicit sleep_awaiter(time_point due) noexcept : timer_node(&sleep_awaiter::on_timer), due_(due) {}
  explicit sleep_awaiter(duration length) noexcept
      : timer_node(&sleep_awaiter::on_timer), length_(length), relative_(true) {}

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
    if (!begin(h)) return false;
    sched().arm(*this, relative_ ? after(sched().now(), length_) : due_);
    return true;
  }
  result<void> await_resume() const { return status(); }

 private:
  static void on_timer(timer_node& self) { static_cast<sleep_awaiter&>(self).complete(); }

  time_point due_{};
  duration length_{};
  bool relative_ = false;
};

}  // namespace detail

/// Completes once `length` has passed since the await, never at once: `sleep_for(0)` lets everything else that is ready
/// run first. Errors: `cancelled`.
inline detail::sleep_awaiter sleep_for(duration length) noexcept { return detail::sleep_awaiter(length); }

/// Completes at the first turn of the loop at or after `due`. Errors: `cancelled`.
inline detail::sleep_awaiter sleep_until(time_point due) noexcept { return detail::sleep_awaiter(due); }

}  // namespace kadoro::inline KADORO_ABI::coro
