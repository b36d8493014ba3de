#pragma once

#include "kadoro/transport/message.hpp"

/// @file
/// Messages as libp2p's schema has them (libp2p specs, kad-dht): kadoro's own codec, without what kadoro adds to it. No
/// lists of records, signatures, sequences, tombstones, refusals or pages; at most 16 KiB.

namespace kadoro_sim {

inline constexpr std::size_t max_stream_message_bytes = 16 * 1024;

/// Whether a peer that speaks that schema only knows this request.
constexpr bool is_libp2p(kadoro::transport::message_type type) noexcept {
  return static_cast<std::uint32_t>(type) <= static_cast<std::uint32_t>(kadoro::transport::message_type::ping);
}

/// Fails with `too_large`, naming both sizes.
kadoro::result<kadoro::bytes> encode_stream_request(kadoro::transport::message const& m);

/// Of the records goes out the first that is no tombstone. The answer to a put repeats the record. Contacts that do not
/// fit any more are left out, and so is a record.
kadoro::bytes encode_stream_answer(kadoro::transport::message const& request, kadoro::transport::message const& answer);

/// Likewise in the other direction. The record of an answer to a get comes in `records`. Views stay in `data`.
kadoro::result<kadoro::transport::message> decode_stream_request(kadoro::bytes_view data);
kadoro::result<kadoro::transport::message> decode_stream_answer(kadoro::bytes_view data,
                                                                kadoro::transport::peer_book& book,
                                                                kadoro::transport::peer_id const& self);

/// The bytes that a put of this record needs.
std::size_t stream_put_bytes(kadoro::bytes_view key, kadoro::wire::record const& what);

}  // namespace kadoro_sim
