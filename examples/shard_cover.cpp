// Whom to ask for which shard: five nodes hold the four shards of a model, one of them twice held, one of them by
// nobody. A simulated network gives them distances, so that a run is the same every time and takes milliseconds.

#include <chrono>
#include <iostream>
#include <memory>
#include <vector>

#include "kadoro/directory/swarm_directory.hpp"
#include "kadoro/io/sim/context.hpp"

using namespace std::chrono_literals;
namespace directory = kadoro::directory;
namespace coro = kadoro::coro;
namespace sim = kadoro::io::sim;
using kadoro::io::endpoint;

struct member {
  sim::context& host;
  std::unique_ptr<kadoro::kad::node> node;
  std::unique_ptr<directory::swarm_directory> shards;
};

coro::task<void> hold(member& m, std::uint32_t shard, std::uint32_t active_requests) {
  auto const joined = co_await m.node->join();
  directory::shard_announcement what = m.shards->describe(shard);
  what.capabilities.shard_loaded = true;
  what.capabilities.active_requests = active_requests;
  auto const receipt = co_await m.shards->announce(std::move(what));
  if (!joined || !receipt) std::cout << "shard " << shard << " is not announced\n";
}

coro::task<void> leave(member& m) {
  co_await m.shards->close();
  co_await m.node->close();
}

endpoint place(std::size_t number) { return endpoint::v4({10, 0, 0, static_cast<std::uint8_t>(number + 1)}, 4001); }

int main() {
  struct holding {
    std::uint32_t shard;
    std::uint32_t active_requests;
    kadoro::duration away;
  };
  std::vector<holding> const holdings = {{0, 0, 40ms}, {0, 1, 5ms}, {0, 8, 2ms}, {1, 0, 10ms}, {2, 0, 20ms}};

  sim::world world(7);
  sim::link_policy link;
  link.delay = 5ms;
  world.set_link(link);
  std::vector<std::unique_ptr<member>> members;
  kadoro::kad::node_options options;
  directory::directory_options about;
  about.cluster = "lab";
  about.model_name = "llama-8b";
  about.total_shards = 4;
  for (std::size_t i = 0; i <= holdings.size(); ++i) {  // the first holds nothing, it asks
    sim::context& host = world.add_host(place(i));
    options.listen = place(i);
    auto node = kadoro::kad::node::open(host, kadoro::crypto::identity::generate(host.random()), options).value();
    if (i == 0) options.bootstrap = node->addresses();
    auto shards = directory::swarm_directory::open(*node, about).value();
    members.push_back(std::make_unique<member>(member{host, std::move(node), std::move(shards)}));
    if (i == 0) continue;
    link.delay = holdings[i - 1].away;
    world.set_link(place(0), place(i), link);
    world.set_link(place(i), place(0), link);
    host.spawn(hold(*members[i], holdings[i - 1].shard, holdings[i - 1].active_requests));
  }
  world.run_for(10s);

  auto const ms = [](kadoro::duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
  directory::swarm_directory const& map = *members[0]->shards;
  std::cout << "shard 0, the best first:\n";
  auto const best = map.best_holders(0, 3);
  for (directory::holder_view const& h : best)
    std::cout << "  " << h.peer.short_string() << ": " << ms(h.rtt.value_or(0ms)) << " ms away, "
              << (h.details ? h.details->capabilities.active_requests : 0) << " requests under way, cost "
              << ms(directory::cost_of(h)) << " ms\n";
  directory::shard_cover const all = map.cover();
  std::cout << "a cover of " << all.model_name << ", " << all.peers.size() << " peers:\n";
  for (auto const& c : all.choices) std::cout << "  shard " << c.shard << ": " << c.holder.peer.short_string() << '\n';
  for (auto const& h : all.holes) std::cout << "  shard " << h.shard << ": nobody; " << h.why << '\n';

  bool const good = best.size() == 3 && best[0].peer == members[2]->node->id() && all.choices.size() == 3 &&
                    all.holes.size() == 1 && all.holes[0].shard == 3;
  for (auto const& m : members) m->host.run(leave(*m));
  return good ? 0 : 1;
}
