#pragma once

#include <cstdint>
#include <optional>

#include "kadoro/base/bytes.hpp"
#include "kadoro/transport/datagram/packet.hpp"

/// @file
/// A message that is too large for one packet, cut into at most 64 fragments, and what the other end says of them. Each
/// travels as the message of a frame (`frame_kind::fragment`, `frame_kind::fragments_arrived`), sealed by itself.

namespace kadoro::inline KADORO_ABI::transport::datagram {

inline constexpr std::size_t max_fragments = 64;

/// Fragment: frame header; kind of the message, index, count, number of the sending; then the data.
inline constexpr std::size_t fragment_header_bytes = frame_header_bytes + 5;
/// All fragments of a message carry so much, but for the last.
inline constexpr std::size_t fragment_data_bytes = max_frame_bytes - fragment_header_bytes;
/// The largest message that goes over a session.
inline constexpr std::size_t max_large_message_bytes = max_fragments * fragment_data_bytes;

/// What has arrived: frame header; kind of the message, bitmap, number of the newest sending that has come in.
inline constexpr std::size_t arrived_frame_bytes = frame_header_bytes + 11;

/// One piece of a message. Kind, id and transmission are those that the frame would have if it were whole: they name
/// the message.
struct fragment {
  frame_kind of = frame_kind::request;  ///< or answer
  std::uint32_t id = 0;
  std::uint8_t transmission = 0;
  std::uint8_t index = 0;
  std::uint8_t count = 0;    ///< 2 to 64
  std::uint16_t number = 0;  ///< counts every sending of a piece of this message, the first and the repeated ones
  bytes_view data;

  std::size_t offset() const noexcept { return index * fragment_data_bytes; }
};

/// The word of the receiver, with everything that it has of a message.
struct fragments_arrived {
  static constexpr std::uint64_t all = ~std::uint64_t{0};  ///< it needs no more of it, whatever it got

  frame_kind of = frame_kind::request;
  std::uint32_t id = 0;
  std::uint8_t transmission = 0;
  std::uint64_t bitmap = 0;  ///< bit i: the fragment with index i
  std::uint16_t newest = 0;  ///< the highest number of a sending that has come in
};

/// Writes the whole frame; `out` has room. Returns the bytes written.
KADORO_DECL std::size_t write_fragment(fragment const& f, bytes_span out) noexcept;
KADORO_DECL std::size_t write_arrived(fragments_arrived const& a, bytes_span out) noexcept;

/// Takes a frame of that kind apart; nothing if it does not parse, or says what cannot be.
KADORO_DECL std::optional<fragment> read_fragment(frame const& f) noexcept;
KADORO_DECL std::optional<fragments_arrived> read_arrived(frame const& f) noexcept;

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/fragment.ipp"
#endif
