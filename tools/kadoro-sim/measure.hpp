#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>

namespace kadoro_sim {

/// How fast a shard swarm that does nothing is simulated: a rendezvous and `nodes` holders, all with directories over
/// the shipped transport, for `minutes` of simulated time after they have found each other.
nlohmann::ordered_json measure_rest(std::size_t nodes, double minutes);

/// What it costs to simulate a crowd: `nodes` servers start within two seconds and join by one of them, until the last
/// one has joined and found nobody new around it.
nlohmann::ordered_json measure_crowd(std::size_t nodes);

}  // namespace kadoro_sim
