#pragma once

#include <compare>
#include <string>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/multiformats/peer_id.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using multiformats::peer_id;

/// A point in the 256-bit key space where records and peers meet: the SHA-256 of a record's key, or of a peer id's
/// bytes (libp2p specs, kad-dht). Distance is XOR, read as a big-endian number (Maymounkov and Mazieres, 2002). On the
/// wire goes what was hashed, never the hash.
class key {
 public:
  static constexpr int bits = 256;

  /// All zero.
  key() noexcept = default;
  explicit key(crypto::digest const& at) noexcept : bytes_(at) {}

  static key of(bytes_view record_key_or_peer_id_bytes) noexcept {
    return key(crypto::sha256(record_key_or_peer_id_bytes));
  }
  static key of(peer_id const& id) noexcept { return of(id.bytes()); }

  /// A random key that shares exactly `common_prefix` bits with `self`; 0 <= common_prefix < 256.
  KADORO_DECL static key random_in_bucket(key const& self, int common_prefix, random_source& random) noexcept;

  crypto::digest const& bytes() const noexcept { return bytes_; }

  /// The bit at `index`, counted from the most significant.
  bool bit(int index) const noexcept {
    return (bytes_[static_cast<std::size_t>(index) / 8] >> (7 - index % 8) & 1) != 0;
  }

  /// How many leading bits the two share: 0 to 256, where 256 means equal.
  KADORO_DECL int common_prefix(key const& other) const noexcept;

  /// The first 64 bits of the distance, which nearly always tell which of two is closer.
  std::uint64_t leading_distance(key const& other) const noexcept {
    return load_be<std::uint64_t>(bytes_.data()) ^ load_be<std::uint64_t>(other.bytes_.data());
  }

  /// Whether `a` is strictly closer to this key than `b`.
  KADORO_DECL bool closer(key const& a, key const& b) const noexcept;

  /// The first `digits` hexadecimal digits, for people.
  KADORO_DECL std::string to_hex(std::size_t digits = 8) const;

  friend bool operator==(key const&, key const&) noexcept = default;
  friend auto operator<=>(key const&, key const&) noexcept = default;

 private:
  crypto::digest bytes_{};
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/key.ipp"
#endif
