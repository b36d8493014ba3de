#pragma once

#include "kadoro/io/inbox.hpp"

namespace kadoro::inline KADORO_ABI::io {

KADORO_DECL result<void> inbox::post(std::unique_ptr<work>& what) {
  std::lock_guard const lock(mutex_);
  if (closed_) return fail(errc::closed);
  if (queue_.size() == max_waiting) return fail(errc::queue_full);
  queue_.push_back(std::move(what));
  waiting_.store(true, std::memory_order_relaxed);
  if (!woken_) woken_ = wake_();
  return {};
}

// What was posted runs, and goes, while nothing is locked: it may post again.

KADORO_DECL void inbox::run() {
  std::vector<std::unique_ptr<work>> batch;
  {
    std::lock_guard const lock(mutex_);
    batch.swap(queue_);
    waiting_.store(false, std::memory_order_relaxed);
    woken_ = false;
  }
  for (std::unique_ptr<work>& each : batch) {
    each->run();
    each.reset();
  }
}

KADORO_DECL void inbox::close() {
  std::vector<std::unique_ptr<work>> dropped;
  std::lock_guard const lock(mutex_);
  closed_ = true;
  waiting_.store(false, std::memory_order_relaxed);
  dropped.swap(queue_);
}

}  // namespace kadoro::inline KADORO_ABI::io
