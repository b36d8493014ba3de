#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include "kadoro/coro/spawned.hpp"
#include "kadoro/coro/waiter.hpp"

/// @file
/// `scope`: concurrent children that end before their parent goes on. There is no way to start a coroutine and forget
/// it.

namespace kadoro::inline KADORO_ABI::coro {

/// Owns running children. The first exception of a child asks its siblings to cancel and comes out of `join`.
///
/// Prefer `with_scope`, which joins also when the body throws. A scope that is a member of a longer-lived object is
/// joined by that object's close, or destroyed with it: destroying a scope destroys the frames of its unfinished
/// children (never from inside one of them). Because that is easily an accident, it is an assertion failure unless
/// `join` was begun or `abandon` was called.
class scope {
 public:
  static constexpr std::size_t default_limit = 65536;

  /// `parent`: whose cancellation reaches the children. `limit`: how many may be unfinished at a time.
  KADORO_DECL explicit scope(scheduler& sched, cancel_token parent = {}, std::size_t limit = default_limit) noexcept;
  scope(scope const&) = delete;
  scope& operator=(scope const&) = delete;
  KADORO_DECL ~scope();

  /// Starts `work` through the ready queue. False, and `work` is destroyed unstarted, if the scope is full, closed, or
  /// asked to cancel.
  KADORO_DECL bool spawn(task<void> work);

  /// No more children. Those that run go on.
  void close() noexcept { closed_ = true; }

  /// Asks every child to stop, and closes the scope. `join` afterwards to know that they have.
  KADORO_DECL void request_cancel() noexcept;

  /// Completes when no child is left; children that children spawn here in the meantime count. Throws the first
  /// exception of a child. Ignores the awaiter's cancellation: whoever wants to leave early asks the children.
  KADORO_DECL task<void> join();

  /// Says that destroying unfinished children is meant.
  void abandon() noexcept { abandoned_ = true; }

  /// Children that have not ended.
  std::size_t size() const noexcept { return size_; }
  bool closed() const noexcept { return closed_ || cancel_.requested(); }

  /// What the children run in: for work that should hear `request_cancel` without being a child.
  environment const& env() const noexcept { return env_; }

 private:
  KADORO_DECL static void on_done(void* owner, std::exception_ptr error) noexcept;

  template <class Body, class... Args>
  friend auto with_scope(Body body, Args... args) -> std::invoke_result_t<Body&, scope&, Args...>;

  /// Wakes when no child is left, whatever anybody asks.
  class drain_awaiter : public waiter {
   public:
    explicit drain_awaiter(scope& children) noexcept : children_(children) {}
    bool await_ready() const noexcept { return children_.size_ == 0; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> h) noexcept {
      begin_uncancellable(h);
      enqueue(children_.joiners_);
    }
    void await_resume() const noexcept {}

   private:
    scope& children_;
  };

  /// Waits for all, throws nothing.
  KADORO_DECL task<void> drain();

  cancel_source cancel_;
  environment env_;
  std::size_t limit_;
  std::size_t size_ = 0;
  list_node joiners_;
  std::exception_ptr error_;
  bool closed_ = false;
  bool abandoned_ = false;
  spawned_list children_;
};

/// Runs `body(scope, args...)`, a coroutine, with a scope of its own, and joins the children however the body ends. If
/// the body throws, the children are asked to cancel; if a child throws, its siblings and the body are. Gives what the
/// body gave; throws what the body threw, else the first exception of a child.
///
/// `body` and `args` live until all have ended. A lambda with captures must be named before it is moved in.
///
///     task<int> crawl(scope& s, std::vector<peer> peers);
///     int const n = co_await with_scope(crawl, std::move(peers));
template <class Body, class... Args>
auto with_scope(Body body, Args... args) -> std::invoke_result_t<Body&, scope&, Args...> {
  using T = typename std::invoke_result_t<Body&, scope&, Args...>::value_type;
  environment const outer = co_await this_environment();
  outcome<T> out;
  {
    scope children(outer.sched(), outer.cancel());
    children.abandon();  // if this frame is destroyed, so are the children
    task<T> work = std::invoke(body, children, std::move(args)...);
    work.set_environment(children.env());
    try {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(work);
        out.set_value();
      } else {
        T value = co_await std::move(work);
        out.set_value(std::move(value));
      }
    } catch (...) {
      out.set_exception(std::current_exception());
      children.request_cancel();
    }
    co_await children.drain();
    if (!out.failed() && children.error_) std::rethrow_exception(children.error_);
  }
  co_return out.take();
}

}  // namespace kadoro::inline KADORO_ABI::coro

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/coro/impl/scope.ipp"
#endif
