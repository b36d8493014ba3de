#pragma once

#include <algorithm>

#include "kadoro/base/bytes.hpp"

namespace kadoro::inline KADORO_ABI {

namespace detail {

inline int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace detail

KADORO_DECL int compare(bytes_view a, bytes_view b) noexcept {
  std::size_t const common = std::min(a.size(), b.size());
  int const order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  if (order != 0) return order;
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

KADORO_DECL std::string to_hex(bytes_view data) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(data.size() * 2);
  for (std::uint8_t const byte : data) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

KADORO_DECL bool from_hex(std::string_view text, bytes& out) {
  if (text.size() % 2 != 0) return false;
  bytes decoded;
  decoded.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int const high = detail::hex_digit(text[i]);
    int const low = detail::hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    decoded.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  out = std::move(decoded);
  return true;
}

}  // namespace kadoro::inline KADORO_ABI
