#pragma once

#include <cassert>

#include "kadoro/coro/scope.hpp"

namespace kadoro::inline KADORO_ABI::coro {

KADORO_DECL scope::scope(scheduler& sched, cancel_token parent, std::size_t limit) noexcept
    : cancel_(parent), env_(sched, cancel_.token()), limit_(limit) {}

KADORO_DECL scope::~scope() {
  assert((size_ == 0 || abandoned_) && "a scope was destroyed with running children: join it, or call abandon()");
}

KADORO_DECL bool scope::spawn(task<void> work) {
  if (closed() || size_ >= limit_) return false;
  spawned& child = spawned::create(std::move(work), env_, &scope::on_done, this);
  children_.add(child);
  ++size_;
  child.post();
  return true;
}

KADORO_DECL void scope::request_cancel() noexcept {
  close();
  cancel_.request();
}

KADORO_DECL task<void> scope::drain() {
  abandoned_ = true;
  while (size_ > 0) {
    co_await drain_awaiter(*this);
  }
}

KADORO_DECL task<void> scope::join() {
  co_await drain();
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

KADORO_DECL void scope::on_done(void* owner, std::exception_ptr error) noexcept {
  scope& self = *static_cast<scope*>(owner);
  --self.size_;
  if (error && !self.error_) {
    self.error_ = std::move(error);
    self.request_cancel();
  }
  if (self.size_ > 0) return;
  while (self.joiners_.linked()) waiter::front(self.joiners_).complete();
}

}  // namespace kadoro::inline KADORO_ABI::coro
