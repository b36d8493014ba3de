#pragma once

#include <doctest/doctest.h>

#include <set>
#include <utility>

#include "kadoro/coro.hpp"

/// @file
/// The smallest scheduler there is, with a clock that the test moves, and what the tests of this floor share.

namespace coro_test {

using namespace kadoro;
using namespace kadoro::coro;

class manual_scheduler final : public scheduler {
 public:
  time_point now() const noexcept override { return now_; }

  void post(ready_node& node) noexcept override {
    if (node.linked()) return;
    node.link_before(ready_);
    ++posts_;
  }

  void arm(timer_node& node, time_point due) noexcept override {
    disarm(node);
    node.set(this, due, ++order_);
    timers_.insert(&node);
  }

  void disarm(timer_node& node) noexcept override {
    if (!node.armed()) return;
    timers_.erase(&node);
    node.set(nullptr, node.due(), node.order());
  }

  /// Runs until nothing is ready. Time stands still.
  void run_ready() {
    while (ready_.linked()) {
      ready_node& node = static_cast<ready_node&>(*ready_.next());
      node.unlink();
      node.run();
    }
  }

  /// Fires what is due `length` from now and runs all that follows.
  void advance(duration length) {
    run_ready();
    time_point const target = now_ + length;
    while (!timers_.empty() && (*timers_.begin())->due() <= target) fire_next();
    now_ = target;
  }

  /// Lets time pass until nothing is ready and nothing is armed.
  void run_until_idle() {
    run_ready();
    while (!timers_.empty()) fire_next();
  }

  std::uint64_t posts() const noexcept { return posts_; }
  std::size_t armed() const noexcept { return timers_.size(); }
  bool idle() const noexcept { return !ready_.linked() && timers_.empty(); }

 private:
  struct earlier {
    bool operator()(timer_node const* a, timer_node const* b) const noexcept {
      return a->due() != b->due() ? a->due() < b->due() : a->order() < b->order();
    }
  };

  /// All timers of one instant fire before what they woke runs, as in a real turn of a loop.
  void fire_next() {
    time_point const due = (*timers_.begin())->due();
    if (due > now_) now_ = due;
    while (!timers_.empty() && (*timers_.begin())->due() == due) {
      timer_node& node = **timers_.begin();
      disarm(node);
      node.fire();
    }
    run_ready();
  }

  list_node ready_;
  std::set<timer_node*, earlier> timers_;
  time_point now_{};
  std::uint64_t order_ = 0;
  std::uint64_t posts_ = 0;
};

/// A task that was started and can be looked at while it runs.
template <class T>
class running {
 public:
  running(scheduler& sched, task<T> work, cancel_token cancel = {}) {
    environment const env(sched, cancel);
    spawned& root = spawned::create(std::move(work), out_, env, &running::on_done, &done_);
    roots_.add(root);
    root.post();
  }

  bool done() const noexcept { return done_; }
  T take() {
    REQUIRE(done_);
    return out_.take();
  }
  /// Destroys the frame if it has not ended.
  void destroy() noexcept { roots_.destroy_all(); }

 private:
  static void on_done(void* done, std::exception_ptr) noexcept { *static_cast<bool*>(done) = true; }

  bool done_ = false;
  outcome<T> out_;
  spawned_list roots_;
};

/// Runs `work` to its end on a scheduler of its own; nothing may be left behind.
template <class T>
T run(task<T> work) {
  manual_scheduler sched;
  running<T> root(sched, std::move(work));
  sched.run_until_idle();
  REQUIRE(root.done());
  REQUIRE(sched.idle());
  return root.take();
}

/// Counts objects alive, to see that frames are destroyed, once.
class tracked {
 public:
  explicit tracked(int& alive) noexcept : alive_(&alive) { ++alive; }
  tracked(tracked const& other) noexcept : alive_(other.alive_) { ++*alive_; }
  tracked& operator=(tracked const&) = delete;
  ~tracked() { --*alive_; }

 private:
  int* alive_;
};

using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace coro_test
