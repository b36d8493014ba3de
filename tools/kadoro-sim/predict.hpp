#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "recording.hpp"

namespace kadoro_sim {

/// What the events of a real swarm do not say. One machine runs all of it, and the network between the processes: the
/// costs are its CPU time for sending a datagram, passing it on and receiving it, crypto and kernel included.
struct predict_settings {
  std::string cluster = "llama-cluster";
  double rtt_ms = 76;
  std::size_t cores = 2;
  double datagram_us = 50;
  double handshake_us = 280;  ///< of each of the datagrams that open a session
};

struct prediction {
  /// The furthest that a predicted figure may be from the real one, in percent.
  static constexpr double tolerance_percent = 5;

  nlohmann::ordered_json figures;
  bool good = false;  ///< medians of put and get, and the last to be complete, are within the tolerance
};

/// Simulates the swarm of `real`: all begin at the same offsets, at the same places in the key space, and do what
/// `shard_swarm` does; the first node puts with quorum all. The network only delays. A deterministic function of its
/// arguments. What does not happen within a simulated hour is null among the figures, which is not good. Errors:
/// `invalid_argument` for a cluster that cannot be one.
kadoro::result<prediction> predict(recording const& real, predict_settings const& how);

}  // namespace kadoro_sim
