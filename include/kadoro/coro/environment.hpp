#pragma once

#include <coroutine>

#include "kadoro/coro/cancel.hpp"
#include "kadoro/coro/scheduler.hpp"

/// @file
/// What travels down a chain of awaits: where to run, and who may ask to stop.

namespace kadoro::inline KADORO_ABI::coro {

/// A task inherits the environment of the coroutine that awaits it; a primitive reads it from the awaiting promise. So
/// no function passes a scheduler or a token by hand, and code runs on whatever loop its root was started on.
class environment {
 public:
  environment(scheduler& sched, cancel_token cancel = {}) noexcept : sched_(&sched), cancel_(cancel) {}

  scheduler& sched() const noexcept { return *sched_; }
  cancel_token cancel() const noexcept { return cancel_; }

 private:
  scheduler* sched_;
  cancel_token cancel_;
};

namespace detail {

class environment_awaiter {
 public:
  environment_awaiter() noexcept {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
    environment_ = &h.promise().environment();
    return false;
  }
  environment await_resume() const noexcept { return *environment_; }

 protected:
  environment const* environment_ = nullptr;
};

class scheduler_awaiter : public environment_awaiter {
 public:
  scheduler_awaiter() noexcept {}
  scheduler& await_resume() const noexcept { return environment_->sched(); }
};

}  // namespace detail

/// `auto env = co_await this_environment();` Never suspends.
inline detail::environment_awaiter this_environment() noexcept { return {}; }

/// `scheduler& s = co_await this_scheduler();` Never suspends.
inline detail::scheduler_awaiter this_scheduler() noexcept { return {}; }

}  // namespace kadoro::inline KADORO_ABI::coro
