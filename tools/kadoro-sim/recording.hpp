#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kadoro/base/result.hpp"
#include "kadoro/multiformats/peer_id.hpp"

namespace kadoro_sim {

/// Operations that one process did one after the other.
struct recorded_bench {
  std::size_t count = 0;
  double p50_ms = 0;
};

/// One process of a real swarm, as its events tell. Times are in milliseconds since the process began, but `began_ms`.
struct recorded_process {
  kadoro::multiformats::peer_id id;
  double began_ms = 0;  ///< on the clock that all processes share
  double listening_ms = 0;
  std::size_t replicas = 0;  ///< on how many it wanted to be announced
  double announced_ms = 0;
  double complete_ms = 0;
  recorded_bench puts;
  recorded_bench gets;
};

/// A real swarm: a rendezvous, and as many nodes as there are shards, node i with shard i - 1. At least two.
struct recording {
  static constexpr std::size_t max_nodes = 1000;
  static constexpr std::size_t max_operations = 100'000;  ///< of one process
  static constexpr double max_offset_ms = 3.6e6;          ///< from the first process that began to the last

  std::vector<recorded_process> processes;  ///< the rendezvous first

  /// Reads 0.jsonl, 1.jsonl, ... of `folder`: what the processes of `shard_swarm` write with `--events`, the rendezvous
  /// first. The first node must have put and got. Errors: `io_failure`, `invalid_argument`; they name the file and the
  /// line, or the event that is missing.
  static kadoro::result<recording> read(std::string const& folder);
};

}  // namespace kadoro_sim
