#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

/// The name of a peer (libp2p specs, peer-ids): the multihash of its public key, which for an Ed25519 key is the key
/// itself. Value type without allocation, ordered by its bytes; default-constructed it is empty and names nobody.
class peer_id {
 public:
  static constexpr std::size_t max_inline_key_bytes = 42;  ///< a longer encoded key is hashed
  static constexpr std::size_t max_bytes = 2 + max_inline_key_bytes;

  peer_id() noexcept = default;

  KADORO_DECL static peer_id of_ed25519(byte_array<32> const& public_key) noexcept;

  /// Of an encoded PublicKey message, whatever is in it.
  KADORO_DECL static peer_id of_public_key_protobuf(bytes_view encoded) noexcept;

  /// Takes any sha2-256 multihash and any identity multihash of at most 42 bytes, which need not be a valid key (others
  /// make up lookup targets that way). Fails with `malformed`.
  KADORO_DECL static result<peer_id> from_bytes(bytes_view multihash);

  /// Reads `12D3KooW...` and `Qm...` (base58btc), and CIDv1 text in base32 (`b`), base36 (`k`) and base58btc (`z`).
  /// Fails with `malformed`, naming the text.
  KADORO_DECL static result<peer_id> parse(std::string_view text);

  bool empty() const noexcept { return size_ == 0; }
  bytes_view bytes() const noexcept { return bytes_view(data_).first(size_); }

  /// The public key, where the id contains an Ed25519 one.
  KADORO_DECL std::optional<byte_array<32>> ed25519_key() const noexcept;

  /// base58btc, the form that everybody reads.
  KADORO_DECL std::string to_string() const;

  /// For tables: the first 4 and the last 6 characters, `12D3..o7R3pq`.
  KADORO_DECL std::string short_string() const;

  /// FNV-1a over the bytes: the same on every platform. Not for tables that an attacker can fill without bound.
  KADORO_DECL std::size_t hash() const noexcept;

  friend bool operator==(peer_id const& a, peer_id const& b) noexcept { return equal(a.bytes(), b.bytes()); }
  friend std::strong_ordering operator<=>(peer_id const& a, peer_id const& b) noexcept {
    return compare(a.bytes(), b.bytes()) <=> 0;
  }

 private:
  byte_array<max_bytes> data_{};
  std::uint8_t size_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::multiformats

template <>
struct std::hash<kadoro::multiformats::peer_id> {
  std::size_t operator()(kadoro::multiformats::peer_id const& id) const noexcept { return id.hash(); }
};

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/multiformats/impl/peer_id.ipp"
#endif
