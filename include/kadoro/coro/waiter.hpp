#pragma once

#include <coroutine>

#include "kadoro/base/result.hpp"
#include "kadoro/coro/environment.hpp"

/// @file
/// The common part of every primitive that suspends, here and on higher floors (sockets, signals, pending requests).

namespace kadoro::inline KADORO_ABI::coro {

/// A suspended coroutine that somebody will wake, once. The rules of the house are kept here: it wakes through the
/// ready queue; it hears a cancellation request; whichever of completion and cancellation comes first decides, the
/// other is ignored; and a frame that dies while it waits leaves every list.
///
/// An awaiter derives from it, calls `begin` in `await_suspend`, and reads `status` in `await_resume`:
///
///     template <class Promise>
///     bool await_suspend(std::coroutine_handle<Promise> h) {
///       if (!begin(h)) return false;         // already cancelled: status() says so
///       enqueue(source.waiters_);            // where the other side finds it
///       return true;
///     }
///     result<void> await_resume() { return status(); }
///
/// The other side calls `complete` on `waiter::front(source.waiters_)`.
class waiter : private ready_node, private cancel_hook {
 public:
  waiter(waiter const&) = delete;
  waiter& operator=(waiter const&) = delete;

  /// Wakes the coroutine with success in a later step. No effect if it was woken or cancelled before.
  void complete() noexcept { finish(errc{}); }
  /// Wakes it with an error.
  void complete(errc why) noexcept { finish(why); }

  bool waiting() const noexcept { return waiting_; }

  /// The first in a list of waiters; the list must not be empty.
  static waiter& front(list_node const& list) noexcept {
    return static_cast<waiter&>(static_cast<ready_node&>(*list.next()));
  }

 protected:
  waiter() noexcept : ready_node(&waiter::on_ready), cancel_hook(&waiter::on_cancel) {}
  ~waiter() = default;

  /// False if cancellation was requested before: then the coroutine must not suspend.
  template <class Promise>
  bool begin(std::coroutine_handle<Promise> h) noexcept {
    if (!h.promise().environment().cancel().attach(*this)) {
      error_ = errc::cancelled;
      return false;
    }
    begin_uncancellable(h);
    return true;
  }

  /// For the few waits that a request must not cut short, such as joining children.
  template <class Promise>
  void begin_uncancellable(std::coroutine_handle<Promise> h) noexcept {
    sched_ = &h.promise().environment().sched();
    frame_ = h;
    waiting_ = true;
  }

  /// Ends the wait with an error before it has begun.
  void reject(errc why) noexcept { error_ = why; }

  /// Waits at the end of `list`. The waiter leaves it when it is woken.
  void enqueue(list_node& list) noexcept { ready_node::link_before(list); }

  scheduler& sched() const noexcept { return *sched_; }

  /// How the wait ended.
  result<void> status() const {
    if (error_ == errc{}) return {};
    return fail(error_);
  }

 private:
  void finish(errc why) noexcept {
    if (!waiting_) return;
    waiting_ = false;
    error_ = why;
    ready_node::unlink();
    cancel_hook::unlink();
    sched_->post(*this);
  }

  static void on_ready(ready_node& self) { static_cast<waiter&>(self).frame_.resume(); }
  static void on_cancel(cancel_hook& self) noexcept { static_cast<waiter&>(self).finish(errc::cancelled); }

  std::coroutine_handle<> frame_;
  scheduler* sched_ = nullptr;
  errc error_{};
  bool waiting_ = false;
};

}  // namespace kadoro::inline KADORO_ABI::coro
