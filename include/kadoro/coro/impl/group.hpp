#pragma once

#include <cstddef>
#include <exception>
#include <utility>

#include "kadoro/coro/spawned.hpp"

/// @file
/// What `when_all` and `race` have in common: a fixed set of children, started by a call, all waited for.

namespace kadoro::inline KADORO_ABI::coro::detail {

class task_group;

/// Where one child's outcome goes, and which child it was.
template <class T>
struct slot {
  slot() noexcept = default;
  slot(slot const&) = delete;
  slot& operator=(slot const&) = delete;

  task_group* group = nullptr;
  std::size_t index = 0;
  outcome<T> out;
};

/// Children that run concurrently in one environment with one cancel source of their own.
///
/// All wanted: the first exception asks the others to cancel. First wanted: the first completion posts a decision to
/// the ready queue; all that complete before the decision runs are simultaneous, and the lowest index wins; the
/// decision asks the others to cancel. Either way the group ends when the last child has.
class task_group : private ready_node {
 public:
  enum class wanted { all, first };

  KADORO_DECL task_group(environment const& outer, wanted what) noexcept;

  /// Starts the next child, inline. Its frame belongs to the group.
  template <class T>
  void start(task<T> work, slot<T>& to) {
    to.group = this;
    to.index = started_;
    spawned& child = spawned::create(std::move(work), to.out, env_, &task_group::on_done<T>, &to);
    children_.add(child);
    ++started_;
    ++running_;
    child.run();
  }

  /// True once a child has completed: in a race, starting more would be for nothing.
  bool has_winner() const noexcept { return winner_ != none; }
  std::size_t winner() const noexcept { return winner_; }

  /// Null unless a child threw: the first exception.
  std::exception_ptr const& error() const noexcept { return error_; }

  /// Resumes when the last child has ended. Not cancellable: cancellation reaches the children.
  class ended_awaiter {
   public:
    explicit ended_awaiter(task_group& group) noexcept : group_(group) {}
    bool await_ready() const noexcept { return group_.running_ == 0; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { group_.parent_ = h; }
    void await_resume() const noexcept { group_.decided_ = true; }

   private:
    task_group& group_;
  };
  ended_awaiter ended() noexcept { return ended_awaiter(*this); }

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  template <class T>
  static void on_done(void* owner, std::exception_ptr) noexcept {
    slot<T>& from = *static_cast<slot<T>*>(owner);
    from.group->completed(from.index, from.out.exception());
  }
  KADORO_DECL void completed(std::size_t index, std::exception_ptr error) noexcept;
  KADORO_DECL static void on_decide(ready_node& node);

  wanted what_;
  cancel_source cancel_;
  environment env_;
  std::size_t started_ = 0;
  std::size_t running_ = 0;
  std::size_t winner_ = none;
  bool decided_ = false;
  std::exception_ptr error_;
  std::coroutine_handle<> parent_;
  spawned_list children_;
};

}  // namespace kadoro::inline KADORO_ABI::coro::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/coro/impl/group.ipp"
#endif
