#include <doctest/doctest.h>

#include "kadoro-sim/run.hpp"

using namespace kadoro_sim;

namespace {

/// A small swarm with every fault, shorter than in a campaign.
verdict small_run(std::uint64_t seed, transport_kind over) {
  plan_limits limits;
  limits.nodes = 9;
  limits.length = std::chrono::seconds(12);
  limits.transport = over;
  limits.all_faults = true;
  return simulate(draw_plan(seed, limits));
}

}  // namespace

// The literals hold for g++ and clang, at every level of optimisation, with and without sanitizers: g++ with
// optimisation and clang with sanitizers run this. Whoever changes what a node says, or what the simulator does to it,
// puts new ones here.
TEST_CASE("sim: one seed gives one run, whatever compiled it") {
  verdict const datagram = small_run(3, transport_kind::datagram);
  CAPTURE(datagram.events);
  CHECK_FALSE(datagram.broken);
  CHECK(datagram.trace_hash == 1227148018373735242u);

  verdict const stream = small_run(3, transport_kind::stream);
  CAPTURE(stream.events);
  CHECK_FALSE(stream.broken);
  CHECK(stream.trace_hash == 15845516596520746403u);
}
