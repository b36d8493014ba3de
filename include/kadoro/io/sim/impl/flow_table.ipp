#pragma once

#include "kadoro/io/sim/flow_table.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

KADORO_DECL bool flow_table::note(std::uint16_t port, endpoint const& remote, time_point now, time_point until) {
  auto const found = flows_.find({port, remote});
  if (found != flows_.end()) {
    found->second = until;
    return true;
  }
  if (flows_.size() >= max_flows) std::erase_if(flows_, [&](auto const& each) { return each.second <= now; });
  if (flows_.size() >= max_flows) return false;
  flows_.emplace(std::pair(port, remote), until);
  return true;
}

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
