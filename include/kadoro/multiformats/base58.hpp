#pragma once

#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

/// base58btc is quadratic in the length, so neither side takes more than this; a peer id has 44 bytes at most.
inline constexpr std::size_t max_base58_bytes = 128;

/// Bitcoin's alphabet; one leading `1` per leading zero byte. Precondition: at most `max_base58_bytes`.
KADORO_DECL std::string encode_base58(bytes_view data);

/// Fails with `malformed` on a character outside the alphabet, with `too_large` beyond the bound.
KADORO_DECL result<bytes> decode_base58(std::string_view text);

}  // namespace kadoro::inline KADORO_ABI::multiformats

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/multiformats/impl/base58.ipp"
#endif
