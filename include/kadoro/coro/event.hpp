#pragma once

#include "kadoro/coro/waiter.hpp"

/// @file
/// `event`: something has happened, and stays so until it is reset.

namespace kadoro::inline KADORO_ABI::coro {

/// A manual-reset event with any number of waiters. Needs no scheduler of its own: each waiter brings the one of its
/// coroutine. Must outlive those who wait, unless their frames are destroyed.
class event {
 public:
  event() noexcept = default;
  event(event const&) = delete;
  event& operator=(event const&) = delete;

  bool is_set() const noexcept { return set_; }
  void reset() noexcept { set_ = false; }

  /// Wakes all that wait, in the order in which they came; they run in a later step of the loop, even if the event is
  /// reset before that.
  void set() noexcept {
    set_ = true;
    while (waiters_.linked()) waiter::front(waiters_).complete();
  }

  class wait_awaiter : public waiter {
   public:
    explicit wait_awaiter(event& source) noexcept : source_(source) {}
    bool await_ready() const noexcept { return source_.set_; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      if (!begin(h)) return false;
      enqueue(source_.waiters_);
      return true;
    }
    result<void> await_resume() const { return status(); }

   private:
    event& source_;
  };

  /// Completes when the event is set; at once if it is set already. Errors: `cancelled`.
  wait_awaiter wait() noexcept { return wait_awaiter(*this); }

 private:
  list_node waiters_;
  bool set_ = false;
};

}  // namespace kadoro::inline KADORO_ABI::coro
