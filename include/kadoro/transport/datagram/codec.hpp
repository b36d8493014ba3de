#pragma once

#include "kadoro/transport/message.hpp"

/// @file
/// Between messages as Kademlia sees them and their protobuf: references become ids with addresses, lists are cut to
/// what one datagram holds.

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// Whether a record fits wherever it may have to go: into a put, into a hand-on, and alone into an answer or a push.
/// Gives the bytes of the longest of these; fails with `too_large`, naming both sizes.
KADORO_DECL result<std::size_t> check_record_fits(bytes_view key, wire::record what);

/// Encodes a request; `room` is memory to work in, which serves again and again. Fails with `too_large`, naming both
/// sizes, if it needs more than `limit`.
KADORO_DECL result<bytes> encode_request(message const& m, std::size_t limit, wire::message& room);

/// What becomes of a record that is too large even for an answer of its own.
enum class oversized : std::uint8_t {
  ask_again,  ///< the cursor stays with it: over a session, where more fits, it will come
  pass_over   ///< the requester can never have it
};

/// As much of an answer as goes into one message.
struct answer_page {
  wire::message what;
  std::size_t bytes_at_most = 0;
  std::size_t passed_over = 0;
};

/// Cuts an answer. Records come first, then providers, then contacts; what does not fit is left out, and the cursors
/// say where to go on. `m.records` are those from the cursor of the request on, and `m.contacts_cursor` is how many
/// contacts the requester has passed; on the wire that is one more, so that 0 stays "that was all" when not even the
/// first contact fits. The page views what `m` does.
KADORO_DECL void cut_answer(message const& m, std::size_t room, oversized large, answer_page& out);
inline answer_page cut_answer(message const& m, std::size_t room, oversized large) {
  answer_page out;
  cut_answer(m, room, large, out);
  return out;
}

/// Decodes a request. `room` is memory to work in, which serves again and again. Views stay in `data`. Contacts in it
/// are skipped: a request teaches nothing. Fails with `malformed` or `too_large`.
KADORO_DECL result<message> decode_request(bytes_view data, wire::message& room);

/// Decodes an answer, or a request that came over a confirmed session: of these, a push has contacts that count. Views
/// stay in `data`. Contacts are interned in `book`, their addresses noted as hearsay; entries that are no valid peer,
/// `self` among them, are skipped. Fails with `malformed` or `too_large`.
KADORO_DECL result<message> decode_answer(bytes_view data, peer_book& book, peer_id const& self, wire::message& room);
KADORO_DECL result<message> decode_request(bytes_view data, peer_book& book, peer_id const& self, wire::message& room);

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/codec.ipp"
#endif
