#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kadoro/directory/swarm_view.hpp"
#include "kadoro/kad/node.hpp"

namespace kadoro::inline KADORO_ABI::directory {

/// What a node can say about itself, beside its view of the swarm.
struct local_status {
  peer_id peer;
  kad::peer_mode mode = kad::peer_mode::server;
  std::string_view backend;
  std::string backend_details;  ///< what it takes of its system, and why it was chosen
  std::vector<multiaddr> addresses;
  kad::reachability reachability;  ///< whether others can call it
  std::size_t table_size = 0;      ///< contacts in the routing table
  std::size_t servers = 0;         ///< of these, the ones that answer
  std::size_t stored_records = 0;
  duration uptime{};

  // For the program to fill in.
  std::optional<std::uint32_t> shard_id;  ///< the one that this node holds
  bool shard_loaded = false;
  std::string shard_file;  ///< empty: none
  std::uint32_t active_requests = 0;
  std::string stored_on;  ///< the receipt of the last announcement, in words
  std::string last_error;

  /// The part that the node knows; `started` is when the program began, on the node's clock.
  KADORO_DECL static local_status of(kad::node& node, time_point started);
};

/// The block that an operator reads: who this is, whom it knows, and for every shard who holds it and since when.
KADORO_DECL std::string status_text(swarm_view const& swarm, local_status const& local);

/// The same for programs: one JSON object with the field names of the GET_NODE_STATUS answer, and more.
KADORO_DECL std::string status_json(swarm_view const& swarm, local_status const& local);

/// `server` or `client`.
KADORO_DECL std::string_view to_string(kad::peer_mode mode) noexcept;

}  // namespace kadoro::inline KADORO_ABI::directory

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/directory/impl/status.ipp"
#endif
