#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

/// The name of a content (multiformats, multihash): which hash function, how long, the hash. Value type without
/// allocation, ordered by its bytes; default-constructed it is empty and names nothing.
///
/// Makes those of SHA-256 and of the identity, where the content is its own hash. Takes those of any other function,
/// whose hash it cannot check.
class multihash {
 public:
  static constexpr std::uint64_t identity_code = 0x00;
  static constexpr std::uint64_t sha2_256_code = 0x12;
  static constexpr std::size_t max_bytes = 80;  ///< what every libp2p peer takes as the key of a provider

  multihash() noexcept = default;

  /// Hashes `content`.
  KADORO_DECL static multihash sha2_256(bytes_view content) noexcept;
  /// Contains `content`. Fails with `too_large` if it has more than 78 bytes.
  KADORO_DECL static result<multihash> identity(bytes_view content);

  /// Fails with `malformed` for what is no multihash, a SHA-256 that is not 32 bytes, and an empty hash; with
  /// `too_large` beyond `max_bytes`.
  KADORO_DECL static result<multihash> from_bytes(bytes_view data);

  /// Reads base58btc (`Qm...`, as in CIDv0) and the multihash inside of a CIDv1 (`b...`, `k...`, `z...`, `u...`). Fails
  /// with `malformed`, naming the text.
  KADORO_DECL static result<multihash> parse(std::string_view text);

  bool empty() const noexcept { return size_ == 0; }
  bytes_view bytes() const noexcept { return bytes_view(data_).first(size_); }
  /// Of the hash function. Not of an empty one.
  KADORO_DECL std::uint64_t code() const noexcept;
  KADORO_DECL bytes_view digest() const noexcept;

  /// base58btc.
  KADORO_DECL std::string to_string() const;

  friend bool operator==(multihash const& a, multihash const& b) noexcept { return equal(a.bytes(), b.bytes()); }
  friend std::strong_ordering operator<=>(multihash const& a, multihash const& b) noexcept {
    return compare(a.bytes(), b.bytes()) <=> 0;
  }

 private:
  byte_array<max_bytes> data_{};
  std::uint8_t size_ = 0;
  std::uint8_t digest_at_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::multiformats

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/multiformats/impl/multihash.ipp"
#endif
