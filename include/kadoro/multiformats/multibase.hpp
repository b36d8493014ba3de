#pragma once

#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

/// @file
/// Multibase: text whose first character names its base. Only the bases that peer ids and addresses use.

namespace kadoro::inline KADORO_ABI::multiformats {

/// Takes `b` (lower-case base32), `k` (base36), `z` (base58btc) and `u` (base64url), all without padding. Fails with
/// `malformed` on another prefix or a wrong digit, with `too_large` beyond `max_multibase_bytes`.
KADORO_DECL result<bytes> decode_multibase(std::string_view text);

/// With prefix `u`, as addresses write certificate hashes. Precondition: at most `max_multibase_bytes`.
KADORO_DECL std::string encode_multibase_base64url(bytes_view data);

inline constexpr std::size_t max_multibase_bytes = 512;

}  // namespace kadoro::inline KADORO_ABI::multiformats

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/multiformats/impl/multibase.ipp"
#endif
