#pragma once

#include <memory>
#include <optional>
#include <type_traits>

#include "kadoro/base/result.hpp"
#include "kadoro/io/uring/features.hpp"
#include "kadoro/io/uring/operation.hpp"
#include "kadoro/io/uring/receive_buffers.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

/// The two queues between a context and the kernel, and what is under way in them. Belongs to the thread that enters it
/// first (with deferred task runs the kernel insists on that).
class ring {
 public:
  /// Errors: as `features::probe`.
  KADORO_DECL static result<std::unique_ptr<ring>> open(options const& wanted);

  /// Cancels what is under way and waits until the kernel has let go of it. What is not disposed of by now stays its
  /// owner's, and hears no more.
  KADORO_DECL ~ring();
  ring(ring const&) = delete;
  ring& operator=(ring const&) = delete;

  features const& has() const noexcept { return features_; }
  ring_counters& counters() noexcept { return counters_; }
  ring_counters const& counters() const noexcept { return counters_; }
  /// Null without `features::multishot`.
  receive_buffers* buffers() noexcept { return buffers_.get(); }

  /// `what` must be idle. It goes to the kernel at the next `enter`.
  KADORO_DECL void start(operation& what) noexcept;

  /// Asks `what` to end, if it is under way. It completes in a later turn, with -ECANCELED unless it was faster.
  KADORO_DECL void cancel(operation& what) noexcept;

  /// Takes `what`: it is cancelled at once, so that its descriptor is free when the caller closes it, and destroyed
  /// after its last completion. Not from inside `operation::complete`.
  KADORO_DECL void dispose(std::unique_ptr<operation> what) noexcept;

  /// Operations under way, but for background and disposed ones.
  std::size_t busy() const noexcept { return busy_; }

  /// Something has completed, or would if the kernel were entered: no system call.
  KADORO_DECL bool ready() const noexcept;

  /// Hands what was started to the kernel, and waits until something completes or `limit` has passed (nothing: for
  /// ever). Throws `std::system_error` if the kernel refuses for good.
  KADORO_DECL void enter(std::optional<duration> limit);

  /// Gives the completions to their operations.
  KADORO_DECL void complete() noexcept;

 private:
  explicit ring(features found) noexcept : features_(std::move(found)) {}
  KADORO_DECL int begin() noexcept;
  KADORO_DECL io_uring_sqe* entry() noexcept;
  KADORO_DECL void hand_over() noexcept;
  KADORO_DECL void finish(operation& what, int result, std::uint32_t flags) noexcept;
  KADORO_DECL bool drain() noexcept;

  io_uring ring_{};
  features features_;
  ring_counters counters_;
  std::unique_ptr<receive_buffers> buffers_;
  coro::list_node queued_;
  coro::list_node cancelled_;
  coro::list_node to_cancel_;  // in flight
  coro::list_node in_flight_;
  std::size_t busy_ = 0;
  bool begun_ = false;
  bool completing_ = false;
};

/// Owns an operation and disposes of it on its ring, which must live longer.
class disposer {
 public:
  disposer() noexcept = default;
  explicit disposer(ring& on) noexcept : ring_(&on) {}
  void operator()(operation* what) const noexcept { ring_->dispose(std::unique_ptr<operation>(what)); }

 private:
  ring* ring_ = nullptr;
};

template <class Operation>
using operation_ptr = std::unique_ptr<Operation, disposer>;

template <class Operation, class... Arguments>
operation_ptr<Operation> make_operation(ring& on, Arguments&&... arguments) {
  return operation_ptr<Operation>(new Operation(std::forward<Arguments>(arguments)...), disposer(on));
}

}  // namespace kadoro::inline KADORO_ABI::io::uring

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/impl/ring.ipp"
#endif
