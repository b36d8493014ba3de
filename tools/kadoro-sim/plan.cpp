#include "plan.hpp"

#include <algorithm>

#include "stream_transport.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;

duration around(duration mean, random_source& random) {
  auto const part = static_cast<duration::rep>(random.below(1000));  // per mille
  duration const below = mean * part / 1000;
  return one_in(2, random) ? below : mean + 2 * below;
}

kad::transport_factory transport_of(plan const& p) {
  return p.transport == transport_kind::stream ? open_stream : kad::open_datagram;
}

plan draw_plan(std::uint64_t seed, plan_limits const& limits) {
  chacha20_random random(seed ^ 0x6b61646f726f2d70u);
  plan p;
  p.seed = seed;
  // Small swarms are where the edge cases are, and cheap; one in 24 is large.
  std::uint64_t const size = random.below(24);
  p.nodes = 8 + static_cast<std::size_t>(size == 0 ? 24 + random.below(33) : random.below(size < 4 ? 24 : 6));
  p.k = one_in(2, random) ? 20 : 6 + static_cast<std::size_t>(random.below(7));
  p.replicas = 3 + static_cast<std::size_t>(random.below(3));
  p.shards = 2 + static_cast<std::size_t>(random.below(5));
  p.keys = 3 + static_cast<std::size_t>(random.below(10));
  p.lifetime = 3s + std::chrono::milliseconds(random.below(4000));
  p.think = 2s + std::chrono::milliseconds(random.below(4000));
  p.fault_gap = 400ms + std::chrono::milliseconds(random.below(1600));
  p.delay = std::chrono::microseconds(500 + random.below(60'000));
  p.secret = !one_in(4, random);
  p.transport = one_in(6, random) ? transport_kind::stream : transport_kind::datagram;
  for (std::size_t i = 0; i < fault_count; ++i) p.faults.set(static_cast<fault>(i), one_in(3, random));
  p.large_values = one_in(2, random);

  if (limits.nodes) p.nodes = *limits.nodes;
  if (limits.transport) p.transport = *limits.transport;
  for (std::size_t i = 0; i < fault_count; ++i) {
    auto const f = static_cast<fault>(i);
    p.faults.set(f, limits.faults.has(f) && (limits.all_faults || p.faults.has(f)));
  }
  p.directories = std::min<std::size_t>(p.nodes, 3 + static_cast<std::size_t>(random.below(4)));
  p.length = limits.length ? *limits.length : 4 * p.lifetime + 2s;
  p.calm = 2 * p.lifetime + 18s;
  p.announced = 30s;
  p.content = 2 + random.below(5);
  p.large_values = p.large_values && p.transport == transport_kind::datagram;  // a stream takes them in its stride
  return p;
}

}  // namespace kadoro_sim
