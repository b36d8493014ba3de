#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

#include "kadoro/io/uring/features.hpp"
#include "kadoro/io/uring/receive_buffers.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

KADORO_DECL error ring_error(char const* what, int cause) {
  std::string text = std::string("io_uring: ") + what + ": " + std::generic_category().message(cause);
  if (cause == ENOSYS) text += ": this kernel has no io_uring, or a seccomp filter hides it";
  if (cause == EPERM || cause == EACCES)
    text += ": forbidden, by a seccomp filter (container runtimes have one) or by kernel.io_uring_disabled";
  if (cause == ENOMEM) text += ": no memory for its queues; on kernels before 5.12 the limit on locked memory counts";
  return error(errc::io_failure, text);
}

namespace detail {

// The system may give the memory of a ring that has ended to one that another thread makes, and only the kernel knows
// that the one came after the other: liburing maps without the C library, so the thread sanitizer takes what the two
// wrote for a race. Counting the ends tells it.
inline std::atomic<unsigned> queues_closed{0};

}  // namespace detail

KADORO_DECL int open_queues(unsigned entries, io_uring& which, io_uring_params& wanted) noexcept {
  int const status = ::io_uring_queue_init_params(entries, &which, &wanted);
  static_cast<void>(detail::queues_closed.load(std::memory_order_acquire));
  return status;
}

KADORO_DECL void close_queues(io_uring& which) noexcept {
  detail::queues_closed.fetch_add(1, std::memory_order_release);
  ::io_uring_queue_exit(&which);
}

KADORO_DECL int enable_ring(io_uring& which) noexcept {
  // Not io_uring_enable_rings: liburing 2.3 declares it, but its library does not have it.
  long const status = ::syscall(__NR_io_uring_register, which.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  return status == 0 ? 0 : errno;
}

namespace detail {

/// A ring for the time of a probe.
class small_ring {
 public:
  explicit small_ring(unsigned flags) noexcept {
    parameters_.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
    status_ = open_queues(8, ring_, parameters_);
  }
  small_ring(small_ring const&) = delete;
  small_ring& operator=(small_ring const&) = delete;
  ~small_ring() {
    if (status_ == 0) close_queues(ring_);
  }
  int status() const noexcept { return status_; }
  bool has(unsigned feature) const noexcept { return (parameters_.features & feature) == feature; }
  io_uring& get() noexcept { return ring_; }

 private:
  io_uring ring_{};
  io_uring_params parameters_{};
  int status_;
};

/// Two sockets that nobody else can reach.
class socket_pair {
 public:
  socket_pair() noexcept {
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, both_) != 0) both_[0] = both_[1] = -1;
  }
  socket_pair(socket_pair const&) = delete;
  socket_pair& operator=(socket_pair const&) = delete;
  ~socket_pair() {
    if (both_[0] < 0) return;
    ::close(both_[0]);
    ::close(both_[1]);
  }
  int operator[](int i) const noexcept { return both_[i]; }

 private:
  int both_[2];
};

/// Receives one datagram by a receive of several shots. 0, or the error number of the step that the kernel refused.
inline int try_multishot(io_uring& ring) {
  auto const buffers = receive_buffers::open(ring, 2);
  if (!buffers) return buffers.error().code().value();
  socket_pair const sockets;
  if (sockets[0] < 0 || ::send(sockets[1], "x", 1, 0) != 1) return errno;
  msghdr header = receive_buffers::header();
  io_uring_sqe* const entry = ::io_uring_get_sqe(&ring);
  ::io_uring_prep_recvmsg_multishot(entry, sockets[0], &header, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = receive_buffers::group;
  __kernel_timespec limit{1, 0};
  io_uring_cqe* end = nullptr;
  int const failed = ::io_uring_submit_and_wait_timeout(&ring, &end, 1, &limit, nullptr);
  if (end == nullptr) return failed < 0 ? -failed : ETIME;
  int const result = end->res;
  bool const more = (end->flags & IORING_CQE_F_MORE) != 0;
  ::io_uring_cqe_seen(&ring, end);
  if (result < 0) return -result;
  if (!more) return EINVAL;
  // The kernel must let go of the buffers before they go.
  ::io_uring_prep_cancel64(::io_uring_get_sqe(&ring), 0, IORING_ASYNC_CANCEL_ANY);
  for (int i = 0; i < 2; ++i) {
    if (::io_uring_submit_and_wait_timeout(&ring, &end, 1, &limit, nullptr) < 0 && end == nullptr) return ETIME;
    if (end != nullptr) ::io_uring_cqe_seen(&ring, end);
  }
  return 0;
}

}  // namespace detail

KADORO_DECL result<features> features::probe(options const& wanted) {
  static constexpr unsigned deferred =
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
  static constexpr unsigned cooperative =
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
  static constexpr unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS;
  int failed = -EINVAL;
  for (unsigned const flags : {deferred, cooperative, 0u}) {
    if (flags == deferred && !wanted.defer_taskrun) continue;
    detail::small_ring ring(flags);
    failed = ring.status();
    if (failed == -EINVAL) continue;  // this kernel is older than these flags
    if (failed != 0) break;
    if (!ring.has(needed)) return fail(errc::io_failure, "io_uring: this kernel is too old, it needs 5.13 or newer");
    features found;
    found.setup_flags = flags;
    found.defer_taskrun = flags == deferred;
    if (!found.defer_taskrun)
      found.why_no_defer_taskrun = wanted.defer_taskrun ? "this kernel does not know it" : "not wanted";
    found.coop_taskrun = flags == cooperative;
    found.joins = posix::udp_joining::probe();
    // Whether it can be used at all: a filter may let rings be made, but not be used.
    int const disabled = enable_ring(ring.get());
    if (disabled != 0) return fail(ring_error("cannot enable a ring", disabled));
    ::io_uring_prep_nop(::io_uring_get_sqe(&ring.get()));
    int const entered = ::io_uring_submit_and_wait(&ring.get(), 1);
    if (entered < 0) return fail(ring_error("cannot enter a ring", -entered));
    io_uring_cqe* nothing = nullptr;
    if (::io_uring_peek_cqe(&ring.get(), &nothing) == 0) ::io_uring_cqe_seen(&ring.get(), nothing);
    int const refused = wanted.multishot ? detail::try_multishot(ring.get()) : 0;
    found.multishot = wanted.multishot && refused == 0;
    if (!found.multishot)
      found.why_no_multishot = wanted.multishot ? std::generic_category().message(refused) : "not wanted";
    return found;
  }
  return fail(ring_error("cannot make a ring", -failed));
}

KADORO_DECL std::string features::text() const {
  std::string out = "io_uring: ";
  out += multishot ? "multishot recvmsg, buffer ring"
                   : "poll and recvmmsg (multishot recvmsg into a buffer ring: " + why_no_multishot + ")";
  if (defer_taskrun)
    out += ", defer taskrun";
  else
    out += (coop_taskrun ? ", cooperative" : ", plain") + (" taskrun (deferred: " + why_no_defer_taskrun) + ")";
  return out + ", " + joins.text();
}

}  // namespace kadoro::inline KADORO_ABI::io::uring
