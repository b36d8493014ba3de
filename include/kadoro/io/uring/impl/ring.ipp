#pragma once

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <system_error>

#include "kadoro/io/uring/ring.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

namespace limits {

// A cancelled operation ends within microseconds; one that does not end within so many waits is given up, with its
// memory.
inline constexpr int drain_waits = 200;
inline constexpr duration drain_wait = std::chrono::milliseconds(10);

// The kernel does a share of its deferred work at a time; the end of what was disposed of may stand behind others.
inline constexpr int shares_of_work = 16;

}  // namespace limits

namespace detail {

/// The kernel asks for another try.
inline bool passes(int status) noexcept {
  return status >= 0 || status == -EINTR || status == -ETIME || status == -EAGAIN || status == -EBUSY;
}

}  // namespace detail

KADORO_DECL result<std::unique_ptr<ring>> ring::open(options const& wanted) {
  auto found = features::probe(wanted);
  if (!found) return fail(found.error());
  std::unique_ptr<ring> made(new ring(std::move(*found)));
  io_uring_params parameters{};
  // Disabled until its thread enters it: that need not be the one that makes it.
  parameters.flags = made->features_.setup_flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  parameters.cq_entries = std::max(wanted.completion_entries, wanted.entries);
  made->ring_.ring_fd = -1;
  int const status = open_queues(std::max(1u, wanted.entries), made->ring_, parameters);
  if (status != 0) {
    made->ring_.ring_fd = -1;
    return fail(ring_error("cannot make a ring", -status));
  }
  if (made->features_.multishot) {
    auto buffers = receive_buffers::open(made->ring_, wanted.receive_buffers);
    if (buffers) {
      made->buffers_ = std::move(*buffers);
    } else {
      made->features_.multishot = false;
      made->features_.why_no_multishot = buffers.error().message();
    }
  }
  return made;
}

KADORO_DECL ring::~ring() {
  if (ring_.ring_fd < 0) return;
  if (!drain() && buffers_ != nullptr) buffers_->leak();
  buffers_.reset();
  close_queues(ring_);
}

KADORO_DECL void ring::start(operation& what) noexcept {
  assert(what.state_ == operation::state::idle && !what.disposed_);
  what.state_ = operation::state::queued;
  what.ending_ = false;
  what.link_before(queued_);
  if (!what.background_) ++busy_;
}

KADORO_DECL void ring::cancel(operation& what) noexcept {
  if (what.state_ == operation::state::queued) {
    what.state_ = operation::state::cancelled;
    what.link_before(cancelled_);
  } else if (what.state_ == operation::state::in_flight && !what.ending_) {
    what.ending_ = true;
    what.link_before(to_cancel_);
  }
}

KADORO_DECL void ring::dispose(std::unique_ptr<operation> what) noexcept {
  assert(!completing_);
  if (what->state_ != operation::state::idle && !what->background_) --busy_;
  what->disposed_ = true;
  if (what->state_ != operation::state::in_flight) return;  // the kernel has never seen it: gone
  operation& parked = *what.release();
  cancel(parked);
  hand_over();
  for (int i = 0; i < limits::shares_of_work; ++i) {
    ::io_uring_submit_and_get_events(&ring_);
    if ((IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_TASKRUN) == 0) return;
  }
}

