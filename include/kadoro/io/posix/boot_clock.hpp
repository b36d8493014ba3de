#pragma once

#include "kadoro/io/boot_instant.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// The boot id of Linux with CLOCK_BOOTTIME; elsewhere a boot that is not known.
KADORO_DECL boot_instant boot_now() noexcept;

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/boot_clock.ipp"
#endif
