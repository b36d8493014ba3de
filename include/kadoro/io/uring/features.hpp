#pragma once

#include <liburing.h>

#include <string>

#include "kadoro/base/result.hpp"
#include "kadoro/io/posix/udp_joining.hpp"
#include "kadoro/io/uring/options.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

/// What this kernel lets this process have of io_uring, found out by trying each once.
struct features {
  unsigned setup_flags = 0;    ///< the best set of IORING_SETUP flags that it took
  bool defer_taskrun = false;  ///< kernel 6.1: completions are made when the loop asks for them
  std::string why_no_defer_taskrun;
  bool coop_taskrun = false;  ///< kernel 5.19: no interrupts for completions
  bool multishot = false;     ///< kernel 6.0: one submission receives datagram after datagram into a buffer ring
  std::string why_no_multishot;
  posix::udp_joining joins;

  /// `io_uring: multishot recvmsg, buffer ring, defer taskrun, UDP_SEGMENT, UDP_GRO`, and why not where something is
  /// missing.
  KADORO_DECL std::string text() const;

  /// Makes a small ring and uses it. Errors: `io_failure`, with the cause in words: no io_uring in this kernel,
  /// forbidden (a seccomp filter, as container runtimes have it, or kernel.io_uring_disabled), no memory.
  KADORO_DECL static result<features> probe(options const& wanted);
};

/// Makes a ring: 0, or a negative error number.
KADORO_DECL int open_queues(unsigned entries, io_uring& which, io_uring_params& wanted) noexcept;

/// Ends what `open_queues` made.
KADORO_DECL void close_queues(io_uring& which) noexcept;

/// Lets a ring that was made with IORING_SETUP_R_DISABLED begin, on the thread that it belongs to from now on. 0, or an
/// error number.
KADORO_DECL int enable_ring(io_uring& which) noexcept;

/// What cannot be done with io_uring and why, for people; `cause` is an error number.
KADORO_DECL error ring_error(char const* what, int cause);

}  // namespace kadoro::inline KADORO_ABI::io::uring

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/impl/features.ipp"
#endif
