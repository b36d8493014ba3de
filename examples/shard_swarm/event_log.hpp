#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kadoro/base/result.hpp"

namespace shard_swarm {

/// CLOCK_MONOTONIC in milliseconds.
double monotonic_ms() noexcept;

/// Called first thing in main: the instant that "ms" counts from. Gives it in monotonic_ms.
double process_started() noexcept;

/// Appends events to a file, one JSON object a line, each with one write(2): lines never mix, whoever reads along.
class event_log {
 public:
  event_log() = default;
  event_log(event_log const&) = delete;
  event_log& operator=(event_log const&) = delete;
  ~event_log();

  /// An empty path: nothing is written.
  kadoro::result<void> open(std::string const& path);

  /// `fields` come behind event, ms and mono_ms.
  void write(std::string_view event, nlohmann::ordered_json const& fields = nlohmann::ordered_json::object());

 private:
  int file_ = -1;
};

}  // namespace shard_swarm
