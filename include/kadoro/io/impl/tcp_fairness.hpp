#pragma once

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::io::detail {

/// So many operations of one stream or listener may succeed in a row without waiting. Then it is the turn of others: a
/// peer that always has bytes ready must not keep the loop from its timers and other sockets.
inline constexpr unsigned operations_at_once = 32;

/// Counts one more; true, and begins again, beyond the share.
inline bool had_its_share(unsigned& at_once) noexcept {
  if (++at_once <= operations_at_once) return false;
  at_once = 0;
  return true;
}

}  // namespace kadoro::inline KADORO_ABI::io::detail
