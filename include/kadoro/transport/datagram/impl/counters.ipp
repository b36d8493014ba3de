#pragma once

#include "kadoro/transport/datagram/counters.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

KADORO_DECL std::string_view to_string(drop why) noexcept {
  switch (why) {
    case drop::unknown_type: return "unknown type";
    case drop::wrong_size: return "wrong size";
    case drop::wrong_version: return "wrong protocol version";
    case drop::wrong_mac: return "wrong swarm key";
    case drop::rate_limited: return "rate limited";
    case drop::no_cookie: return "no cookie";
    case drop::replayed: return "replayed";
    case drop::other_identity: return "meant for another identity";
    case drop::wrong_identity: return "peer id does not match its key";
    case drop::not_authentic: return "not authentic";
    case drop::unknown_session: return "unknown session";
    case drop::duplicate: return "duplicate";
    case drop::malformed: return "malformed";
    case drop::unexpected: return "unexpected answer";
    case drop::write_in_first_flight: return "write in a first flight";
    case drop::sessions_full: return "session table full";
    case drop::sessions_range_full: return "too many sessions of one range";
    case drop::session_worn_out: return "session worn out";
    case drop::fragments_peer_full: return "too many fragments of one peer";
    case drop::fragments_full: return "too many fragments";
    case drop::fragments_expired: return "fragments expired";
    case drop::large_answers_full: return "too many large answers";
    case drop::large_answer_given_up: return "large answer given up";
    case drop::too_many_paths: return "too many new addresses of a session";
    case drop::count_: break;
  }
  return "unknown reason";
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
