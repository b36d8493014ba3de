#pragma once

#include <optional>
#include <set>

#include "kadoro/kad/reachability.hpp"
#include "kadoro/transport/datagram/rate_limiter.hpp"
#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// How a node finds out whether strangers can call it, and what it does for others who want to know.
///
///     idle --due, a public address is agreed on--> asked (a helper, with a nonce)
///     asked --a stranger's first flight with the nonce--> idle: verified
///     asked --`patience` after the helper said that somebody has dialled--> idle: failed
///     asked --the helper knows nobody, or says nothing--> idle: nobody
struct dial_back {
  static constexpr std::size_t nonce_bytes = 16;
  static constexpr duration patience = std::chrono::seconds(3);      ///< for a dial that was made
  static constexpr duration helper_time = std::chrono::seconds(15);  ///< that a helper may take
  static constexpr duration first = std::chrono::seconds(3);         ///< after the start
  static constexpr duration shortest = std::chrono::seconds(10);     ///< between two tries, doubled with each
  static constexpr duration longest = std::chrono::minutes(10);
  static constexpr std::size_t max_dialled = 3;  ///< whom a helper asks for one dial
  static constexpr std::size_t max_helpers = 64;

  bool waiting = false;
  byte_array<nonce_bytes> nonce{};
  peer_id helper;
  std::optional<io::endpoint> asked;  ///< the address that is dialled
  time_point give_up{};
  std::optional<bool> dialled;  ///< what the helper says came of it
  time_point next{};
  duration interval = shortest;
  std::set<peer_id> helpers;  ///< asked before: each knows others
  dial_back_record known;

  // What others may cost us: each now and then, all together not often.
  transport::datagram::rate_limiter helps{0.1, 3, 2, 10};
  transport::datagram::rate_limiter knocks{0.2, 3, 2, 10};
};

}  // namespace kadoro::inline KADORO_ABI::kad::detail
