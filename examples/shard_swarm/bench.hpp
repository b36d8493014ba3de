#pragma once

#include "kadoro/coro/task.hpp"
#include "member.hpp"

namespace shard_swarm {

/// The timed operations of one node, one after the other: `settings.put` puts of fresh values, then `settings.get` gets
/// of what another shard's node has put. One `bench` event for each.
coro::task<void> run_bench(member& self, node_settings const& settings);

}  // namespace shard_swarm
