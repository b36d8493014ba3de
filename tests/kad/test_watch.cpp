#include <doctest/doctest.h>

#include <algorithm>

#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

/// Reads a watch until it is closed, and keeps what it said.
struct reader {
  coro::task<void> run(watch& from) {
    for (;;) {
      auto const e = co_await from.next();
      if (!e) break;
      seen.push_back(*e);
      said += std::string(said.empty() ? "" : " ") + std::string(to_string(e->what)) + ":" +
              std::string(as_text(e->found.value.value));
    }
    ended = true;
  }
  std::vector<watch_event> seen;
  std::string said;
  bool ended = false;
};

/// A watch and who reads it, on one node of a swarm.
struct watched {
  watched(simulated_swarm& swarm, std::size_t at, std::string const& key)
      : from(std::move(swarm.nodes[at]->watch(as_bytes(key)).value())) {
    swarm.hosts[at]->spawn(by.run(from));
  }
  watch from;
  reader by;
};

}  // namespace

TEST_CASE("watch: a put, a change and a withdrawal are pushed") {
  simulated_swarm swarm(41);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  watched w(swarm, 4, "key");
  swarm.world.run_for(1s);
  CHECK(w.from.caught_up());
  CHECK(w.by.said.empty());
  swarm.put(1, "key", "one");
  swarm.world.run_for(100ms);
  CHECK(w.by.said == "add:one");
  swarm.put(1, "key", "two");
  swarm.put(2, "key", "other");
  swarm.world.run_for(100ms);
  CHECK(w.by.said == "add:one change:two add:other");
  swarm.withdraw(1, "key");
  swarm.world.run_for(100ms);
  CHECK(w.by.said == "add:one change:two add:other gone:");
  w.from.close();
  swarm.world.run_for(100ms);
  CHECK(w.by.ended);
}
