#pragma once

#include <algorithm>
#include <cassert>
#include <string_view>

#include "kadoro/kad/record.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

inline constexpr std::string_view record_domain("kadoro record 1\0", 16);

/// Writes one field after the other into a buffer that has exactly their size.
class field_writer {
 public:
  explicit field_writer(bytes& into) noexcept : at_(into.data()) {}

  template <class Unsigned>
  void number(Unsigned value) noexcept {
    store_be(at_, value);
    at_ += sizeof value;
  }
  void data(bytes_view what) noexcept { at_ = std::copy(what.begin(), what.end(), at_); }
  void prefixed(bytes_view what) noexcept {
    number(static_cast<std::uint16_t>(what.size()));
    data(what);
  }

 private:
  std::uint8_t* at_;
};

inline bool key_fits(bytes_view key) noexcept { return !key.empty() && key.size() <= record::max_key_bytes; }

inline bool lifetime_fits(duration d) noexcept {
  return d >= record::min_lifetime && d <= record::max_lifetime && d % std::chrono::milliseconds(1) == duration(0);
}

/// What a record and its header share. Takes both, to fill in.
template <class Record>
result<void> read_common(wire::record const& from, bytes_view key_if_absent, Record& to) {
  bytes_view const key = from.key.empty() ? key_if_absent : from.key;
  if (from.signature.empty()) return fail(errc::refused_unsupported, "an unsigned record");
  if (from.signature.size() != to.signature.size()) return fail(errc::malformed, "a signature that is not 64 bytes");
  if (equal(from.signature, byte_array<64>{})) return fail(errc::malformed, "a signature that is all zero");
  auto publisher = peer_id::from_bytes(from.publisher);
  if (!publisher) return fail(errc::malformed, "a record whose publisher is no peer id");
  if (!publisher->ed25519_key()) return fail(errc::malformed, "a record whose publisher has no Ed25519 key in its id");
  if (!key_fits(key)) return fail(errc::malformed, "a record whose key is not 1 to 255 bytes");
  duration const lifetime = std::chrono::milliseconds(from.lifetime_ms);
  if (!lifetime_fits(lifetime)) return fail(errc::malformed, "a record whose lifetime is not 1 ms to 48 h");
  to.key = to_bytes(key);
  to.publisher = *publisher;
  to.sequence = from.sequence;
  to.lifetime_max = lifetime;
  to.flags = from.flags;
  std::copy(from.signature.begin(), from.signature.end(), to.signature.begin());
  return {};
}

template <class Record>
wire::record common_to_wire(Record const& r, bool with_key) {
  wire::record out;
  if (with_key) out.key = r.key;
  out.publisher = r.publisher.bytes();
  out.sequence = r.sequence;
  out.lifetime_ms = to_wire_ms(r.lifetime_max);
  out.flags = r.flags;
  if (r.signature != byte_array<64>{}) out.signature = r.signature;
  return out;
}

inline crypto::digest const& hash_of_nothing() {
  static crypto::digest const hash = crypto::sha256({});
  return hash;
}

}  // namespace detail

KADORO_DECL bool record_header::tombstone() const noexcept {
  return (flags & record::flag_tombstone) != 0 && value_hash == detail::hash_of_nothing();
}

KADORO_DECL bytes record_header::signed_bytes() const {
  bytes_view const id = publisher.bytes();
  kadoro::bytes out(detail::record_domain.size() + 2 + key.size() + 2 + id.size() + 8 + 4 + 4 + value_hash.size());
  detail::field_writer to(out);
  to.data(as_bytes(detail::record_domain));
  to.prefixed(key);
  to.prefixed(id);
  to.number(sequence);
  to.number(to_wire_ms(lifetime_max));
  to.number(flags);
  to.data(value_hash);
  return out;
}

KADORO_DECL bool record_header::verify() const {
  std::optional<byte_array<32>> const signer = publisher.ed25519_key();
  return signer && crypto::verify(*signer, signed_bytes(), signature);
}

KADORO_DECL bool record_header::same_content(record_header const& other) const noexcept {
  return key == other.key && publisher == other.publisher && sequence == other.sequence &&
         lifetime_max == other.lifetime_max && flags == other.flags && value_hash == other.value_hash;
}

