#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "kadoro/kad/trace.hpp"

// Written by hand: a JSON library would be read by every source file that includes a node, for this one function.

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

/// How many bytes the character of UTF-8 has with which `text`, which is not empty, begins; 0 if that is none.
inline std::size_t utf8_length(std::string_view text) noexcept {
  auto const byte = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  unsigned const first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  std::size_t const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  unsigned const second = byte(1);
  // Longer than need be, a surrogate, or beyond the last character.
  bool const wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                     (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return wrong ? 0 : length;
}

/// `text` as a JSON string. Texts of peers need not be UTF-8: a byte that is not becomes U+FFFD.
inline std::string json_string(std::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    std::size_t const length = utf8_length(text);
    if (length == 0) {
      json += "\xef\xbf\xbd";
    } else if (static_cast<unsigned char>(text[0]) < 0x20) {
      std::string_view const digits = "0123456789abcdef";
      json += text[0] < 0x10 ? "\\u000" : "\\u001";
      json += digits[static_cast<std::size_t>(text[0]) % 16];
    } else {
      if (text[0] == '"' || text[0] == '\\') json += '\\';
      json += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  json += '"';
  return json;
}

/// Milliseconds with all the digits that there are, whatever the locale.
inline std::string json_milliseconds(std::optional<duration> d) {
  if (!d) return "null";
  auto const ns = std::chrono::duration_cast<std::chrono::nanoseconds>(*d).count();
  std::string digits = std::to_string(1'000'000 + ns % 1'000'000);
  while (digits.size() > 2 && digits.back() == '0') digits.pop_back();
  return std::to_string(ns / 1'000'000) + '.' + digits.substr(1);
}

}  // namespace detail

KADORO_DECL std::string trace::to_json() const {
  std::string json = "{\n  \"elapsed_ms\": " + detail::json_milliseconds(elapsed());
  json += ",\n  \"key\": " + detail::json_string(key_text());
  json += ",\n  \"omitted\": " + std::to_string(omitted());
  json += ",\n  \"query\": " + detail::json_string(query());
  json += ",\n  \"steps\": [";
  char const* between = "\n    {";
  for (trace_step const& s : steps()) {
    json += between;
    json += "\n      \"peer\": " + detail::json_string(s.peer.to_string());
    json += ",\n      \"result\": " + detail::json_string(s.result);
    json += ",\n      \"rtt_ms\": " + detail::json_milliseconds(s.rtt);
    json += ",\n      \"sent_ms\": " + detail::json_milliseconds(s.sent_at);
    json += ",\n      \"suggested_by\": ";
    json += s.suggested_by ? detail::json_string(s.suggested_by->to_string()) : "null";
    json += "\n    }";
    between = ",\n    {";
  }
  json += between[0] == ',' ? "\n  ]" : "]";
  json += ",\n  \"why_it_stopped\": " + detail::json_string(why_it_stopped()) + "\n}";
  return json;
}

}  // namespace kadoro::inline KADORO_ABI::kad
