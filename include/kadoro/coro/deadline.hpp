#pragma once

#include <type_traits>
#include <utility>

#include "kadoro/base/result.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/coro/task.hpp"

/// @file
/// `with_deadline`: any operation, bounded in time.

namespace kadoro::inline KADORO_ABI::coro {

namespace detail {

template <class T>
struct deadline_value {
  using type = result<T>;
};
template <class U>
struct deadline_value<result<U>> {
  using type = result<U>;
};

/// One timer that makes one request.
class deadline_timer : private timer_node {
 public:
  deadline_timer(environment const& outer, time_point due) noexcept
      : timer_node(&deadline_timer::on_timer), cancel_(outer.cancel()), env_(outer.sched(), cancel_.token()) {
    outer.sched().arm(*this, due);
  }

  environment const& env() const noexcept { return env_; }
  bool expired() const noexcept { return expired_; }

 private:
  static void on_timer(timer_node& node) {
    deadline_timer& self = static_cast<deadline_timer&>(node);
    if (self.cancel_.requested()) return;  // the caller's own cancellation came first
    self.expired_ = true;
    self.cancel_.request();
  }

  cancel_source cancel_;
  environment env_;
  bool expired_ = false;
};

template <class T>
using deadline_result = typename deadline_value<T>::type;

}  // namespace detail

/// Runs `work` until it ends or until `due`. At `due` the operation is asked to cancel and waited for, so it can take
/// longer if it does not listen. Completes with
///
/// - what the operation gave, a value also when it came after the deadline;
/// - `timed_out` if the deadline has passed and the operation ended as cancelled (or had no value to give:
/// `task<void>`);
/// - `cancelled` if the caller's own cancellation came first: it passes through.
///
/// `task<result<U>>` gives `result<U>`, any other `task<T>` gives `result<T>`. An exception of the operation passes
/// through.
template <class T>
task<detail::deadline_result<T>> with_deadline(task<T> work, time_point due) {
  environment const outer = co_await this_environment();
  detail::deadline_timer timer(outer, due);
  work.set_environment(timer.env());
  if constexpr (std::is_void_v<T>) {
    co_await std::move(work);
    if (timer.expired()) co_return fail(errc::timed_out);
    co_return result<void>();
  } else {
    detail::deadline_result<T> value = co_await std::move(work);
    if (!value.has_value() && timer.expired() && value.error() == errc::cancelled) co_return fail(errc::timed_out);
    co_return value;
  }
}

/// The same, for `limit` from the await on.
template <class T>
task<detail::deadline_result<T>> with_deadline(task<T> work, duration limit) {
  scheduler& sched = co_await this_scheduler();
  co_return co_await with_deadline(std::move(work), detail::after(sched.now(), limit));
}

}  // namespace kadoro::inline KADORO_ABI::coro
