#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "child_process.hpp"

namespace shard_swarm {

/// A member of the scenario: its process, and what its events have told so far. Outlives restarts of the process.
class observed_process {
 public:
  /// `folder` gets its files: NAME.jsonl, NAME.addr, NAME.out.
  observed_process(std::string name, std::string const& folder);

  /// Starts it (again) with these arguments, and with those for its files. Throws `std::system_error`.
  void start(std::vector<std::string> arguments);
  /// Reads what its events have to say since the last time.
  void read_events();

  std::string const& name() const noexcept { return name_; }
  child_process& process() noexcept { return process_; }
  /// Its multiaddr; empty as long as it does not listen.
  std::string address() const;
  /// As its last `listening` said.
  std::string const& peer_id() const noexcept { return peer_id_; }
  std::string const& backend() const noexcept { return backend_; }
  std::string const& io_backend() const noexcept { return io_backend_; }
  double started_ms() const noexcept { return started_ms_; }

  /// When the last event of that kind since the last start came, in monotonic milliseconds; `after` and later.
  std::optional<double> saw(std::string const& event, double after = 0) const;
  std::optional<double> saw(std::string const& event, std::string const& holder, double after) const;
  /// The bench line of that operation, null if there is none yet.
  nlohmann::json bench(std::string const& op) const;

  bool complete() const noexcept { return complete_; }
  /// Holders of each shard, as its events have it.
  std::map<std::uint32_t, std::map<std::string, bool>> const& map() const noexcept { return map_; }  // true: suspect
  std::string const& last_event() const noexcept { return last_event_; }

 private:
  void take(nlohmann::json const& event);

  std::string name_;
  std::string base_;
  child_process process_;
  std::ifstream log_;
  std::string partial_;
  std::vector<nlohmann::json> events_;  ///< since the last start
  std::string peer_id_;
  std::string backend_;
  std::string io_backend_;
  std::string last_event_;
  double started_ms_ = 0;
  bool complete_ = false;
  std::map<std::uint32_t, std::map<std::string, bool>> map_;
};

}  // namespace shard_swarm
