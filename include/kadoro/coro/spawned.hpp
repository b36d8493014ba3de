#pragma once

#include <coroutine>
#include <exception>
#include <utility>

#include "kadoro/coro/environment.hpp"
#include "kadoro/coro/outcome.hpp"
#include "kadoro/coro/task.hpp"

/// @file
/// The root of a chain of awaits: how code that is not a coroutine starts a task and stays its owner. For those who
/// write schedulers and combinators; programs use `io::context::run`, `io::context::spawn` and `scope`.

namespace kadoro::inline KADORO_ABI::coro {

class spawned_list;

namespace detail {

/// Link in the owner's list (the ready queue has its own).
class owned_link : public list_node {};

class root_promise;
struct root_setup;

}  // namespace detail

/// One running root. It destroys its own frame when the task has ended; until then its owner may `destroy` it.
///
/// How a context spawns:
///
///     spawned& root = spawned::create(std::move(work), environment(*this), &on_done, this);
///     roots_.add(root);   // spawned_list roots_; destroys what is unfinished when the context dies
///     root.post();        // first step through the ready queue, never inline
///
///     static void on_done(void*, std::exception_ptr error) noexcept {
///       if (error) std::rethrow_exception(error);   // out of noexcept: ends the program, as documented
///     }
///
/// How a context runs a `task<T>` to its end:
///
///     outcome<T> out;
///     bool done = false;
///     spawned_list roots;   // destroys the task if run_until throws
///     spawned& root = spawned::create(std::move(work), out, environment(*this), &set_flag, &done);
///     roots.add(root);
///     root.post();
///     run_until(done);      // set_flag: *static_cast<bool*>(owner) = true;
///     return out.take();    // the value, or throws what the task threw
class spawned : private detail::owned_link, private ready_node {
 public:
  /// Called once when the task has ended, after its frame (arguments included) is gone; not called by `destroy`.
  /// `error` is what the task threw, or null. The function may resume coroutines and may destroy the owner.
  using done_function = void (*)(void* owner, std::exception_ptr error) noexcept;

  /// Makes a root that awaits `work` in `env`. It does not run yet. An exception goes to `done`.
  KADORO_DECL static spawned& create(task<void> work, coro::environment const& env, done_function done, void* owner);

  /// The same for any `T`: the value or the exception goes to `into`, which must outlive the root; `error` stays null.
  template <class T>
  static spawned& create(task<T> work, outcome<T>& into, coro::environment const& env, done_function done, void* owner);

  spawned(spawned const&) = delete;
  spawned& operator=(spawned const&) = delete;

  /// First resumption through the ready queue. Once.
  void post() noexcept { environment_.sched().post(*this); }

  /// First resumption now: for combinators, where starting a child is a call. The root may be gone when it returns.
  void run() { frame_.resume(); }

  /// Destroys the frame of an unfinished root, and with it every frame below. Not from inside the root itself.
  void destroy() noexcept { frame_.destroy(); }

  coro::environment const& environment() const noexcept { return environment_; }

 private:
  friend class detail::root_promise;
  friend class spawned_list;

  spawned(std::coroutine_handle<> frame, detail::root_setup const& setup) noexcept;
  ~spawned() = default;

  static void on_ready(ready_node& self) { static_cast<spawned&>(self).run(); }

  std::coroutine_handle<> frame_;
  coro::environment environment_;
  done_function done_;
  void* owner_;
};

/// Roots that belong to one owner. A root leaves the list when it ends; what is left when the list dies is destroyed,
/// newest first.
class spawned_list {
 public:
  spawned_list() noexcept = default;
  ~spawned_list() { destroy_all(); }

  void add(spawned& root) noexcept { static_cast<detail::owned_link&>(root).link_before(roots_); }
  bool empty() const noexcept { return !roots_.linked(); }

  KADORO_DECL void destroy_all() noexcept;

 private:
  list_node roots_;
};

namespace detail {

/// What a root needs beside its task; handed to the promise's constructor as the coroutine's first argument.
struct root_setup {
  environment const& env;
  spawned::done_function done;
  void* owner;
};

struct root {
  using promise_type = root_promise;
  spawned& promise;
};

class root_promise : public pooled_frame, public spawned {
 public:
  class final_awaiter {
   public:
    final_awaiter() noexcept {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<root_promise> h) const noexcept {
      spawned::done_function const done = h.promise().done_;
      void* const owner = h.promise().owner_;
      std::exception_ptr error = std::move(h.promise().error_);
      h.destroy();  // first the frame: arguments of the task are gone before anybody hears that it has ended
      done(owner, std::move(error));
    }
    void await_resume() const noexcept {}
  };

  template <class... Rest>
  explicit root_promise(root_setup const& setup, Rest const&...) noexcept
      : spawned(std::coroutine_handle<root_promise>::from_promise(*this), setup) {}

  root get_return_object() noexcept { return root{*this}; }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return final_awaiter(); }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { error_ = std::current_exception(); }

 private:
  std::exception_ptr error_;
};

template <class T>
root await_into(root_setup const&, task<T> work, outcome<T>& into) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(work);
      into.set_value();
    } else {
      T value = co_await std::move(work);
      into.set_value(std::move(value));
    }
  } catch (...) {
    into.set_exception(std::current_exception());
  }
}

}  // namespace detail

inline spawned::spawned(std::coroutine_handle<> frame, detail::root_setup const& setup) noexcept
    : ready_node(&spawned::on_ready), frame_(frame), environment_(setup.env), done_(setup.done), owner_(setup.owner) {}

template <class T>
spawned& spawned::create(task<T> work, outcome<T>& into, coro::environment const& env, done_function done,
                         void* owner) {
  detail::root_setup const setup{env, done, owner};
  return detail::await_into(setup, std::move(work), into).promise;
}

}  // namespace kadoro::inline KADORO_ABI::coro

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/coro/impl/spawned.ipp"
#endif
