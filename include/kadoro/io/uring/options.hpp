#pragma once

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

/// How a context uses io_uring. What the kernel lacks is done without, whatever is said here.
struct options {
  unsigned entries = 256;              ///< of the submission queue
  unsigned completion_entries = 1024;  ///< of the completion queue; more completions wait in the kernel
  unsigned receive_buffers = 64;       ///< messages that the kernel may hand over in one turn; rounded up to 2^n
  bool multishot = true;               ///< false: as a kernel before 6.0, datagrams by poll and recvmmsg
  bool defer_taskrun = true;           ///< false: as a kernel before 6.1
  duration spin_max{};                 ///< see `open_options::spin_max`
};

/// What happened that the program need not care about, but an operator may.
struct ring_counters {
  std::uint64_t out_of_buffers = 0;        ///< datagrams waited in the socket until buffers came back
  std::uint64_t completion_overflows = 0;  ///< turns in which completions had to wait in the kernel
  std::uint64_t streams_cut_off = 0;       ///< TCP connections closed before all that was written had gone out
  std::uint64_t receives = 0;              ///< started; with several shots there are fewer than datagrams
};

}  // namespace kadoro::inline KADORO_ABI::io::uring
