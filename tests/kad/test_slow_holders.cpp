#include <doctest/doctest.h>

#include "simulated_swarm.hpp"

using namespace kadoro;

namespace {

constexpr std::size_t members = 8;
constexpr std::size_t publisher = 1;

/// A swarm in which two of eight hold the record, and one who is neither of these nor its publisher.
struct held_swarm {
  held_swarm() : swarm(7) {
    kad::node_options options;
    options.replicas = 2;
    for (std::size_t i = 0; i < members; ++i) swarm.add(options);
    swarm.join_all();
    REQUIRE(swarm.put(publisher, "key", "value").ok());
    for (std::size_t i = 0; i < members; ++i) {
      if (swarm.holds(i, "key", publisher))
        has_it.push_back(i);
      else
        reader = i;
    }
    REQUIRE(has_it.size() == 3);
  }

  /// From now on, what comes from there to the reader takes that long.
  void slow_down(std::size_t from, duration delay) {
    io::sim::link_policy link;
    link.delay = delay;
    swarm.world.set_link(simulated_swarm::address(from + 1), simulated_swarm::address(reader + 1), link);
  }

  simulated_swarm swarm;
  std::vector<std::size_t> has_it;  ///< the publisher among them
  std::size_t reader = 0;
};

}  // namespace

TEST_CASE("slow holders: a get that has found nothing waits for them, though others have answered") {
  held_swarm s;
  for (std::size_t i : s.has_it) s.slow_down(i, std::chrono::milliseconds(500));
  auto const got = s.swarm.get(s.reader, "key");
  CAPTURE(got.explain());
  CAPTURE(got.steps().to_text());
  CHECK(got.found());
}

TEST_CASE("slow holders: a get waits for nobody once it has the record") {
  held_swarm s;
  std::size_t quick = 0;
  for (std::size_t i : s.has_it) {
    if (i == publisher || quick++ > 0) s.slow_down(i, std::chrono::milliseconds(500));
  }
  time_point const begun = s.swarm.world.now();
  auto const got = s.swarm.get(s.reader, "key");
  CHECK(got.found());
  CHECK(s.swarm.world.now() - begun < std::chrono::milliseconds(100));
}

TEST_CASE("slow holders: that nothing is there is said although a minority of the closest is dead") {
  simulated_swarm swarm(9);
  kad::node_options options;
  options.replicas = 4;
  for (std::size_t i = 0; i < members; ++i) swarm.add(options);
  swarm.join_all();
  swarm.crash(members - 1);
  time_point const begun = swarm.world.now();
  auto const got = swarm.get(0, "nothing");
  CHECK(got.outcome() == kad::get_outcome::not_found);
  CHECK_FALSE(got.unconfirmed());
  CHECK(swarm.world.now() - begun < std::chrono::seconds(1));
}

TEST_CASE("slow holders: a put that was stored on the way does not wait for the one that has just died") {
  constexpr std::size_t many = 40;
  simulated_swarm swarm(5);
  kad::node_options options;
  options.table.k = options.replicas = 8;
  for (std::size_t i = 0; i < many; ++i) swarm.add(options);
  swarm.join_all();
  swarm.world.run_for(std::chrono::seconds(20));
  std::size_t waited_for_dead = 0;
  for (std::size_t dead = 5; dead < 17; ++dead) {
    swarm.crash(dead);
    swarm.world.run_for(std::chrono::milliseconds(500));
    time_point const begun = swarm.world.now();
    auto const receipt = swarm.put(many - 1 - dead, "key " + std::to_string(dead), "value");
    CAPTURE(receipt.steps().to_text());
    CHECK(receipt.ok());
    CHECK(swarm.world.now() - begun < std::chrono::seconds(1));
    waited_for_dead += receipt.stored() < receipt.population() ? 1 : 0;
  }
  CHECK(waited_for_dead > 0);  // whose answer was still open when the put was decided
}
