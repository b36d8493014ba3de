#include <doctest/doctest.h>

#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

coro::task<void> put_one(node& n, std::string key, put_options how, int& decided) {
  auto const receipt = co_await n.put(as_bytes(key), as_bytes(key), how);
  CHECK(receipt.has_value());
  if (receipt) CHECK(receipt->ok());
  ++decided;
}

coro::task<void> read(watch from, int& seen) {
  for (;;) {
    auto const e = co_await from.next();
    if (!e) co_return;
    if (e->what == watch_event::kind::add) ++seen;
  }
}

}  // namespace

TEST_CASE("early: who starts together is found after two round trips, and stored after four and a half at most") {
  simulated_swarm swarm(90, 50ms);
  node_options options;
  options.replicas = 4;
  swarm.add(options);
  static constexpr int nodes = 8;
  int decided = 0;
  std::vector<int> seen(nodes + 1);
  for (std::size_t i = 1; i <= nodes; ++i) {
    node& n = swarm.add(options);
    auto marks = n.watch(as_bytes("marks"));
    REQUIRE(marks.has_value());
    swarm.hosts[i]->spawn(read(std::move(*marks), seen[i]));
    swarm.hosts[i]->spawn(put_one(n, "marks", {}, decided));
    swarm.hosts[i]->spawn(put_one(n, "of node " + std::to_string(i), {}, decided));
  }
  swarm.world.run_for(205ms);
  for (std::size_t i = 1; i <= nodes; ++i) CHECK(seen[i] == nodes);
  auto const stored = [&swarm] {
    int count = 0;
    for (std::size_t i = 1; i <= nodes; ++i)
      count += swarm.nodes[i]->holders(as_bytes("of node " + std::to_string(i))).size() >= 3 ? 1 : 0;
    return count;
  };
  swarm.world.run_for(150ms);
  CHECK(stored() >= nodes / 2);  // those whose dials have crossed
  swarm.world.run_for(100ms);
  CHECK(stored() == nodes);
  swarm.world.run_for(3s);
  CHECK(decided == 2 * nodes);
  for (std::size_t i = 1; i <= nodes; ++i) CHECK(seen[i] == nodes);
}

TEST_CASE("early: a receipt counts only who belongs to the replicas, and nobody twice") {
  simulated_swarm swarm(91, 50ms);
  node_options options;
  options.replicas = 2;
  for (int i = 0; i < 7; ++i) swarm.add(options);
  for (std::size_t i = 1; i < 6; ++i)
    swarm.hosts[i]->spawn([](node& n) -> coro::task<void> {
      auto const joined = co_await n.join();
      static_cast<void>(joined);
    }(*swarm.nodes[i]));
  swarm.world.run_for(3s);
  put_options how;
  how.quorum = quorum::all();
  time_point const start = swarm.world.now();
  auto const receipt = swarm.put(6, "key", "value", how);  // it knows the seed only
  CHECK(receipt.ok());
  CHECK(receipt.population() == 2);
  CHECK(receipt.stored() == 2);
  CHECK(swarm.world.now() - start <= 305ms);  // the seed, the others, and their answers
  CHECK(swarm.nodes[6]->holders(as_bytes("key")).size() == 2);
  for (replica const& r : receipt.replicas())
    for (std::size_t i = 0; i < 6; ++i)
      if (swarm.nodes[i]->id() == r.peer) CHECK(swarm.holds(i, "key", 6));
}

TEST_CASE("early: in a swarm larger than the table, who is probably a replica is given the record with the question") {
  simulated_swarm swarm(92, 50ms);
  node_options options;
  options.table.k = 8;
  options.replicas = 8;
  for (int i = 0; i < 100; ++i) swarm.add(options);
  swarm.join_all();
  swarm.world.run_for(10s);
  duration all_puts{};
  for (std::size_t i = 1; i <= 10; ++i) {
    put_options how;
    how.quorum = quorum::all();
    std::string const key = "key " + std::to_string(i);
    time_point const start = swarm.world.now();
    auto const receipt = swarm.put(9 * i, key, "value", how);
    all_puts += swarm.world.now() - start;
    CHECK(receipt.ok());
    CHECK(receipt.population() == 8);
    CHECK(swarm.nodes[9 * i]->holders(as_bytes(key)).size() == 8);
    std::size_t copies = 0;
    for (std::size_t at = 0; at < swarm.nodes.size(); ++at)
      copies += at != 9 * i && swarm.holds(at, key, 9 * i) ? 1u : 0u;
    CHECK(copies <= 16);
  }
  CHECK(all_puts <= 3500ms);  // 3.6 s if nothing is stored before the lookup has ended
}
