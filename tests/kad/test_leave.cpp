#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

/// More nodes than replicas, so that others come into the place of one that leaves.
struct crowd {
  explicit crowd(std::uint64_t seed, std::size_t replicas = 3, int nodes = 24, duration delay = 10ms)
      : swarm(seed, delay) {
    node_options options;
    options.table.k = 8;
    options.replicas = replicas;
    for (int i = 0; i < nodes; ++i) swarm.add(options);
    swarm.join_all();
    swarm.world.run_for(5s);
  }

  std::vector<std::size_t> holders(std::string const& key, std::size_t publisher) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < swarm.nodes.size(); ++i)
      if (i != publisher && swarm.nodes[i] && swarm.holds(i, key, publisher)) out.push_back(i);
    return out;
  }
  duration close(std::size_t index) {
    time_point const begun = swarm.world.now();
    swarm.hosts[index]->run(swarm.nodes[index]->close());
    swarm.nodes[index].reset();
    return swarm.world.now() - begun;
  }

  simulated_swarm swarm;
};

/// Reads a watch until it ends.
struct ear {
  explicit ear(watch w) noexcept : from(std::move(w)) {}
  static coro::task<void> read(std::shared_ptr<ear> self) {
    for (;;) {
      auto const e = co_await self->from.next();
      if (!e) break;
      self->said += std::string(to_string(e->what)) + " ";
    }
  }
  watch from;
  std::string said;
};

coro::task<void> close_in_time(node& n, duration& took, int& done) {
  time_point const begun = n.context().now();
  auto const closed = co_await n.close(2s);
  CHECK(closed.has_value());
  took = std::max(took, n.context().now() - begun);
  ++done;
}

}  // namespace

TEST_CASE(
    "leave: the records of one that leaves are passed on, with what remains of their life; a watcher sees no gap") {
  std::size_t replicas = 3;
  SUBCASE("three hold it") {}
  SUBCASE("only one holds it") { replicas = 1; }
  crowd c(71, replicas);
  put_options how;
  how.lifetime = 60s;
  how.quorum = quorum::all();
  std::string value = "short";
  SUBCASE("a short value") {}
  SUBCASE("a long value") { value.assign(5000, 'v'); }
  REQUIRE(c.swarm.put(1, "key", value, how).ok());
  time_point const put_at = c.swarm.world.now();
  REQUIRE(c.holders("key", 1).size() == replicas);
  std::size_t outsider = 2;
  while (c.swarm.holds(outsider, "key", 1)) ++outsider;
  auto const hears = std::make_shared<ear>(c.swarm.nodes[outsider]->watch(as_bytes("key")).value());
  c.swarm.hosts[outsider]->spawn(ear::read(hears));
  c.swarm.world.run_for(1s);
  REQUIRE(hears->said == "add ");
  c.swarm.crash(1);  // nobody renews it
  for (int i = 0; i < 8; ++i) {
    auto const now = c.holders("key", 1);
    REQUIRE(now.size() >= replicas);
    std::size_t leaver = now.front() == outsider ? now.back() : now.front();
    if (leaver == outsider) break;
    CHECK(c.close(leaver) < 1s);
    c.swarm.world.run_for(2s);
  }
  CHECK(c.swarm.get(outsider, "key").found());
  CHECK(hears->said == "add ");
  c.swarm.world.run_for(put_at + 59s - c.swarm.world.now());
  CHECK_FALSE(c.holders("key", 1).empty());
  c.swarm.world.run_for(2s);
  CHECK(c.holders("key", 1).empty());  // it began no new life
  c.swarm.world.run_for(5s);
  CHECK(hears->said == "add expire ");
  hears->from.close();
}

TEST_CASE("leave: where everybody has everything there is nothing to pass on, and no time is lost") {
  simulated_swarm swarm(72);
  for (int i = 0; i < 8; ++i) swarm.add();
  swarm.join_all();
  for (int i = 0; i < 20; ++i) swarm.put(1, "key " + std::to_string(i), "value");
  REQUIRE(swarm.nodes[5]->store().size() >= 20);
  swarm.world.run_for(1s);
  std::uint64_t const before = swarm.world.counters().sent;
  time_point const begun = swarm.world.now();
  swarm.hosts[5]->run(swarm.nodes[5]->close());
  CHECK(swarm.world.now() - begun < 10ms);               // one way
  CHECK(swarm.world.counters().sent - before <= 2 * 7);  // goodbyes
  swarm.world.run_for(20ms);
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == 5) continue;
    CHECK_FALSE(swarm.nodes[i]->table().contains(swarm.nodes[i]->peer_of(swarm.nodes[5]->id())));
  }
}

