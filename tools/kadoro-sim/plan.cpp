#include "plan.hpp"

#include <algorithm>

#include "kadoro/transport/datagram/datagram_transport.hpp"
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
  if (p.transport == transport_kind::stream) return open_stream;
  if (p.session_packets == 0) return kad::open_datagram;
  return [age = p.session_age, packets = p.session_packets](
             io::context& context, transport::peer_book& book, crypto::identity const& self,
             kad::node_options const& from) -> result<std::unique_ptr<transport::transport>> {
    transport::datagram::options how;
    how.listen = from.listen;
    how.mode = from.mode;
    how.swarm_key = from.swarm_key;
    how.session_age = age;
    how.session_packets = packets;
    auto opened = transport::datagram::datagram_transport::open(context, book, self, how);
    if (!opened) return fail(opened.error());
    return std::unique_ptr<transport::transport>(std::move(*opened));
  };
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
  if (has_providers(seed) && p.transport == transport_kind::datagram) {
    chacha20_random more(seed ^ 0x70726f7669646572u);
    p.provided = 1 + static_cast<std::size_t>(more.below(3));
    if (one_in(2, more)) {
      p.session_age = 4s + std::chrono::milliseconds(more.below(8000));
      p.session_packets = 40 + more.below(100);
    }
  }
  return p;
}

}  // namespace kadoro_sim
