#pragma once

#include <algorithm>
#include <array>

#include "kadoro/crypto/sha256.hpp"
#include "kadoro/multiformats/base58.hpp"
#include "kadoro/multiformats/multibase.hpp"
#include "kadoro/multiformats/peer_id.hpp"
#include "kadoro/multiformats/varint.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

namespace detail {

inline constexpr std::uint8_t multihash_identity = 0x00;
inline constexpr std::uint8_t multihash_sha2_256 = 0x12;
inline constexpr byte_array<2> cid_v1_libp2p_key{0x01, 0x72};

/// What comes before the 32 bytes of the key: identity, 36 bytes, then the PublicKey message.
inline constexpr byte_array<6> ed25519_id_prefix{multihash_identity, 0x24, 0x08, 0x01, 0x12, 0x20};

}  // namespace detail

KADORO_DECL peer_id peer_id::of_ed25519(byte_array<32> const& public_key) noexcept {
  peer_id id;
  auto const end = std::copy(detail::ed25519_id_prefix.begin(), detail::ed25519_id_prefix.end(), id.data_.begin());
  std::copy(public_key.begin(), public_key.end(), end);
  id.size_ = static_cast<std::uint8_t>(detail::ed25519_id_prefix.size() + public_key.size());
  return id;
}

KADORO_DECL peer_id peer_id::of_public_key_protobuf(bytes_view encoded) noexcept {
  peer_id id;
  crypto::digest hashed;
  bool const inlined = encoded.size() <= max_inline_key_bytes;
  if (!inlined) {
    hashed = crypto::sha256(encoded);
    encoded = hashed;
  }
  id.data_[0] = inlined ? detail::multihash_identity : detail::multihash_sha2_256;
  id.data_[1] = static_cast<std::uint8_t>(encoded.size());
  std::copy(encoded.begin(), encoded.end(), id.data_.begin() + 2);
  id.size_ = static_cast<std::uint8_t>(2 + encoded.size());
  return id;
}

KADORO_DECL result<peer_id> peer_id::from_bytes(bytes_view multihash) {
  // Both codes and all lengths are below 128, so each varint is one byte.
  bool const whole = multihash.size() >= 2 && multihash[1] == multihash.size() - 2;
  bool const known = whole && (multihash[0] == detail::multihash_identity
                                   ? multihash[1] <= max_inline_key_bytes
                                   : multihash[0] == detail::multihash_sha2_256 && multihash[1] == 32);
  if (!known)
    return fail(errc::malformed, "no peer id: " + to_hex(multihash.first(std::min(multihash.size(), max_bytes))) +
                                     (multihash.size() > max_bytes ? ".." : ""));
  peer_id id;
  std::copy(multihash.begin(), multihash.end(), id.data_.begin());
  id.size_ = static_cast<std::uint8_t>(multihash.size());
  return id;
}

KADORO_DECL result<peer_id> peer_id::parse(std::string_view text) {
  static constexpr std::size_t max_shown = 100;
  auto const refuse = [text] {
    std::string sentence("'");
    sentence.append(text.substr(0, max_shown)).append("' is no peer id");
    return fail(errc::malformed, std::move(sentence));
  };
  if (text.starts_with('1') || text.starts_with("Qm")) {
    auto const raw = decode_base58(text);
    if (!raw) return refuse();
    auto id = from_bytes(*raw);
    if (!id) return refuse();
    return id;
  }
  if (text.starts_with('u')) return refuse();
  auto const cid = decode_multibase(text);
  if (!cid || cid->size() < 2 || !equal(bytes_view(*cid).first(2), detail::cid_v1_libp2p_key)) return refuse();
  auto id = from_bytes(bytes_view(*cid).subspan(2));
  if (!id) return refuse();
  return id;
}

KADORO_DECL std::optional<byte_array<32>> peer_id::ed25519_key() const noexcept {
  std::size_t const prefix = detail::ed25519_id_prefix.size();
  if (size_ != prefix + 32 || !equal(bytes().first(prefix), detail::ed25519_id_prefix)) return std::nullopt;
  byte_array<32> key;
  std::copy_n(data_.begin() + static_cast<std::ptrdiff_t>(prefix), key.size(), key.begin());
  return key;
}

KADORO_DECL std::string peer_id::to_string() const { return encode_base58(bytes()); }

KADORO_DECL std::string peer_id::short_string() const {
  std::string const whole = to_string();
  if (whole.size() <= 12) return whole;
  return whole.substr(0, 4) + ".." + whole.substr(whole.size() - 6);
}

KADORO_DECL std::size_t peer_id::hash() const noexcept {
  std::uint64_t hashed = 0xcbf29ce484222325;
  for (std::uint8_t const byte : bytes()) hashed = (hashed ^ byte) * 0x100000001b3;
  return static_cast<std::size_t>(hashed);
}

}  // namespace kadoro::inline KADORO_ABI::multiformats