TEST_CASE("leave: holders that go while goodbyes are still on their way leave as many copies as there were") {
  bool at_once = false;
  SUBCASE("one as soon as the one before it has gone") {}
  SUBCASE("two at once") { at_once = true; }
  for (std::uint64_t seed = 75; seed < 78; ++seed) {
    CAPTURE(seed);
    crowd c(seed, 2);
    put_options how;
    how.quorum = quorum::all();
    REQUIRE(c.swarm.put(0, "key", "value", how).ok());
    c.swarm.crash(0);  // nobody renews it
    for (int left = 0; left < 3; ++left) {
      auto const now = c.holders("key", 0);
      REQUIRE(now.size() >= 2);
      duration took{};
      int done = 0;
      std::size_t const goers = at_once ? 2 : 1;
      for (std::size_t i = 0; i < goers; ++i)
        c.swarm.hosts[now[i]]->spawn(close_in_time(*c.swarm.nodes[now[i]], took, done));
      while (done < static_cast<int>(goers)) c.swarm.world.run_for(1ms);
      for (std::size_t i = 0; i < goers; ++i) c.swarm.nodes[now[i]].reset();
      CHECK(c.holders("key", 0).size() >= 2);
    }
  }
}

TEST_CASE("leave: peers that are too far away to say in time whether they stay are heirs all the same") {
  std::size_t replicas = 2;
  SUBCASE("two copies") {}
  SUBCASE("more copies than a leaver makes") { replicas = 5; }
  crowd c(78, replicas, 12, 300ms);
  c.swarm.world.run_for(10s);
  put_options how;
  how.quorum = quorum::all();
  REQUIRE(c.swarm.put(0, "key", "value", how).ok());
  c.swarm.crash(0);
  auto const now = c.holders("key", 0);
  REQUIRE(now.size() == replicas);
  CHECK(c.close(now.front()) <= 2600ms);
  CHECK(c.holders("key", 0).size() >= replicas);
}

TEST_CASE("leave: where time is short, every record gets a copy before any gets a second one") {
  crowd c(79, 3, 7, 50ms);
  c.swarm.world.run_for(10s);
  put_options how;
  how.lifetime = 10min;
  how.quorum = quorum::all();
  int const records = 200;
  for (int i = 0; i < records; ++i) REQUIRE(c.swarm.put(0, std::to_string(i), "value", how).ok());
  c.swarm.crash(0);
  c.swarm.world.run_for(30s);  // until the others know
  auto const leavers = c.holders("0", 0);
  REQUIRE(leavers.size() == 3);
  int only_theirs = 0;
  for (int i = 0; i < records; ++i) only_theirs += c.holders(std::to_string(i), 0) == leavers ? 1 : 0;
  CHECK(only_theirs > records / 4);
  duration took{};
  int done = 0;
  for (std::size_t const i : leavers) c.swarm.hosts[i]->spawn(close_in_time(*c.swarm.nodes[i], took, done));
  c.swarm.world.run_for(3s);
  CHECK(done == 3);
  for (std::size_t const i : leavers) c.swarm.nodes[i].reset();
  int kept = 0;
  for (int i = 0; i < records; ++i) kept += c.holders(std::to_string(i), 0).empty() ? 0 : 1;
  CHECK(kept == records);
}

TEST_CASE("leave: half of a swarm at once loses nothing, and makes no storm") {
  crowd c(73);
  put_options how;
  how.lifetime = 10min;
  int const records = 40;
  for (int i = 0; i < records; ++i) {
    std::string const value(static_cast<std::size_t>(i % 4 == 0 ? 4000 : 100), 'v');
    REQUIRE(c.swarm.put(0, "key " + std::to_string(i), value, how).ok());
  }
  c.swarm.world.run_for(1s);
  c.swarm.crash(0);
  c.swarm.world.run_for(100ms);
  std::uint64_t const before = c.swarm.world.counters().sent;
  duration took{};
  int done = 0;
  for (std::size_t i = 1; i < 24; i += 2) c.swarm.hosts[i]->spawn(close_in_time(*c.swarm.nodes[i], took, done));
  c.swarm.world.run_for(2s);
  CHECK(done == 12);
  CHECK(took <= 2s);
  std::uint64_t const sent = c.swarm.world.counters().sent - before;
  MESSAGE(sent, " datagrams, ", std::chrono::duration<double>(took).count(), " s");
  // Each of the leavers has at most r / 24 of the records, of which a quarter takes five datagrams and an offer; then
  // goodbyes, and the talk of those who stay.
  CHECK(sent < 12u * 400);
  for (std::size_t i = 1; i < 24; i += 2) c.swarm.nodes[i].reset();
  int kept = 0;
  for (int i = 0; i < records; ++i) kept += c.swarm.get(2, "key " + std::to_string(i)).found();
  CHECK(kept == records);
}

TEST_CASE("leave: it takes no longer than it may, whoever does not answer") {
  crowd c(74, 1);
  put_options how;
  how.lifetime = 10min;
  for (int i = 0; i < 40; ++i) c.swarm.put(0, "key " + std::to_string(i), "value", how);
  std::size_t const leaver = c.holders("key 1", 0).front();
  for (std::size_t i = 0; i < 24; ++i)
    if (i != leaver) c.swarm.hosts[i]->set_island(1);
  duration took{};
  SUBCASE("a limit") {
    time_point const begun = c.swarm.world.now();
    auto const closed = c.swarm.hosts[leaver]->run(c.swarm.nodes[leaver]->close(500ms));
    took = c.swarm.world.now() - begun;
    CHECK(took <= 500ms);
    c.swarm.nodes[leaver].reset();
  }
  SUBCASE("none") {
    took = c.close(leaver);
    CHECK(took <= 2100ms);
    CHECK(took > 100ms);  // it has tried
  }
}
