#pragma once

#include <sys/socket.h>

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::io::posix::detail {

/// Best effort: what the system does not know stays at its default.
inline void set_option(int descriptor, int level, int name, int value) noexcept {
  static_cast<void>(::setsockopt(descriptor, level, name, &value, sizeof value));
}

}  // namespace kadoro::inline KADORO_ABI::io::posix::detail
