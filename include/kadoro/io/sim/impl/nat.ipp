#pragma once

#include "kadoro/io/sim/nat.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

KADORO_DECL std::optional<endpoint> nat::outbound(endpoint const& inside, endpoint const& remote, time_point now) {
  if (inside.is_v6() != address_.is_v6()) return std::nullopt;
  bool const by_remote = policy_.mapping == nat_behaviour::endpoint_dependent;
  key const flow{inside, by_remote ? remote : endpoint()};
  auto const found = mappings_.find(flow);
  mapping* used = found == mappings_.end() ? nullptr : &found->second;
  if (used != nullptr && used->until <= now) {  // too late: the same flow gets a new port
    ports_.erase(used->port);
    mappings_.erase(found);
    used = nullptr;
  }
  if (used == nullptr) used = new_mapping(flow, now);
  if (used == nullptr) return std::nullopt;
  time_point const until = now + policy_.mapping_timeout;
  if (!flows_.note(used->port, remote, now, until)) return std::nullopt;
  used->until = until;
  endpoint outside = address_;
  outside.set_port(used->port);
  return outside;
}

KADORO_DECL nat::mapping* nat::new_mapping(key const& flow, time_point now) {
  if (mappings_.size() >= max_mappings) forget_expired(now);
  if (mappings_.size() >= max_mappings) return nullptr;
  std::uint16_t port = 0;
  do {  // ends: there are more ports than mappings
    port = next_port_;
    next_port_ = next_port_ == 65535 ? 1024 : static_cast<std::uint16_t>(next_port_ + 1);
  } while (ports_.count(port) != 0);
  ports_.emplace(port, flow);
  mapping& made = mappings_[flow];
  made.inside = flow.first;
  made.port = port;
  return &made;
}

KADORO_DECL std::optional<endpoint> nat::inbound(std::uint16_t port, endpoint const& remote, time_point now) const {
  auto const flow = ports_.find(port);
  if (flow == ports_.end()) return std::nullopt;
  mapping const& used = mappings_.at(flow->second);
  if (used.until <= now) return std::nullopt;
  bool const filters = policy_.filtering == nat_behaviour::endpoint_dependent;
  if (filters && !flows_.allows(port, remote, now)) return std::nullopt;
  return used.inside;
}

KADORO_DECL void nat::restart() noexcept {
  mappings_.clear();
  ports_.clear();
  flows_.clear();
}

KADORO_DECL void nat::forget_expired(time_point now) {
  for (auto each = mappings_.begin(); each != mappings_.end();) {
    if (each->second.until > now) {
      ++each;
      continue;
    }
    ports_.erase(each->second.port);
    each = mappings_.erase(each);
  }
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
