#pragma once

#include <optional>

#include "kadoro/base/bytes.hpp"
#include "kadoro/crypto/aead.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/io/endpoint.hpp"

/// @file
/// The bytes of a datagram on the outside: five kinds, told apart by the first byte. docs/datagram.md draws them.

namespace kadoro::inline KADORO_ABI::transport::datagram {

inline constexpr std::uint8_t protocol_version = 1;

enum class packet_type : std::uint8_t {
  first_flight = 1,    ///< Noise IK message 1 with a read request inside, padded to `first_flight_bytes`
  answer = 2,          ///< Noise IK message 2 with the answer inside, always shorter than a first flight
  sealed = 3,          ///< a frame under the keys of a session
  other_identity = 4,  ///< "I am X": the first flight was meant for an identity that does not live here
  cookie = 5           ///< first flights come too fast: send yours again, with this
};

inline constexpr std::size_t max_packet_bytes = 1200;
/// To an address that is not validated goes at most so many times what came from it.
inline constexpr std::size_t max_amplification = 3;
inline constexpr std::size_t mac_bytes = 16;
inline constexpr std::size_t key_bytes = 32;
inline constexpr std::size_t tag_bytes = crypto::tag_bytes;

/// First flight: type, version, 2 zero bytes, index of the initiator; e, encrypted s, encrypted payload; mac1; mac2, or
/// zeros if the initiator has no cookie.
inline constexpr std::size_t first_flight_bytes = max_packet_bytes;
inline constexpr std::size_t first_flight_header_bytes = 8;
inline constexpr std::size_t first_flight_noise_bytes =
    first_flight_bytes - first_flight_header_bytes - mac_bytes - mac_bytes;
inline constexpr std::size_t first_flight_payload_bytes =
    first_flight_noise_bytes - key_bytes - (key_bytes + tag_bytes) - tag_bytes;

/// Answer: type, version, 2 zero bytes, index of the responder, index of the initiator; e, encrypted payload; mac1.
inline constexpr std::size_t answer_header_bytes = 12;
inline constexpr std::size_t max_answer_bytes = first_flight_bytes - 1;
inline constexpr std::size_t max_answer_payload_bytes =
    max_answer_bytes - answer_header_bytes - key_bytes - tag_bytes - mac_bytes;

/// Sealed: type, 3 zero bytes, index of the receiver, counter; ciphertext. The header is authenticated.
inline constexpr std::size_t sealed_header_bytes = 16;
inline constexpr std::size_t max_frame_bytes = max_packet_bytes - sealed_header_bytes - tag_bytes;

/// Other identity: type, version, 2 zero bytes, index of the initiator, its e, the Ed25519 key that lives here; mac1.
inline constexpr std::size_t other_identity_bytes = 8 + key_bytes + key_bytes + mac_bytes;

/// Cookie: type, version, 2 zero bytes, index of the initiator, 16 bytes of salt, encrypted cookie; mac1.
inline constexpr std::size_t cookie_packet_bytes = 8 + 16 + (mac_bytes + tag_bytes) + mac_bytes;

/// Frame: kind, request id, number of the transmission; then the message.
inline constexpr std::size_t frame_header_bytes = 6;

/// An address: family (4 or 6), 16 bytes (IPv4 uses the first 4), port.
inline constexpr std::size_t endpoint_bytes = 1 + 16 + 2;

/// A challenge to a new address, which says where the receiver is seen, and its answer, which does not.
inline constexpr std::size_t path_token_bytes = 8;
inline constexpr std::uint8_t path_is_home = 0;  ///< in the place of the number of the transmission
inline constexpr std::uint8_t path_is_new = 1;   ///< nothing but challenges goes there as yet
inline constexpr std::size_t path_challenge_bytes = path_token_bytes + endpoint_bytes;
inline constexpr std::size_t path_packet_bytes =
    sealed_header_bytes + frame_header_bytes + path_challenge_bytes + tag_bytes;

/// The largest message that goes in one sealed packet, and in the answer of a handshake. What is larger goes in
/// fragments, over a session.
inline constexpr std::size_t max_packet_message_bytes = max_frame_bytes - frame_header_bytes;
inline constexpr std::size_t max_handshake_message_bytes = 1080;

/// What precedes the frame in the payload of a first flight: features, mode, Ed25519 key, length of the frame.
inline constexpr std::size_t first_flight_prefix_bytes = 4 + 1 + key_bytes + 2;
inline constexpr std::size_t max_first_flight_message_bytes =
    first_flight_payload_bytes - first_flight_prefix_bytes - frame_header_bytes;
/// Likewise in an answer: index, features, mode, observed address (family, 16 bytes, port), length of the frame.
inline constexpr std::size_t answer_prefix_bytes = 4 + 4 + 1 + 1 + 16 + 2 + 2;

static_assert(answer_prefix_bytes + frame_header_bytes + max_handshake_message_bytes <= max_answer_payload_bytes);

enum class frame_kind : std::uint8_t {
  confirm = 0,  ///< nothing but proof that the sender has the keys
  request = 1,
  answer = 2,
  goodbye = 3,            ///< the sender leaves; the session is over
  fragment = 4,           ///< a piece of a request or an answer: fragment.hpp
  fragments_arrived = 5,  ///< which pieces of one have arrived
  path_challenge = 6,     ///< are you really there? 8 bytes that were sent nowhere else
  path_response = 7       ///< the same bytes, back to where the challenge came from
};

/// The plaintext of a sealed packet, and of the request and the answer inside a handshake.
struct frame {
  frame_kind kind = frame_kind::confirm;
  std::uint32_t id = 0;           ///< chosen by the requester, repeated in the answer
  std::uint8_t transmission = 0;  ///< 0 for the first; repeated in the answer, so that every RTT sample is exact
  bytes_view message;
};

KADORO_DECL void store_endpoint(bytes_span out, io::endpoint const& where) noexcept;
KADORO_DECL io::endpoint load_endpoint(bytes_view data) noexcept;

/// Writes the frame; `out` has room. Returns the bytes written.
KADORO_DECL std::size_t write_frame(frame const& f, bytes_span out) noexcept;
/// Nothing if the bytes are no frame.
KADORO_DECL std::optional<frame> read_frame(bytes_view data) noexcept;

/// What a swarm key, or its absence, turns into.
class swarm_keys {
 public:
  KADORO_DECL explicit swarm_keys(std::optional<byte_array<32>> const& swarm_key) noexcept;

  /// For IKpsk1; null without a swarm key (then IK).
  byte_array<32> const* psk() const noexcept { return secret_ ? &psk_ : nullptr; }

  /// What cookies are encrypted with, together with what only their receiver has.
  byte_array<32> const& cookie_key() const noexcept { return cookie_key_; }

  /// Writes mac1 over everything before it into the last 16 bytes. Of a first flight, that is all but mac2.
  KADORO_DECL void stamp(bytes_span packet) const noexcept;
  /// In constant time.
  KADORO_DECL bool stamped(bytes_view packet) const noexcept;

 private:
  KADORO_DECL byte_array<mac_bytes> mac(bytes_view data) const noexcept;

  byte_array<32> psk_{};
  byte_array<32> mac_key_{};
  byte_array<32> cookie_key_{};
  bool secret_ = false;
};

/// The Noise prologue: binds version, type and index of a first flight to the handshake.
KADORO_DECL byte_array<17 + first_flight_header_bytes> prologue_of(bytes_view first_flight) noexcept;

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/packet.ipp"
#endif
