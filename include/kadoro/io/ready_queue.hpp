#pragma once

#include "kadoro/coro/scheduler.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// The ready queue of a loop: first in, first out, in passes. What is posted during a pass runs in the next one, so a
/// coroutine that keeps posting itself cannot hold up the sockets.
class ready_queue {
 public:
  bool empty() const noexcept { return !nodes_.linked(); }

  /// No effect if `node` is already posted.
  void push(coro::ready_node& node) noexcept {
    if (!node.linked()) node.link_before(nodes_);
  }

  /// Runs what is in the queue now. A node may post, unlink or destroy any other meanwhile.
  void run_pass() {
    pass const this_one(*this);
    while (nodes_.next() != &end_) {
      auto& node = static_cast<coro::ready_node&>(*nodes_.next());
      node.unlink();
      node.run();
    }
  }

  /// Forgets everything without running it.
  void clear() noexcept {
    while (nodes_.linked()) nodes_.next()->unlink();
  }

  ready_queue() noexcept = default;
  ready_queue(ready_queue const&) = delete;
  ready_queue& operator=(ready_queue const&) = delete;
  ~ready_queue() { clear(); }

 private:
  /// Marks the end of a pass in the queue itself. The mark leaves with the pass, also by an exception.
  class pass {
   public:
    explicit pass(ready_queue& of) noexcept : queue_(of) { queue_.end_.link_before(queue_.nodes_); }
    pass(pass const&) = delete;
    pass& operator=(pass const&) = delete;
    ~pass() { queue_.end_.unlink(); }

   private:
    ready_queue& queue_;
  };

  coro::list_node nodes_;
  coro::list_node end_;
};

}  // namespace kadoro::inline KADORO_ABI::io