KADORO_DECL bool ring::ready() const noexcept {
  if (cancelled_.linked() || ::io_uring_cq_ready(&ring_) > 0) return true;
  return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/// The first time, on the thread that the ring belongs to from now on.
KADORO_DECL int ring::begin() noexcept {
  int const refused = enable_ring(ring_);
  if (refused != 0) return -refused;
  begun_ = true;
  ::io_uring_register_ring_fd(&ring_);  // saves a look-up at each call, where the kernel can
  return 0;
}

/// Room for one more submission; null if the kernel takes none now.
KADORO_DECL io_uring_sqe* ring::entry() noexcept {
  io_uring_sqe* free = ::io_uring_get_sqe(&ring_);
  if (free != nullptr) return free;
  ::io_uring_submit(&ring_);
  return ::io_uring_get_sqe(&ring_);
}

KADORO_DECL void ring::hand_over() noexcept {
  while (queued_.linked()) {
    io_uring_sqe* const free = entry();
    if (free == nullptr) return;
    auto& what = static_cast<operation&>(*queued_.next());
    what.state_ = operation::state::in_flight;
    what.link_before(in_flight_);
    what.prepare(*free);
    ::io_uring_sqe_set_data(free, &what);
  }
  while (to_cancel_.linked()) {
    io_uring_sqe* const free = entry();
    if (free == nullptr) return;
    auto& what = static_cast<operation&>(*to_cancel_.next());
    what.link_before(in_flight_);
    ::io_uring_prep_cancel(free, &what, 0);
    ::io_uring_sqe_set_data(free, nullptr);
  }
}

KADORO_DECL void ring::enter(std::optional<duration> limit) {
  int status = begun_ ? 0 : begin();
  if (status == 0) {
    hand_over();
    if (cancelled_.linked() || queued_.linked() || to_cancel_.linked()) limit = duration::zero();
    if (!limit) {
      status = ::io_uring_submit_and_wait(&ring_, 1);
    } else if (*limit > duration::zero()) {
      auto const whole = std::chrono::duration_cast<std::chrono::seconds>(*limit);
      __kernel_timespec timeout{whole.count(), (*limit - whole).count()};
      io_uring_cqe* first = nullptr;
      status = ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
    } else if (::io_uring_sq_ready(&ring_) > 0 || ready()) {
      status = ::io_uring_submit_and_get_events(&ring_);
    }
  }
  if (detail::passes(status)) return;
  bool const foreign = status == -EEXIST || status == -EBADFD || status == -EPERM;
  throw std::system_error(-status, std::generic_category(),
                          foreign ? "kadoro: io_uring does not let this thread in" : "kadoro: io_uring fails");
}

KADORO_DECL void ring::finish(operation& what, int result, std::uint32_t flags) noexcept {
  bool const last = (flags & IORING_CQE_F_MORE) == 0;
  bool const owned = what.disposed_;
  if (last) {
    what.unlink();
    what.state_ = operation::state::idle;
    if (!what.background_ && !owned) --busy_;
  }
  what.complete(result, flags);
  if (last && owned) delete &what;
}

KADORO_DECL void ring::complete() noexcept {
  completing_ = true;
  while (cancelled_.linked()) finish(static_cast<operation&>(*cancelled_.next()), -ECANCELED, 0);
  if (::io_uring_cq_has_overflow(&ring_)) ++counters_.completion_overflows;
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* one = nullptr;
  io_uring_for_each_cqe(&ring_, head, one) {
    ++seen;
    auto* const what = static_cast<operation*>(::io_uring_cqe_get_data(one));
    if (what != nullptr) finish(*what, one->res, one->flags);  // null: how a request to cancel went
  }
  ::io_uring_cq_advance(&ring_, seen);
  completing_ = false;
}

/// False if something is still in flight after a long time, or if this is the wrong thread: then the kernel may yet
/// write.
KADORO_DECL bool ring::drain() noexcept {
  while (queued_.linked()) {
    auto& what = static_cast<operation&>(*queued_.next());
    what.unlink();
    what.state_ = operation::state::idle;
  }
  for (int i = 0; i < limits::drain_waits && (in_flight_.linked() || to_cancel_.linked()); ++i) {
    for (coro::list_node* each = in_flight_.next(); each != &in_flight_;) {
      auto& what = static_cast<operation&>(*each);
      each = each->next();
      cancel(what);
    }
    try {
      enter(limits::drain_wait);
    } catch (std::system_error const&) {
      return false;
    }
    complete();
    while (queued_.linked()) {  // what restarted itself
      auto& what = static_cast<operation&>(*queued_.next());
      what.unlink();
      what.state_ = operation::state::idle;
    }
  }
  while (cancelled_.linked()) cancelled_.next()->unlink();
  return !in_flight_.linked() && !to_cancel_.linked();
}

}  // namespace kadoro::inline KADORO_ABI::io::uring
