#pragma once

#include <cassert>

#include "kadoro/multiformats/base58.hpp"
#include "kadoro/multiformats/impl/base_x.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

namespace detail {
inline constexpr std::string_view base58_alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
}

KADORO_DECL std::string encode_base58(bytes_view data) {
  assert(data.size() <= max_base58_bytes);
  return detail::encode_base_x(data, detail::base58_alphabet);
}

KADORO_DECL result<bytes> decode_base58(std::string_view text) {
  // A byte takes 1.37 digits.
  return detail::decode_base_x(text, detail::base58_alphabet, max_base58_bytes * 11 / 8);
}

}  // namespace kadoro::inline KADORO_ABI::multiformats
