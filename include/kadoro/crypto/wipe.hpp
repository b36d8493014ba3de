#pragma once

#include "kadoro/base/bytes.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

/// Overwrites a secret with zeros; the compiler may not leave it out, as it may with a plain fill before destruction.
KADORO_DECL void wipe(bytes_span secret) noexcept;

}  // namespace kadoro::inline KADORO_ABI::crypto

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/crypto/impl/wipe.ipp"
#endif
