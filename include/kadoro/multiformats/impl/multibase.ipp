#pragma once

#include <sodium.h>

#include <cassert>

#include "kadoro/multiformats/base58.hpp"
#include "kadoro/multiformats/impl/base_x.hpp"
#include "kadoro/multiformats/multibase.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

namespace detail {

inline constexpr std::string_view base36_alphabet = "0123456789abcdefghijklmnopqrstuvwxyz";
inline constexpr std::string_view base32_alphabet = "abcdefghijklmnopqrstuvwxyz234567";

inline tl::unexpected<error> bad_digits(std::string_view text, char const* base) {
  std::string sentence("'");
  sentence.append(text).append("' is not ").append(base);
  return fail(errc::malformed, std::move(sentence));
}

inline result<bytes> decode_base32(std::string_view text) {
  bytes out;
  std::uint32_t pending = 0;
  std::uint32_t pending_bits = 0;
  for (char const c : text) {
    std::size_t const digit = base32_alphabet.find(c);
    if (digit == std::string_view::npos) return bad_digits(text, "base32");
    pending = (pending << 5) | static_cast<std::uint32_t>(digit);
    pending_bits += 5;
    if (pending_bits < 8) continue;
    pending_bits -= 8;
    out.push_back(static_cast<std::uint8_t>(pending >> pending_bits));
    pending &= (1u << pending_bits) - 1;
  }
  // One value, one text: no digit too many, and nothing in the bits that fill up the last one.
  if (pending_bits >= 5 || pending != 0) return bad_digits(text, "base32");
  return out;
}

inline result<bytes> decode_base64url(std::string_view text) {
  bytes out(text.size() / 4 * 3 + 3);
  std::size_t size = 0;
  char const* end = nullptr;
  if (sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, &end,
                        sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
      end != text.data() + text.size())
    return bad_digits(text, "base64url");
  out.resize(size);
  return out;
}

}  // namespace detail

KADORO_DECL result<bytes> decode_multibase(std::string_view text) {
  if (text.empty()) return fail(errc::malformed, "empty multibase text");
  if (text.size() > max_multibase_bytes)
    return fail(errc::too_large, "multibase text of " + std::to_string(text.size()) + " characters");
  std::string_view const digits = text.substr(1);
  switch (text.front()) {
    case 'b': return detail::decode_base32(digits);
    case 'k': return detail::decode_base_x(digits, detail::base36_alphabet, max_base58_bytes * 8 / 5);
    case 'z': return decode_base58(digits);
    case 'u': return detail::decode_base64url(digits);
    default: return fail(errc::malformed, "'" + std::string(text) + "' begins with no multibase prefix of b, k, z, u");
  }
}

KADORO_DECL std::string encode_multibase_base64url(bytes_view data) {
  assert(data.size() <= max_multibase_bytes);
  std::string out(sodium_base64_encoded_len(data.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
  sodium_bin2base64(out.data(), out.size(), data.data(), data.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  out.pop_back();  // its terminator
  return "u" + out;
}

}  // namespace kadoro::inline KADORO_ABI::multiformats
