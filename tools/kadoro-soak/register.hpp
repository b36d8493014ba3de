#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/base/random.hpp"

namespace kadoro_soak {

/// Who is in the swarm and which keys live, for the threads that make up the swarm.
class swarm_register {
 public:
  /// A key whose publisher is there and whose put was acknowledged.
  struct live_key {
    std::string key;
    std::uint64_t publisher = 0;
    double acknowledged_ms = 0;
  };

  void joined(std::uint64_t who, std::string address) {
    std::lock_guard const lock(mutex_);
    there_[who] = std::move(address);
  }
  void left(std::uint64_t who) {
    std::lock_guard const lock(mutex_);
    there_.erase(who);
    std::erase_if(live_, [who](live_key const& k) { return k.publisher == who; });
  }
  void acknowledged(std::uint64_t who, std::string key, double at_ms) {
    std::lock_guard const lock(mutex_);
    if (there_.contains(who)) live_.push_back({std::move(key), who, at_ms});
  }

  bool is_there(std::uint64_t who) const {
    std::lock_guard const lock(mutex_);
    return there_.contains(who);
  }
  std::optional<live_key> any_key(kadoro::random_source& random) const {
    std::lock_guard const lock(mutex_);
    if (live_.empty()) return {};
    return live_[static_cast<std::size_t>(random.below(live_.size()))];
  }
  /// Addresses of up to `n` that are there.
  std::vector<std::string> some(std::size_t n, kadoro::random_source& random) const {
    std::lock_guard const lock(mutex_);
    std::vector<std::string> all;
    for (std::size_t i = 0; i < n && !there_.empty(); ++i) {
      auto at = there_.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random.below(there_.size())));
      all.push_back(at->second);
    }
    return all;
  }
  std::size_t nodes() const {
    std::lock_guard const lock(mutex_);
    return there_.size();
  }
  std::size_t keys() const {
    std::lock_guard const lock(mutex_);
    return live_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::string> there_;  ///< with its address
  std::vector<live_key> live_;
};

}  // namespace kadoro_soak
