#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <ctime>

#include "kadoro/io/posix/socket_address.hpp"

namespace kadoro::inline KADORO_ABI::io::posix::detail {

/// Binds, and gives an address that is in use 100 ms to become free: when a process with io_uring is killed, the kernel
/// lets go of its sockets behind its back, some 10 ms after it was waited for (measured, Linux 6.18). Whoever starts it
/// again at once must not be told that it still runs. The cause of a failure is in `errno`.
inline bool bind_patiently(int descriptor, socket_address const& local) noexcept {
  static constexpr int tries = 50;
  static constexpr timespec pause{0, 2'000'000};
  for (int left = tries; ::bind(descriptor, local.get(), local.size) != 0; --left) {
    if (errno != EADDRINUSE || left == 0) return false;
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace kadoro::inline KADORO_ABI::io::posix::detail
