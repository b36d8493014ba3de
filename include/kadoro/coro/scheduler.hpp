#pragma once

#include <cstdint>

#include "kadoro/base/time.hpp"

/// @file
/// What coroutines need of the world: a clock, a ready queue, and timers. `io::context` is the scheduler that programs
/// use; nothing on this floor knows sockets.

namespace kadoro::inline KADORO_ABI::coro {

/// A link of a circular doubly linked list. A node leaves its list when it is destroyed, so a frame that dies while it
/// waits leaves nothing behind. Not copyable, not movable: its address is its identity.
class list_node {
 public:
  list_node() noexcept = default;
  list_node(list_node const&) = delete;
  list_node& operator=(list_node const&) = delete;
  ~list_node() { unlink(); }

  bool linked() const noexcept { return next_ != this; }
  list_node* next() const noexcept { return next_; }
  list_node* previous() const noexcept { return previous_; }

  void link_before(list_node& other) noexcept {
    unlink();
    previous_ = other.previous_;
    next_ = &other;
    previous_->next_ = this;
    other.previous_ = this;
  }

  void unlink() noexcept {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = this;
  }

 private:
  list_node* previous_ = this;
  list_node* next_ = this;
};

/// Work for the next pass of a scheduler: `run` is called once for every time the node was posted.
class ready_node : public list_node {
 public:
  using function = void (*)(ready_node&);
  explicit ready_node(function call) noexcept : run_(call) {}
  void run() { run_(*this); }

 private:
  function run_;
};

class scheduler;

/// One timer. Armed at most once at a time; disarms itself when it is destroyed.
class timer_node : public list_node {
 public:
  using function = void (*)(timer_node&);
  explicit timer_node(function call) noexcept : fire_(call) {}
  inline ~timer_node();

  bool armed() const noexcept { return owner_ != nullptr; }
  time_point due() const noexcept { return due_; }
  void fire() { fire_(*this); }

  /// For schedulers: who holds the node, until when, and in which order equal instants fire.
  void set(scheduler* owner, time_point due, std::uint64_t order) noexcept {
    owner_ = owner;
    due_ = due;
    order_ = order;
  }
  std::uint64_t order() const noexcept { return order_; }
  scheduler const* owner() const noexcept { return owner_; }

 private:
  function fire_;
  scheduler* owner_ = nullptr;
  time_point due_{};
  std::uint64_t order_ = 0;
};

/// A clock, a ready queue and timers, all of one thread.
class scheduler {
 public:
  /// The time of this loop turn: read once per turn, so that it costs nothing and does not move within a step.
  virtual time_point now() const noexcept = 0;

  /// Runs `node` in a later step of the loop, in the order of posting; never inline. No effect if already posted.
  virtual void post(ready_node& node) noexcept = 0;

  /// Fires `node` at the first turn at or after `due`, never inline; re-arming moves it. Nodes due at the same instant
  /// fire in the order in which they were armed.
  virtual void arm(timer_node& node, time_point due) noexcept = 0;

  /// No effect if `node` is not armed.
  virtual void disarm(timer_node& node) noexcept = 0;

 protected:
  ~scheduler() = default;
};

inline timer_node::~timer_node() {
  if (owner_ != nullptr) owner_->disarm(*this);
}

}  // namespace kadoro::inline KADORO_ABI::coro
