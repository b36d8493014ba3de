#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

/// @file
/// Bases that are no power of two (58, 36): the bytes are one big number, written in another base; leading zero bytes
/// become leading zero digits.

namespace kadoro::inline KADORO_ABI::multiformats::detail {

/// Rewrites a big-endian number from base `from` to base `to`, without leading zeros. Of either base as many digits are
/// taken at a time as 32 bits hold: divisions are what this costs, and names of peers are written often.
inline bytes convert_base(bytes_view digits, std::uint32_t from, std::uint32_t to) {
  static constexpr std::uint32_t most = 0xffffffff;
  std::uint32_t limb = to;
  std::size_t digits_per_limb = 1;
  for (; limb <= most / to; limb *= to) ++digits_per_limb;

  std::vector<std::uint32_t> places;  // the number in base `limb`, little endian
  while (!digits.empty()) {
    std::uint64_t carry = 0;
    std::uint64_t factor = 1;
    for (; !digits.empty() && factor <= most / from; factor *= from) {
      carry = carry * from + digits.front();
      digits = digits.subspan(1);
    }
    for (std::uint32_t& place : places) {
      carry += place * factor;
      place = static_cast<std::uint32_t>(carry % limb);
      carry /= limb;
    }
    for (; carry > 0; carry /= limb) places.push_back(static_cast<std::uint32_t>(carry % limb));
  }

  bytes out;  // little endian while it grows
  out.reserve(places.size() * digits_per_limb);
  for (std::uint32_t place : places)
    for (std::size_t i = 0; i < digits_per_limb; ++i, place /= to) out.push_back(static_cast<std::uint8_t>(place % to));
  while (!out.empty() && out.back() == 0) out.pop_back();
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
  out.append(number);
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::multiformats::detail
