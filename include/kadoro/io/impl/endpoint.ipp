#pragma once

#include <algorithm>
#include <charconv>
#include <optional>

#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io {

namespace detail {

/// All of `text` as a number in `base`, at most `max`. No sign, no space, and no leading zero in decimal.
inline std::optional<std::uint32_t> parse_number(std::string_view text, int base, std::uint32_t max) {
  std::uint32_t value = 0;
  auto const [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  if (base == 10 && text.size() > 1 && text[0] == '0') return std::nullopt;
  return value;
}

inline bool parse_v4(std::string_view text, std::uint8_t* out) {
  for (int i = 0; i < 4; ++i) {
    std::size_t const end = i < 3 ? text.find('.') : text.size();
    if (end == std::string_view::npos) return false;
    auto const value = parse_number(text.substr(0, end), 10, 255);
    if (!value) return false;
    out[i] = static_cast<std::uint8_t>(*value);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

/// RFC 4291, section 2.2: eight groups, at most one `::`, the last two groups perhaps as an IPv4 address.
inline bool parse_v6(std::string_view text, byte_array<16>& out) {
  byte_array<16> groups{};
  std::size_t size = 0;                      // bytes of `groups` in use
  std::size_t gap = std::string_view::npos;  // where `::` stood
  if (text.substr(0, 2) == "::") {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    std::size_t const end = std::min(text.find(':'), text.size());
    std::string_view const part = text.substr(0, end);
    if (end == text.size() && part.find('.') != std::string_view::npos) {
      if (size > 12 || !parse_v4(part, groups.data() + size)) return false;
      size += 4;
      break;
    }
    auto const value = parse_number(part, 16, 0xffff);
    if (!value || part.size() > 4 || size > 14) return false;
    store_be(groups.data() + size, static_cast<std::uint16_t>(*value));
    size += 2;
    text.remove_prefix(end);
    if (text.empty()) break;
    text.remove_prefix(1);  // the colon after the group
    if (text.empty()) return false;
    if (text.front() != ':') continue;
    if (gap != std::string_view::npos) return false;
    gap = size;
    text.remove_prefix(1);
  }
  if (gap == std::string_view::npos) {
    if (size != 16) return false;
    out = groups;
    return true;
  }
  if (size > 14) return false;  // `::` stands for at least one group
  out.fill(0);
  std::copy_n(groups.begin(), gap, out.begin());
  std::copy(groups.begin() + static_cast<std::ptrdiff_t>(gap), groups.begin() + static_cast<std::ptrdiff_t>(size),
            out.end() - static_cast<std::ptrdiff_t>(size - gap));
  return true;
}

inline void append_number(std::string& text, std::uint32_t value, int base) {
  char digits[10];
  auto const [end, code] = std::to_chars(digits, digits + sizeof digits, value, base);
  static_cast<void>(code);  // ten characters hold every 32-bit number
  text.append(digits, end);
}

inline void append_v4(std::string& text, std::uint8_t const* address) {
  for (int i = 0; i < 4; ++i) {
    if (i > 0) text += '.';
    append_number(text, address[i], 10);
  }
}

inline bool is_v4_mapped(bytes_view address) noexcept {
  return address.size() == 16 && address[10] == 0xff && address[11] == 0xff &&
         std::all_of(address.begin(), address.begin() + 10, [](std::uint8_t byte) { return byte == 0; });
}

/// The one canonical text of RFC 5952: lower case, no leading zeros, `::` for the first of the longest runs of two or
/// more zero groups, and IPv4-mapped addresses with their dotted end.
inline void append_v6(std::string& text, bytes_view address) {
  if (is_v4_mapped(address)) {
    text += "::ffff:";
    append_v4(text, address.data() + 12);
    return;
  }
  std::size_t best = 8;
  std::size_t best_length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t length = 0;
    while (i + length < 8 && load_be<std::uint16_t>(address.data() + 2 * (i + length)) == 0) ++length;
    if (length > best_length) {
      best = i;
      best_length = length;
    }
  }
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      text += "::";
      i += best_length - 1;
      continue;
    }
    if (i > 0 && text.back() != ':') text += ':';
    append_number(text, load_be<std::uint16_t>(address.data() + 2 * i), 16);
  }
}

inline bool is_private_v4(std::uint8_t const* a) noexcept {
  return a[0] == 127 || a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
         (a[0] == 100 && (a[1] & 0xc0) == 64) || (a[0] == 169 && a[1] == 254);
}

}  // namespace detail

KADORO_DECL result<endpoint> endpoint::parse(std::string_view text) {
  auto const bad = [&] {
    return fail(errc::invalid_argument,
                "not an address like 1.2.3.4:5 or [::1]:5: '" + std::string(text.substr(0, 80)) + "'");
  };
  std::size_t const colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  auto const port = detail::parse_number(text.substr(colon + 1), 10, 0xffff);
  if (!port) return bad();
  std::string_view host = text.substr(0, colon);

  if (host.empty() || host.front() != '[') {
    byte_array<4> address{};
    if (!detail::parse_v4(host, address.data())) return bad();
    return v4(address, static_cast<std::uint16_t>(*port));
  }
  if (host.back() != ']') return bad();
  host = host.substr(1, host.size() - 2);
  std::uint32_t scope = 0;
  if (std::size_t const percent = host.find('%'); percent != std::string_view::npos) {
    auto const zone = detail::parse_number(host.substr(percent + 1), 10, 0xffffffff);
    if (!zone) return bad();
    scope = *zone;
    host = host.substr(0, percent);
  }
  byte_array<16> address{};
  if (!detail::parse_v6(host, address)) return bad();
  return v6(address, static_cast<std::uint16_t>(*port), scope);
}

KADORO_DECL bool endpoint::is_unspecified() const noexcept { return address_ == byte_array<16>{}; }

KADORO_DECL bool endpoint::is_loopback() const noexcept {
  if (!v6_) return address_[0] == 127;
  if (detail::is_v4_mapped(address())) return address_[12] == 127;
  return address_ == byte_array<16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
}

KADORO_DECL bool endpoint::is_private() const noexcept {
  if (!v6_) return detail::is_private_v4(address_.data());
  if (detail::is_v4_mapped(address())) return detail::is_private_v4(address_.data() + 12);
  bool const link_local = address_[0] == 0xfe && (address_[1] & 0xc0) == 0x80;
  bool const unique_local = (address_[0] & 0xfe) == 0xfc;
  return is_loopback() || link_local || unique_local;
}

KADORO_DECL std::uint64_t endpoint::range() const noexcept {
  std::uint64_t const head = load_be<std::uint64_t>(address_.data());
  // The family in bit 63 keeps an IPv4 range from equalling an IPv6 one.
  return v6_ ? head >> 16 | std::uint64_t{1} << 63 : head >> 40;
}

KADORO_DECL std::string endpoint::to_string() const {
  std::string text;
  if (v6_) {
    text += '[';
    detail::append_v6(text, address());
    if (scope_ != 0) {
      text += '%';
      detail::append_number(text, scope_, 10);
    }
    text += "]:";
  } else {
    detail::append_v4(text, address_.data());
    text += ':';
  }
  detail::append_number(text, port_, 10);
  return text;
}

}  // namespace kadoro::inline KADORO_ABI::io
