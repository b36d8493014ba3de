#pragma once

#include <sodium.h>

#include "kadoro/crypto/wipe.hpp"

namespace kadoro::inline KADORO_ABI::crypto {

KADORO_DECL void wipe(bytes_span secret) noexcept { sodium_memzero(secret.data(), secret.size()); }

}  // namespace kadoro::inline KADORO_ABI::crypto