KADORO_DECL record record::make(crypto::identity const& publisher, bytes_view key, std::uint64_t sequence,
                                duration lifetime_max, std::uint32_t flags, bytes_view value) {
  record made;
  made.key = to_bytes(key);
  made.publisher = peer_id::of_ed25519(publisher.public_key());
  made.sequence = sequence;
  made.lifetime_max = std::chrono::floor<std::chrono::milliseconds>(lifetime_max);
  made.flags = flags;
  made.value = to_bytes(value);
  assert(made.well_formed());
  made.signature = publisher.sign(made.header().signed_bytes());
  return made;
}

KADORO_DECL bool record::within_limits() const noexcept {
  return detail::key_fits(key) && detail::lifetime_fits(lifetime_max) && value.size() <= max_value_bytes &&
         ((flags & flag_tombstone) == 0 || value.empty());
}

KADORO_DECL bool record::well_formed() const noexcept { return within_limits() && publisher.ed25519_key().has_value(); }

KADORO_DECL record_header record::header() const {
  return {key, publisher, sequence, lifetime_max, flags, crypto::sha256(value), signature};
}

KADORO_DECL wire::record to_wire(record const& r, std::uint32_t remaining_ms, bool with_key) {
  wire::record out = detail::common_to_wire(r, with_key);
  out.value = r.value;
  out.remaining_ms = remaining_ms;
  return out;
}

KADORO_DECL wire::record to_wire(record_header const& h, bool with_key) {
  wire::record out = detail::common_to_wire(h, with_key);
  out.value_hash = h.value_hash;
  return out;
}

KADORO_DECL wire::record to_wire_unsigned(record const& r, duration remaining) {
  wire::record out;
  out.key = r.key;
  out.value = r.value;
  out.publisher = r.publisher.bytes();
  out.ttl_s = std::max(1u, to_wire_ms(remaining) / 1000);
  return out;
}

KADORO_DECL result<record> from_wire(wire::record const& r, bytes_view key_if_absent) {
  record out;
  auto const common = detail::read_common(r, key_if_absent, out);
  if (!common) return fail(common.error());
  if (r.value.size() > record::max_value_bytes) return fail(errc::malformed, "a record whose value is over 64 KiB");
  out.value = to_bytes(r.value);
  if (!out.well_formed()) return fail(errc::malformed, "a tombstone with a value");
  return out;
}

KADORO_DECL result<record_header> header_from_wire(wire::record const& r, bytes_view key_if_absent) {
  record_header out;
  auto const common = detail::read_common(r, key_if_absent, out);
  if (!common) return fail(common.error());
  if (r.value_hash.size() != out.value_hash.size()) return fail(errc::malformed, "a record header without value hash");
  std::copy(r.value_hash.begin(), r.value_hash.end(), out.value_hash.begin());
  if ((out.flags & record::flag_tombstone) != 0 && !out.tombstone())
    return fail(errc::malformed, "a tombstone with a value");
  return out;
}

KADORO_DECL result<record> unsigned_from_wire(wire::record const& r, bytes_view key_if_absent) {
  if (!r.signature.empty() || r.sequence != 0 || r.lifetime_ms != 0 || r.flags != 0 || !r.value_hash.empty())
    return fail(errc::malformed, "a record that was signed once");
  record out;
  if (!r.publisher.empty()) {
    auto const publisher = peer_id::from_bytes(r.publisher);
    if (!publisher) return fail(errc::malformed, "a record whose publisher is no peer id");
    out.publisher = *publisher;
  }
  duration remaining = unsigned_lifetime;
  if (r.remaining_ms != 0)
    remaining = std::chrono::milliseconds(r.remaining_ms);
  else if (r.ttl_s != 0)
    remaining = std::chrono::seconds(r.ttl_s);
  out.key = to_bytes(r.key.empty() ? key_if_absent : r.key);
  out.lifetime_max = std::min(remaining, unsigned_lifetime);
  out.value = to_bytes(bytes_view(r.value).first(std::min(r.value.size(), record::max_value_bytes + 1)));
  if (!out.within_limits()) return fail(errc::malformed, "a record whose key is not 1 to 255 bytes, or over 64 KiB");
  return out;
}

KADORO_DECL std::uint32_t to_wire_ms(duration d) noexcept {
  duration const bounded = std::clamp(d, duration(0), record::max_lifetime);
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(bounded).count());
}

}  // namespace kadoro::inline KADORO_ABI::kad
