#pragma once

#include <algorithm>

#include "kadoro/crypto/sha256.hpp"
#include "kadoro/multiformats/base58.hpp"
#include "kadoro/multiformats/multibase.hpp"
#include "kadoro/multiformats/multihash.hpp"
#include "kadoro/multiformats/varint.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

KADORO_DECL multihash multihash::sha2_256(bytes_view content) noexcept {
  crypto::digest const hash = crypto::sha256(content);
  multihash m;
  m.data_[0] = static_cast<std::uint8_t>(sha2_256_code);
  m.data_[1] = static_cast<std::uint8_t>(hash.size());
  std::copy(hash.begin(), hash.end(), m.data_.begin() + 2);
  m.size_ = static_cast<std::uint8_t>(2 + hash.size());
  m.digest_at_ = 2;
  return m;
}

KADORO_DECL result<multihash> multihash::identity(bytes_view content) {
  if (content.size() > max_bytes - 2)
    return fail(errc::too_large, "an identity multihash of " + std::to_string(content.size()) + " bytes; at most " +
                                     std::to_string(max_bytes - 2) + " are allowed");
  if (content.empty()) return fail(errc::malformed, "an identity multihash of nothing");
  multihash m;
  m.data_[0] = static_cast<std::uint8_t>(identity_code);
  m.data_[1] = static_cast<std::uint8_t>(content.size());
  std::copy(content.begin(), content.end(), m.data_.begin() + 2);
  m.size_ = static_cast<std::uint8_t>(2 + content.size());
  m.digest_at_ = 2;
  return m;
}

KADORO_DECL result<multihash> multihash::from_bytes(bytes_view data) {
  if (data.size() > max_bytes)
    return fail(errc::too_large, "a multihash of " + std::to_string(data.size()) + " bytes; at most " +
                                     std::to_string(max_bytes) + " are allowed");
  auto const refuse = [data] { return fail(errc::malformed, "no multihash: " + to_hex(data)); };
  auto const function = decode_varint(data);
  if (!function) return refuse();
  auto const length = decode_varint(data.subspan(function->size));
  if (!length) return refuse();
  std::size_t const digest_at = function->size + length->size;
  if (length->value == 0 || length->value != data.size() - digest_at) return refuse();
  if (function->value == sha2_256_code && length->value != 32) return refuse();
  multihash m;
  std::copy(data.begin(), data.end(), m.data_.begin());
  m.size_ = static_cast<std::uint8_t>(data.size());
  m.digest_at_ = static_cast<std::uint8_t>(digest_at);
  return m;
}

KADORO_DECL result<multihash> multihash::parse(std::string_view text) {
  static constexpr std::size_t max_shown = 100;
  auto const refuse = [text] {
    std::string sentence("'");
    sentence.append(text.substr(0, max_shown)).append("' is neither a multihash nor a CID");
    return fail(errc::malformed, std::move(sentence));
  };
  if (text.size() > 2 * max_bytes) return refuse();
  if (text.starts_with("Qm")) {
    auto const raw = decode_base58(text);
    if (!raw) return refuse();
    auto m = from_bytes(*raw);
    if (!m) return refuse();
    return m;
  }
  auto const cid = decode_multibase(text);
  if (!cid) return refuse();
  bytes_view rest = *cid;
  auto const version = decode_varint(rest);
  if (!version || version->value != 1) return refuse();
  rest = rest.subspan(version->size);
  auto const content = decode_varint(rest);  // what the bytes are, which is not asked here
  if (!content) return refuse();
  auto m = from_bytes(rest.subspan(content->size));
  if (!m) return refuse();
  return m;
}

KADORO_DECL std::uint64_t multihash::code() const noexcept {
  auto const function = decode_varint(bytes());
  return function ? function->value : ~std::uint64_t{0};
}

KADORO_DECL bytes_view multihash::digest() const noexcept { return bytes().subspan(digest_at_); }

KADORO_DECL std::string multihash::to_string() const { return encode_base58(bytes()); }

}  // namespace kadoro::inline KADORO_ABI::multiformats
