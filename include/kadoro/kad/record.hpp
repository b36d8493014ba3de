#pragma once

#include <cstdint>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/multiformats/peer_id.hpp"
#include "kadoro/wire/message.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using multiformats::peer_id;

/// A signed record without its value: what the publisher signed, and enough to verify that it did.
///
/// Signed are, in this order: the 16 bytes "kadoro record 1\0", the key and the publisher's peer id, each with its
/// length before it (u16), sequence (u64), lifetime in milliseconds (u32), flags (u32), SHA-256 of the value. All
/// integers are big-endian.
struct record_header {
  kadoro::bytes key;
  peer_id publisher;
  std::uint64_t sequence = 0;
  duration lifetime_max{};
  std::uint32_t flags = 0;
  crypto::digest value_hash{};
  byte_array<64> signature{};

  KADORO_DECL bool tombstone() const noexcept;
  KADORO_DECL kadoro::bytes signed_bytes() const;

  /// Whether the publisher signed this. Costs about as much as 50 hashes: see `verified_cache`.
  KADORO_DECL bool verify() const;

  /// Whether both say the same; the signatures are not compared.
  KADORO_DECL bool same_content(record_header const& other) const noexcept;
};

/// A record: what one publisher says under one key, for at most `lifetime_max` after it last said so. The highest
/// sequence counts. Owns its bytes.
///
/// Peers that do not sign (libp2p's) have records without signature: those have sequence 0, no flag but the provider's,
/// their `lifetime_max` is what they had left when they were read, and who the publisher is, if they name one at all,
/// is somebody's word. Content-addressed records have no publisher and no sequence either, and one flag,
/// `flag_content`.
struct record {
  static constexpr std::uint32_t flag_tombstone = 1;  ///< withdraws what came before; has no value
  static constexpr std::uint32_t flag_provider = 2;   ///< says that the publisher provides what the key names
  static constexpr std::uint32_t flag_content = 4;    ///< without signature: the key is the hash of the value

  static constexpr std::size_t max_key_bytes = 255;
  static constexpr std::size_t max_value_bytes = 64 * 1024;
  static constexpr duration min_lifetime = std::chrono::milliseconds(1);
  static constexpr duration max_lifetime = std::chrono::hours(48);

  kadoro::bytes key;
  peer_id publisher;
  std::uint64_t sequence = 0;
  duration lifetime_max{};  ///< whole milliseconds
  std::uint32_t flags = 0;
  kadoro::bytes value;
  byte_array<64> signature{};  ///< all zero, which no key ever signs: a record without signature

  /// Makes and signs a record; the lifetime is rounded down to milliseconds. Precondition: the result is
  /// `well_formed()`, that is, the caller has checked what came from its user.
  KADORO_DECL static record make(crypto::identity const& publisher, bytes_view key, std::uint64_t sequence,
                                 duration lifetime_max, std::uint32_t flags, bytes_view value);

  bool tombstone() const noexcept { return (flags & flag_tombstone) != 0 && value.empty(); }
  /// An entry of a provider (see provider.hpp), or its tombstone: no record that a get would show.
  bool provides() const noexcept { return (flags & flag_provider) != 0; }
  bool is_signed() const noexcept { return signature != byte_array<64>{}; }
  /// Content-addressed (see content.hpp): nobody's word, and true by itself.
  bool is_content() const noexcept { return (flags & flag_content) != 0 && !is_signed(); }

  /// Key, value and lifetime within the limits above, and no tombstone with a value.
  KADORO_DECL bool within_limits() const noexcept;

  /// Within the limits, and from a publisher that can sign.
  KADORO_DECL bool well_formed() const noexcept;

  KADORO_DECL record_header header() const;
  bool verify() const { return header().verify(); }

  friend bool operator==(record const&, record const&) = default;
};

/// A view of `r` for the wire, valid as long as `r`. `remaining_ms` is what is left of its life; the key may be left
/// out where the message around it says it already.
KADORO_DECL wire::record to_wire(record const& r, std::uint32_t remaining_ms, bool with_key);
KADORO_DECL wire::record to_wire(record_header const& h, bool with_key);
/// Likewise what libp2p's schema has of it: key, value, publisher and the seconds that remain. Those are rounded down,
/// but 1 at least, because 0 says nothing.
KADORO_DECL wire::record to_wire_unsigned(record const& r, duration remaining);

/// Copies a record from the wire; `key_if_absent` stands in where the record itself names no key. Does not verify.
/// Fails with `malformed` for a record that is not well formed, and with `refused_unsupported` for an unsigned one.
KADORO_DECL result<record> from_wire(wire::record const& r, bytes_view key_if_absent);
/// Likewise for a header, which has a `value_hash`.
KADORO_DECL result<record_header> header_from_wire(wire::record const& r, bytes_view key_if_absent);

/// Copies a record without signature. Its life is what it says remains of it, `unsigned_lifetime` if it says nothing,
/// and never more; its publisher stays empty if it names none. Fails with `malformed` for a record that is over a
/// limit, whose publisher is no peer id, or that has anything which only a signed one can have: then its signature was
/// taken away.
KADORO_DECL result<record> unsigned_from_wire(wire::record const& r, bytes_view key_if_absent);

/// How long a record without signature lives that does not say it: as in libp2p.
inline constexpr duration unsigned_lifetime = record::max_lifetime;

/// How long the sequence of an expired record is remembered: a copy elsewhere can be as old as its lifetime, by a clock
/// that runs up to 5 % slow.
inline duration memory_of(duration lifetime) noexcept { return lifetime + lifetime / 20; }

/// `d` in whole milliseconds, rounded down, for fields of 32 bits: 0 if negative, at most `max_lifetime`.
KADORO_DECL std::uint32_t to_wire_ms(duration d) noexcept;

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/record.ipp"
#endif
