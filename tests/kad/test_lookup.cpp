#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kadoro/kad/lookup.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

// Lookups in a swarm that is larger than a table: four questions at a time.

namespace {

constexpr std::size_t members = 60;
constexpr std::size_t publisher = 7;

std::size_t index_of(simulated_swarm const& swarm, peer_id const& who) {
  auto const at =
      std::find_if(swarm.nodes.begin(), swarm.nodes.end(), [&who](auto const& each) { return each->id() == who; });
  return static_cast<std::size_t>(at - swarm.nodes.begin());
}

/// Those whom node 0 asks first about a key.
std::vector<std::size_t> asked_first(simulated_swarm const& swarm, std::string const& key) {
  std::vector<contact> first;
  swarm.nodes[0]->table().closest(kad::key::of(as_bytes(key)), lookup::alpha, first);
  std::vector<std::size_t> out;
  for (contact const& c : first) out.push_back(index_of(swarm, c.peer->id()));
  return out;
}

}  // namespace

TEST_CASE("lookup: those that are late free their places, and others are asked instead of them") {
  simulated_swarm swarm(81);
  node_options how;
  how.table.k = 8;
  how.replicas = 3;
  for (std::size_t i = 0; i < members; ++i) swarm.add(how);
  swarm.join_all();
  swarm.world.run_for(30s);
  REQUIRE(swarm.nodes[0]->table().size() > how.table.k);

  int tried = 0;
  for (int i = 0; i < 100; ++i) {
    std::string const key = "key " + std::to_string(i);
    REQUIRE(swarm.put(publisher, key, "value").ok());
    auto const first = asked_first(swarm, key);
    bool const known =
        std::any_of(first.begin(), first.end(), [&](std::size_t each) { return swarm.holds(each, key, publisher); });
    if (known || swarm.holds(0, key, publisher)) continue;
    ++tried;
    io::sim::link_policy link;
    auto const set_delay = [&](duration delay) {
      link.delay = delay;
      for (std::size_t each : first)
        swarm.world.set_link(simulated_swarm::address(each + 1), simulated_swarm::address(1), link);
    };
    set_delay(3s);  // all four places are taken by them
    time_point const begun = swarm.world.now();
    auto const got = swarm.get(0, key);
    CAPTURE(got.steps().to_text());
    CHECK(got.found());
    CHECK(swarm.world.now() - begun < 1500ms);
    set_delay(10ms);
    swarm.world.run_for(10s);
  }
  CHECK(tried >= 3);
}
