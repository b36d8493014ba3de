#pragma once

#include <memory>

#include "kadoro/base/time.hpp"
#include "kadoro/crypto/aead.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/transport/datagram/path.hpp"
#include "kadoro/transport/datagram/replay_window.hpp"
#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// The keys and counters that two peers share after a handshake.
///
///     initiator: first flight sent --- answer received ---> confirmed
///     responder: first flight received, answer sent (unconfirmed) --- first sealed packet received ---> confirmed
///
/// A session that is old, or has carried many packets, is followed by another one, made by a handshake of its own:
///
///     fresh --age or packets--> due (serves on; a dial runs) --twice that--> worn out (nothing is sent or taken)
///
/// An unconfirmed session may stem from a replayed first flight: nothing is learned from it, and nothing is sent on it,
/// but to a peer at an address that we would dial ourselves.
struct session {
  static constexpr duration unconfirmed_life = std::chrono::seconds(10);
  static constexpr duration idle_before_redial = std::chrono::minutes(5);    ///< then we no longer send on it
  static constexpr duration idle_before_eviction = std::chrono::minutes(1);  ///< by a stranger, from a full table
  static constexpr duration idle_life = std::chrono::minutes(10);            ///< then it is forgotten

  std::uint32_t local_index = 0;   ///< what the peer addresses it by
  std::uint32_t remote_index = 0;  ///< what we address it by
  peer_ref peer;
  io::endpoint remote;
  crypto::aead_key send_key{};
  crypto::aead_key receive_key{};
  std::uint64_t next_counter = 0;
  replay_window window;
  std::size_t allowance = 0;  ///< bytes that may go out on it before it is confirmed
  bytes first_flight;         ///< until then: the ephemeral key of the peer's
  bool confirmed = false;
  bool initiated = false;                      ///< by us
  peer_mode remote_mode = peer_mode::unknown;  ///< becomes the peer's on confirmation
  std::uint32_t remote_features = 0;           ///< likewise
  time_point created{};
  time_point last_received{};
  std::unique_ptr<path_book> paths;    ///< once it was heard from another address
  std::optional<std::uint64_t> range;  ///< that it counts against, from when it was opened
  time_point next_rekey{};             ///< not before that is another handshake tried
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
