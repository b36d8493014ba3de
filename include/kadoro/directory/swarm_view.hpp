#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/directory/shard_announcement.hpp"

namespace kadoro::inline KADORO_ABI::directory {

/// One holder of one shard, as a directory sees it at one instant.
struct holder_view {
  peer_id peer;
  std::vector<multiaddr> addresses;  ///< confirmed ones first
  duration age{};                    ///< since it was found
  std::optional<duration> heard;     ///< how long ago it was last heard; empty: never
  std::optional<duration> rtt;       ///< smoothed round-trip time; empty: not measured
  bool verified = false;             ///< it was contacted, and no contact has failed since
  bool suspect = false;              ///< a contact failed, or it said goodbye
  bool loaded = false;
  bool own = false;
  std::optional<shard_announcement> details;  ///< empty until its announcement was read

  /// Whether it counts for completeness.
  bool found() const noexcept { return own || !suspect; }
  /// Whether it counts for readiness.
  bool counts() const noexcept { return own || (verified && !suspect); }
};

/// All shards at one instant.
struct swarm_view {
  std::string cluster;
  std::string model_name;
  std::uint32_t total_layers = 0;
  std::vector<std::vector<holder_view>> shards;      ///< by shard id; holders in the order of their ids
  std::map<std::uint32_t, std::string> why_missing;  ///< by shard that nobody is known for: what the last get said
  bool complete = false;
  bool ready = false;

  /// Shards without a holder that is found.
  std::vector<std::uint32_t> missing() const {
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 0; i < shards.size(); ++i)
      if (!covered(i)) out.push_back(i);
    return out;
  }
  bool covered(std::uint32_t shard) const noexcept {
    for (holder_view const& h : shards[shard])
      if (h.found()) return true;
    return false;
  }
  bool loaded(std::uint32_t shard) const noexcept {
    for (holder_view const& h : shards[shard])
      if (h.counts() && h.loaded) return true;
    return false;
  }
  std::size_t replicas() const noexcept {
    std::size_t n = 0;
    for (auto const& holders : shards) n += holders.size();
    return n;
  }
};

}  // namespace kadoro::inline KADORO_ABI::directory
