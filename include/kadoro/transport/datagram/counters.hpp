#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// Why a datagram, or what was in it, was dropped. Every drop has a reason, every reason a counter.
enum class drop : std::uint8_t {
  unknown_type,           ///< empty, or its first byte is none of ours
  wrong_size,             ///< shorter than its kind, or a first flight that is not padded
  wrong_version,          ///< a protocol version that we do not speak
  wrong_mac,              ///< another swarm key, or none: a stranger; gets no answer
  rate_limited,           ///< too many first flights from that range, or at all
  no_cookie,              ///< first flights come too fast, and this one proved no address; answered with a cookie
  replayed,               ///< a first flight that was seen before, from elsewhere, too late, or of a confirmed session
  other_identity,         ///< meant for an identity that does not live here; answered with "I am X"
  wrong_identity,         ///< the peer id inside does not belong to the static key
  not_authentic,          ///< the decryption failed: forged, corrupted, or of an older session
  unknown_session,        ///< no session with that index: we restarted, or it ended
  duplicate,              ///< a counter that was seen before
  malformed,              ///< authentic, but what it carries does not parse
  unexpected,             ///< an answer that nobody waits for (any more)
  write_in_first_flight,  ///< only reads may ride there, the rest can be replayed
  sessions_full,          ///< the table of sessions is full
  sessions_range_full,    ///< the address range has its share of it
  session_worn_out,       ///< of or for a session that is past its hard limit
  fragments_peer_full,    ///< the peer has too many messages in fragments open
  fragments_full,         ///< all peers together have
  fragments_expired,      ///< a message of which nothing more came, with all its fragments
  large_answers_full,     ///< an answer in fragments to a peer, or for all peers, too many
  large_answer_given_up,  ///< an answer in fragments that the peer does not take any more
  too_many_paths,         ///< a session is heard from more new addresses than are challenged at once
  count_                  ///< how many reasons there are
};

KADORO_DECL std::string_view to_string(drop why) noexcept;

/// Counters of a datagram transport.
struct counters {
  struct dropped_entry {
    std::uint64_t count = 0;
    io::endpoint last_from;  ///< where the last one came from, to name it
  };

  std::array<dropped_entry, static_cast<std::size_t>(drop::count_)> dropped{};
  std::uint64_t first_flights_sent = 0;
  std::uint64_t first_flights_received = 0;  ///< authentic ones
  std::uint64_t first_flights_repeated = 0;  ///< answered again from the cache
  std::uint64_t knocks_sent = 0;             ///< first flights for others who want to know who gets through to them
  std::uint64_t cookies_given = 0;           ///< to initiators, while first flights came too fast
  std::uint64_t cookies_taken = 0;           ///< from responders, in whose place it is crowded
  std::uint64_t sessions_opened = 0;         ///< as initiator
  std::uint64_t sessions_accepted = 0;       ///< as responder, confirmed
  std::uint64_t requests_sent = 0;
  std::uint64_t retransmissions = 0;
  std::uint64_t requests_received = 0;
  std::uint64_t answers_received = 0;
  std::uint64_t requests_failed = 0;
  std::uint64_t requests_held_back = 0;  ///< not sent: the peer has asked for a pause
  std::uint64_t fragments_sent = 0;
  std::uint64_t fragments_repeated = 0;       ///< among them, sent again
  std::uint64_t fragments_received = 0;       ///< repeated ones among them
  std::uint64_t large_messages_sent = 0;      ///< requests and answers that were begun in fragments
  std::uint64_t large_messages_received = 0;  ///< put together
  std::uint64_t answers_repeated = 0;         ///< from memory, to a large request of which fragments came again
  std::uint64_t records_passed_over = 0;      ///< too large for a peer that knows no fragments
  std::uint64_t rekeys = 0;                   ///< handshakes because a session was old
  std::uint64_t paths_challenged = 0;         ///< challenges to new addresses of sessions
  std::uint64_t paths_moved = 0;              ///< sessions that moved to such a one, after its answer
  std::uint64_t paths_failed = 0;             ///< new addresses that did not answer, or whose old one did
  std::uint64_t paths_returned = 0;           ///< sessions that went back: somebody had passed packets on
  std::uint64_t sessions_worn_out = 0;        ///< sessions that reached their hard limit

  void note(drop why, io::endpoint const& from) noexcept {
    dropped_entry& entry = dropped[static_cast<std::size_t>(why)];
    ++entry.count;
    entry.last_from = from;
  }
  std::uint64_t of(drop why) const noexcept { return dropped[static_cast<std::size_t>(why)].count; }
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/counters.ipp"
#endif
