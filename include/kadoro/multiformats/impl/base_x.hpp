#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

/// @file
/// Bases that are no power of two (58, 36): the bytes are one big number, written in another base; leading zero bytes
/// become leading zero digits.

namespace kadoro::inline KADORO_ABI::multiformats::detail {

/// Rewrites a big-endian number from base `from` to base `to`, without leading zeros.
inline bytes convert_base(bytes_view digits, std::uint32_t from, std::uint32_t to) {
  bytes out;  // little endian while it grows
  for (std::uint8_t const digit : digits) {
    std::uint32_t carry = digit;
    for (std::uint8_t& place : out) {
      carry += place * from;
      place = static_cast<std::uint8_t>(carry % to);
      carry /= to;
    }
    for (; carry > 0; carry /= to) out.push_back(static_cast<std::uint8_t>(carry % to));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

inline std::size_t leading_zeros(bytes_view digits) noexcept {
  return static_cast<std::size_t>(std::find_if(digits.begin(), digits.end(), [](std::uint8_t d) { return d != 0; }) -
                                  digits.begin());
}

inline std::string encode_base_x(bytes_view data, std::string_view alphabet) {
  std::string out(leading_zeros(data), alphabet[0]);
  for (std::uint8_t const digit : convert_base(data, 256, static_cast<std::uint32_t>(alphabet.size())))
    out.push_back(alphabet[digit]);
  return out;
}

inline result<bytes> decode_base_x(std::string_view text, std::string_view alphabet, std::size_t max_digits) {
  std::string const name = "base" + std::to_string(alphabet.size());
  if (text.size() > max_digits)
    return fail(errc::too_large, name + " text of " + std::to_string(text.size()) + " characters, at most " +
                                     std::to_string(max_digits) + " are taken");
  bytes digits;
  digits.reserve(text.size());
  for (char const c : text) {
    std::size_t const digit = alphabet.find(c);
    if (digit == std::string_view::npos) return fail(errc::malformed, "'" + std::string(text) + "' is not " + name);
    digits.push_back(static_cast<std::uint8_t>(digit));
  }
  bytes out(leading_zeros(digits), 0);
  bytes const number = convert_base(digits, static_cast<std::uint32_t>(alphabet.size()), 256);
  out.insert(out.end(), number.begin(), number.end());
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::multiformats::detail
