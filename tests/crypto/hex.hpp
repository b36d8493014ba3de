#pragma once

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"

/// Hexadecimal for vectors in tests; spaces are skipped, anything else that is no digit is a mistake in the test.
inline kadoro::bytes hex(std::string_view text) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c != ' '; });
  kadoro::bytes out;
  if (!kadoro::from_hex(digits, out)) throw std::invalid_argument("not hexadecimal: " + digits);
  return out;
}

template <std::size_t Size = 32>
kadoro::byte_array<Size> hex_array(std::string_view text) {
  kadoro::bytes const data = hex(text);
  if (data.size() != Size) throw std::invalid_argument("not of the right size: " + std::string(text));
  kadoro::byte_array<Size> out;
  std::copy(data.begin(), data.end(), out.begin());
  return out;
}
