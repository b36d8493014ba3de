#pragma once

#include <algorithm>

#include "kadoro/coro/impl/group.hpp"

namespace kadoro::inline KADORO_ABI::coro::detail {

KADORO_DECL task_group::task_group(environment const& outer, wanted what) noexcept
    : ready_node(&task_group::on_decide), what_(what), cancel_(outer.cancel()), env_(outer.sched(), cancel_.token()) {}

KADORO_DECL void task_group::completed(std::size_t index, std::exception_ptr error) noexcept {
  if (what_ == wanted::all) {
    if (error && !error_) {
      error_ = std::move(error);
      cancel_.request();
    }
  } else if (!decided_) {
    if (winner_ == none) env_.sched().post(*this);
    winner_ = std::min(winner_, index);
  }
  // The parent may destroy this group: last.
  if (--running_ == 0 && parent_) parent_.resume();
}

KADORO_DECL void task_group::on_decide(ready_node& node) {
  task_group& self = static_cast<task_group&>(node);
  self.decided_ = true;
  self.cancel_.request();
}

}  // namespace kadoro::inline KADORO_ABI::coro::detail
