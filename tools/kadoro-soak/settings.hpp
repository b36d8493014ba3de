#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kadoro/base/time.hpp"

/// @file
/// What the command line says, as values.

namespace kadoro_soak {

using namespace kadoro;

/// Of the whole soak.
struct soak_settings {
  double minutes = 120;
  std::size_t processes = 8;
  std::uint64_t seed = 1;
  double rate = 60;   ///< operations a second, of each process
  double gap_s = 30;  ///< between two disturbances, on average
  std::size_t replicas = 4;
  std::string folder;  ///< empty: a fresh one in /tmp, removed if all is well
  bool json = false;
  bool steps = false;  ///< every get tells whom it asked
};

/// Of one of its processes.
struct worker_settings {
  std::size_t index = 0;
  unsigned life = 1;  ///< how often it has started, this time included
  std::uint64_t seed = 1;
  std::size_t processes = 8;
  double rate = 60;
  std::size_t replicas = 4;
  std::string folder;
  std::string listen;
  std::vector<std::string> peers;  ///< multiaddrs to start from; none: those in its database
  bool steps = false;
};

/// Of `churn`.
struct churn_settings {
  std::size_t nodes = 300;
  double churn_percent = 5;  ///< of the nodes, that leave in a minute; as many come
  double minutes = 20;
  double gets = 100;            ///< a second, all nodes together
  double puts = 5;              ///< likewise; each replaces a record
  std::size_t keys = 5;         ///< of each node
  double lifetime_minutes = 5;  ///< of a record without its publisher
  std::size_t replicas = 20;
  std::size_t threads = 2;
  std::uint64_t seed = 1;
  bool json = false;
};

/// Of `loopback`.
struct loopback_settings {
  std::string program;  ///< shard_swarm
  std::size_t runs = 20;
  double rest_s = 60;
};

// What a process publishes, under keys that the others can guess.
inline constexpr std::size_t own_keys = 200;
inline constexpr std::size_t durable_keys = 8;  ///< the first of these: put seldom, on disk
inline constexpr std::size_t large_keys = 12;   ///< those behind: values of several KiB
inline constexpr std::size_t shared_keys = 4;   ///< everybody publishes under these, and watches them
inline constexpr std::size_t contents = 8;      ///< that everybody may provide

inline constexpr duration lifetime = std::chrono::minutes(2);
inline constexpr duration durable_lifetime = std::chrono::minutes(30);
/// After that an operation is asked to end, and has failed.
inline constexpr duration operation_deadline = std::chrono::seconds(20);
/// One that ignores that hangs.
inline constexpr duration hang = std::chrono::seconds(60);

/// Exit codes.
inline constexpr int exit_good = 0;
inline constexpr int exit_bad = 1;
inline constexpr int exit_usage = 2;

int run_soak(soak_settings const& settings);
int run_worker(worker_settings const& settings);
int run_churn(churn_settings const& settings);
int run_loopback(loopback_settings const& settings);

}  // namespace kadoro_soak
