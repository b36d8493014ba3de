#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/io/endpoint.hpp"
#include "kadoro/kad/node_options.hpp"
#include "kadoro/kad/quorum.hpp"

/// @file
/// What the command line says, as values.

namespace shard_swarm {

using namespace kadoro;

/// Of every member of the swarm.
struct member_settings {
  std::vector<std::string> listen;  ///< one, or one of IPv4 and one of IPv6
  std::string identity;             ///< file; empty: a fresh identity
  std::string swarm_key;            ///< file; empty: an open swarm
  std::string data;                 ///< folder; empty: nothing is kept across restarts
  bool data_required = false;
  std::string mode = "server";
  std::size_t replicas = kad::node_options::default_replicas;
  std::string addr_file;
  std::string events;
  double status_interval_s = 30;
  std::string io;  ///< `auto`, `asio` or `uring`; empty: what KADORO_IO says
  std::vector<std::string> bootstrap;
};

struct node_settings : member_settings {
  std::string cluster = "llama-cluster";
  std::uint32_t shard_id = 0;
  std::uint32_t total_shards = 4;
  std::uint32_t total_layers = 32;
  std::string model_name = "llama-8b";
  std::string shards_dir;  ///< empty: this node has no shard files
  std::string quorum = "majority";
  double lifetime_s = 10;
  std::size_t put = 0;
  bool durable = false;
  std::size_t get = 0;
  std::optional<std::uint32_t> get_from;
};

struct scenario_settings {
  bool json = false;
  bool keep = false;
  std::string io;  ///< of all its processes
};

/// Exit codes.
inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;

int run_rendezvous(member_settings const& settings);
int run_node(node_settings const& settings);
int run_scenario(scenario_settings const& settings);

}  // namespace shard_swarm
