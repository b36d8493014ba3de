#pragma once

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// A moment in the life of a machine that processes which come and go can share: which boot, and how long it has run.
struct boot_instant {
  byte_array<16> boot{};  ///< a random number of this boot; all zero: not known, and then no two are of the same
  duration elapsed{};     ///< since the boot

  bool known() const noexcept { return boot != byte_array<16>{}; }
  bool same_boot(byte_array<16> const& other) const noexcept { return known() && boot == other; }
};

}  // namespace kadoro::inline KADORO_ABI::io
