#pragma once

#include <chrono>
#include <string>

#include "kadoro/base/time.hpp"
#include "kadoro/directory/shard_announcement.hpp"
#include "kadoro/kad/quorum.hpp"

namespace kadoro::inline KADORO_ABI::directory {

/// Which swarm a directory is of, and how closely it looks.
struct directory_options {
  static constexpr std::size_t max_cluster_bytes = 200;

  std::string cluster = "llama-cluster";  ///< in the keys; no '/'
  std::string model_name = "llama-8b";
  std::uint32_t total_shards = 4;
  std::uint32_t total_layers = 32;

  duration lifetime = std::chrono::seconds(10);  ///< of an announcement after the last renewal
  kad::quorum quorum = kad::quorum::majority();  ///< of puts, and of gets of a shard's own key

  duration contact_interval = std::chrono::seconds(1);  ///< of silence, then a holder is pinged
  duration contact_timeout = std::chrono::seconds(1);   ///< then it is a suspect

  std::size_t max_holders_per_shard = 64;
};

}  // namespace kadoro::inline KADORO_ABI::directory
