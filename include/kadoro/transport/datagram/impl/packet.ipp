#pragma once

#include <sodium.h>

#include <algorithm>

#include "kadoro/transport/datagram/packet.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

KADORO_DECL void store_endpoint(bytes_span out, io::endpoint const& where) noexcept {
  out[0] = where.is_v6() ? 6 : 4;
  std::fill(out.begin() + 1, out.begin() + 17, std::uint8_t{0});
  std::copy(where.address().begin(), where.address().end(), out.begin() + 1);
  store_be(out.data() + 17, where.port());
}

KADORO_DECL io::endpoint load_endpoint(bytes_view data) noexcept {
  byte_array<16> address{};
  std::copy_n(data.begin() + 1, address.size(), address.begin());
  std::uint16_t const port = load_be<std::uint16_t>(data.data() + 17);
  if (data[0] == 6) return io::endpoint::v6(address, port);
  return io::endpoint::v4({address[0], address[1], address[2], address[3]}, port);
}

KADORO_DECL std::size_t write_frame(frame const& f, bytes_span out) noexcept {
  out[0] = static_cast<std::uint8_t>(f.kind);
  store_be(out.data() + 1, f.id);
  out[5] = f.transmission;
  std::copy(f.message.begin(), f.message.end(), out.begin() + frame_header_bytes);
  return frame_header_bytes + f.message.size();
}

KADORO_DECL std::optional<frame> read_frame(bytes_view data) noexcept {
  if (data.size() < frame_header_bytes || data[0] > static_cast<std::uint8_t>(frame_kind::path_response)) return {};
  frame f;
  f.kind = static_cast<frame_kind>(data[0]);
  f.id = load_be<std::uint32_t>(data.data() + 1);
  f.transmission = data[5];
  f.message = data.subspan(frame_header_bytes);
  return f;
}

KADORO_DECL swarm_keys::swarm_keys(std::optional<byte_array<32>> const& swarm_key) noexcept
    : secret_(swarm_key.has_value()) {
  static constexpr byte_array<32> open_swarm{};
  bytes_view const secret = swarm_key ? bytes_view(*swarm_key) : bytes_view(open_swarm);
  psk_ = crypto::hmac_sha256(secret, as_bytes("kadoro datagram psk"));
  mac_key_ = crypto::hmac_sha256(secret, as_bytes("kadoro datagram mac1"));
  cookie_key_ = crypto::hmac_sha256(secret, as_bytes("kadoro datagram cookie"));
}

KADORO_DECL byte_array<mac_bytes> swarm_keys::mac(bytes_view data) const noexcept {
  crypto::digest const full = crypto::hmac_sha256(mac_key_, data);
  byte_array<mac_bytes> cut{};
  std::copy_n(full.begin(), mac_bytes, cut.begin());
  return cut;
}

KADORO_DECL void swarm_keys::stamp(bytes_span packet) const noexcept {
  std::size_t const covered = packet.size() - mac_bytes;
  byte_array<mac_bytes> const code = mac(packet.first(covered));
  std::copy(code.begin(), code.end(), packet.begin() + static_cast<std::ptrdiff_t>(covered));
}

KADORO_DECL bool swarm_keys::stamped(bytes_view packet) const noexcept {
  if (packet.size() < mac_bytes) return false;
  std::size_t const covered = packet.size() - mac_bytes;
  byte_array<mac_bytes> const code = mac(packet.first(covered));
  return sodium_memcmp(code.data(), packet.data() + covered, mac_bytes) == 0;
}

KADORO_DECL byte_array<17 + first_flight_header_bytes> prologue_of(bytes_view first_flight) noexcept {
  static constexpr std::string_view domain = "kadoro datagram 1";
  static_assert(domain.size() == 17);
  byte_array<17 + first_flight_header_bytes> prologue{};
  std::copy(domain.begin(), domain.end(), prologue.begin());
  std::copy_n(first_flight.begin(), first_flight_header_bytes, prologue.begin() + 17);
  return prologue;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
