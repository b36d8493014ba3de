#pragma once

#include <cassert>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "kadoro/coro/environment.hpp"
#include "kadoro/coro/frame_pool.hpp"
#include "kadoro/coro/outcome.hpp"

/// @file
/// `task<T>`: a coroutine that is called like a function, and may take its time.

namespace kadoro::inline KADORO_ABI::coro {

template <class T>
class task;

namespace detail {

/// Control transfer. The awaiting coroutine resumes the task inline, then looks at `done_`; the task, when it ends,
/// looks at `done_` too. Whoever comes second acts:
///
///     await_suspend:  child.resume(); suspended = !exchange(done_, true)
///     final_suspend:  if (exchange(done_, true)) continuation_.resume()
///
/// A task that completes at once therefore returns through the stack like a call, and a loop over such awaits runs in
/// constant stack in every build. Symmetric transfer would need a guaranteed tail call for that, which g++ gives
/// neither at -O0 nor under sanitizers. Used unconditionally: choosing by build mode would break the one-definition
/// rule.
class task_promise_base : public pooled_frame {
 public:
  class final_awaiter {
   public:
    final_awaiter() noexcept {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> h) const noexcept {
      task_promise_base& self = h.promise();
      // The continuation may destroy this frame: nothing here is touched after it.
      if (std::exchange(self.done_, true)) self.continuation_.resume();
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return final_awaiter(); }

  coro::environment const& environment() const noexcept { return *environment_; }

 protected:
  task_promise_base() noexcept = default;

 private:
  template <class T>
  friend class coro::task;

  coro::environment const* environment_ = nullptr;
  std::coroutine_handle<> continuation_;
  bool done_ = false;
};

template <class T>
class task_promise : public task_promise_base {
 public:
  task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept { outcome_.set_exception(std::current_exception()); }
  template <class U = T>
    requires std::constructible_from<T, U>
  void return_value(U&& value) {
    outcome_.set_value(std::forward<U>(value));
  }
  T take() { return outcome_.take(); }

 private:
  outcome<T> outcome_;
};

template <>
class task_promise<void> : public task_promise_base {
 public:
  inline task<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { outcome_.set_exception(std::current_exception()); }
  void return_void() noexcept { outcome_.set_value(); }
  void take() { outcome_.take(); }

 private:
  outcome<void> outcome_;
};

}  // namespace detail

/// A lazy coroutine: nothing runs before it is awaited; then it inherits the awaiter's environment, runs inline, and
/// the awaiter goes on with its value or its exception. Awaiting consumes the task. Destroying a task that was not
/// awaited, or an awaiter that is suspended, destroys the frame and everything below it.
///
/// `T` is an object type (it may be move-only) or void. Not thread-safe: a task belongs to the thread of its scheduler.
template <class T = void>
class [[nodiscard]] task {
  static_assert(std::is_void_v<T> || (std::is_object_v<T> && std::is_move_constructible_v<T>),
                "task<T>: T is void or a movable object type; return a pointer instead of a reference");

 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task() noexcept = default;
  task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    task(std::move(other)).swap(*this);
    return *this;
  }
  ~task() {
    if (frame_) frame_.destroy();
  }

  void swap(task& other) noexcept { std::swap(frame_, other.frame_); }

  /// False for a default-constructed, moved-from or awaited task.
  explicit operator bool() const noexcept { return frame_ != nullptr; }

  /// Runs the task in `env` instead of its awaiter's environment. `env` must outlive the task. Before awaiting.
  void set_environment(environment const& env) noexcept {
    assert(frame_);
    frame_.promise().environment_ = &env;
  }

  class awaiter {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
    awaiter(awaiter const&) = delete;
    awaiter& operator=(awaiter const&) = delete;
    ~awaiter() { frame_.destroy(); }

    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      detail::task_promise_base& child = frame_.promise();
      if (child.environment_ == nullptr) child.environment_ = &h.promise().environment();
      child.continuation_ = h;
      frame_.resume();
      return !std::exchange(child.done_, true);
    }
    T await_resume() { return frame_.promise().take(); }

   private:
    std::coroutine_handle<promise_type> frame_;
  };

  awaiter operator co_await() && noexcept {
    assert(frame_ && "awaiting a task that is empty or was awaited before");
    return awaiter(std::exchange(frame_, nullptr));
  }

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  std::coroutine_handle<promise_type> frame_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

task<void> task_promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

}  // namespace detail

}  // namespace kadoro::inline KADORO_ABI::coro
