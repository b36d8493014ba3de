#pragma once

#include <liburing.h>

#include "kadoro/coro/scheduler.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

class ring;

/// One thing that the kernel is asked to do. Derive from it, `ring::start` it, and hear of the end in `complete`.
///
///     idle --start--> queued --next turn--> in flight --last completion--> idle
///                       |                      |
///                       +--cancel--> cancelled +--cancel--> in flight, asked to end
///                                       |
///                                  next turn: idle, -ECANCELED
///
/// It completes exactly once for every start (one of several shots completes for each, and once more at the end).
/// `cancel` asks, and never completes inline: what was done before it was heard is still done. While it is in flight
/// the kernel has its address, and whatever buffers `prepare` named; so it must not be destroyed: `ring::dispose` takes
/// it, and destroys it when the kernel has let go.
class operation : public coro::list_node {
 public:
  operation() noexcept = default;
  virtual ~operation() = default;

  bool idle() const noexcept { return state_ == state::idle; }
  bool disposed() const noexcept { return disposed_; }
  /// One that is always under way, so that it is no reason to wait for anything.
  void set_background() noexcept { background_ = true; }

 protected:
  /// Describes it for the kernel. Called once for every start, on the way to the kernel.
  virtual void prepare(io_uring_sqe& entry) noexcept = 0;

  /// What became of it: a number that is not negative, or minus an error number. More will come if `flags` has
  /// IORING_CQE_F_MORE. Runs between the kernel and the loop: it notes, posts and starts, and calls nobody who might do
  /// more. A disposed one hears of its completions too: it may have buffers to give back.
  virtual void complete(int result, std::uint32_t flags) noexcept = 0;

 private:
  friend class ring;
  enum class state { idle, queued, cancelled, in_flight };

  state state_ = state::idle;
  bool ending_ = false;  // the kernel was asked to cancel it
  bool disposed_ = false;
  bool background_ = false;
};

}  // namespace kadoro::inline KADORO_ABI::io::uring
