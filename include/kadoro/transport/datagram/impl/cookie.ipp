#pragma once

#include <sodium.h>

#include "kadoro/transport/datagram/cookie.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

namespace detail {

inline constexpr std::size_t cookie_salt_bytes = 16;
inline constexpr std::size_t cookie_header_bytes = 8 + cookie_salt_bytes;
static_assert(cookie_packet_bytes == cookie_header_bytes + mac_bytes + tag_bytes + mac_bytes);

/// One key for each cookie packet: bound to the first flight by its mac1, and never used twice thanks to the salt.
inline crypto::aead_key cookie_key(swarm_keys const& keys, bytes_view first_flight, bytes_view salt) noexcept {
  byte_array<cookie_salt_bytes + mac_bytes> both{};
  std::copy(salt.begin(), salt.end(), both.begin());
  std::copy_n(first_flight.begin() + (first_flight_bytes - 2 * mac_bytes), mac_bytes, both.begin() + cookie_salt_bytes);
  return crypto::hmac_sha256(keys.cookie_key(), both);
}

inline byte_array<mac_bytes> short_hmac(bytes_view key, bytes_view data) noexcept {
  crypto::digest const full = crypto::hmac_sha256(key, data);
  byte_array<mac_bytes> cut{};
  std::copy_n(full.begin(), mac_bytes, cut.begin());
  return cut;
}

}  // namespace detail

KADORO_DECL cookie cookie_maker::cookie_of(secret const& by, io::endpoint const& of) noexcept {
  byte_array<18> where{};
  std::copy(of.address().begin(), of.address().end(), where.begin());
  store_be(where.data() + 16, of.port());
  return detail::short_hmac(by.key, where);
}

KADORO_DECL cookie cookie_maker::make(io::endpoint const& of, time_point now, random_source& random) {
  if (!now_.there || now - now_.made >= secret_life) {
    before_ = now_;
    random.fill(now_.key);
    now_.made = now;
    now_.there = true;
  }
  return cookie_of(now_, of);
}

KADORO_DECL bool cookie_maker::knows(bytes_view first_flight, io::endpoint const& from, time_point now) const noexcept {
  bytes_view const mac2 = first_flight.subspan(first_flight_bytes - mac_bytes);
  for (secret const* const by : {&now_, &before_}) {
    if (!by->there || now - by->made >= 2 * secret_life) continue;
    byte_array<mac_bytes> const right = mac2_of(first_flight, cookie_of(*by, from));
    if (sodium_memcmp(right.data(), mac2.data(), mac_bytes) == 0) return true;
  }
  return false;
}

KADORO_DECL byte_array<mac_bytes> mac2_of(bytes_view first_flight, cookie const& what) noexcept {
  return detail::short_hmac(what, first_flight.first(first_flight_bytes - mac_bytes));
}

KADORO_DECL byte_array<cookie_packet_bytes> write_cookie(swarm_keys const& keys, bytes_view first_flight,
                                                         cookie const& what, random_source& random) noexcept {
  byte_array<cookie_packet_bytes> packet{};
  packet[0] = static_cast<std::uint8_t>(packet_type::cookie);
  packet[1] = protocol_version;
  std::copy_n(first_flight.begin() + 4, 4, packet.begin() + 4);  // the index of the initiator
  bytes_span const salt = bytes_span(packet).subspan(8, detail::cookie_salt_bytes);
  random.fill(salt);
  crypto::seal(detail::cookie_key(keys, first_flight, salt), 0, bytes_view(packet).first(detail::cookie_header_bytes),
               what, bytes_span(packet).subspan(detail::cookie_header_bytes, mac_bytes + tag_bytes));
  keys.stamp(packet);
  return packet;
}

KADORO_DECL std::optional<cookie> read_cookie(swarm_keys const& keys, bytes_view first_flight,
                                              bytes_view packet) noexcept {
  bytes_view const salt = packet.subspan(8, detail::cookie_salt_bytes);
  cookie what{};
  if (!crypto::open(detail::cookie_key(keys, first_flight, salt), 0, packet.first(detail::cookie_header_bytes),
                    packet.subspan(detail::cookie_header_bytes, mac_bytes + tag_bytes), what))
    return std::nullopt;
  return what;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
