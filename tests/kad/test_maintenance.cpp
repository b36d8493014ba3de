#include <doctest/doctest.h>

#include <chrono>

#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

TEST_CASE("maintenance: a get asks the r closest, and the others only if those are not enough") {
  simulated_swarm swarm(31);
  node_options options;
  options.replicas = 4;
  for (int i = 0; i < 12; ++i) swarm.add(options);
  swarm.join_all();
  put_options all;
  all.quorum = quorum::all();
  CHECK(swarm.put(1, "key", "value", all).ok());
  get_options majority;
  majority.quorum = quorum::majority();
  std::size_t reader = 2;
  while (swarm.holds(reader, "key", 1)) ++reader;
  auto const got = swarm.get(reader, "key", majority);
  CHECK(got.found());
  CHECK(got.steps().steps().size() == 4);

  auto const nothing = swarm.get(reader, "nobody wrote this", majority);
  CHECK(nothing.outcome() == get_outcome::not_found);
  CHECK(nothing.answered() > 4);
}

TEST_CASE("maintenance: one silent holder does not let the copies of the others run out") {
  simulated_swarm swarm(32);
  node_options options;
  options.replicas = 3;
  for (int i = 0; i < 6; ++i) swarm.add(options);
  swarm.join_all();
  put_options how;
  how.quorum = quorum::all();
  how.lifetime = 2s;  // less than it takes to give up somebody
  CHECK(swarm.put(1, "key", "value", how).ok());
  std::vector<std::size_t> holders;
  for (std::size_t i = 0; i < 6; ++i)
    if (i != 1 && swarm.holds(i, "key", 1)) holders.push_back(i);
  REQUIRE(holders.size() == 3);
  swarm.hosts[holders[0]]->set_island(1);
  for (int i = 0; i < 100; ++i) {
    swarm.world.run_for(100ms);
    CHECK(swarm.holds(holders[1], "key", 1));
    CHECK(swarm.holds(holders[2], "key", 1));
  }
  CHECK_FALSE(swarm.holds(holders[0], "key", 1));
}

TEST_CASE("maintenance: who was gone for a while is found again, though it knows nobody that it could call") {
  simulated_swarm swarm(33);
  for (int i = 0; i < 2; ++i) swarm.add();
  swarm.join_all();
  peer_id const lost = swarm.nodes[1]->id();
  auto const known = [&swarm, &lost] { return swarm.nodes[0]->table().contains(swarm.nodes[0]->peer_of(lost)); };
  CHECK(known());
  swarm.crash(1);
  for (int i = 0; i < 10 && known(); ++i) {
    auto const got = swarm.get(0, "key");
    CHECK_FALSE(got.found());
    swarm.world.run_for(1s);
  }
  CHECK_FALSE(known());
  node_options alone;
  alone.bootstrap = {multiaddr::datagram(simulated_swarm::address(99), swarm.nodes[0]->id())};  // nobody is there
  swarm.start(1, alone);
  swarm.world.run_for(45s);
  CHECK(known());
}
