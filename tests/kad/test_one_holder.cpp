#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

// A get without quorum in a small swarm: one near holder is asked, and all of them now and then.

namespace {

constexpr std::size_t members = 8;
constexpr std::size_t publisher = 1;
constexpr std::size_t reader = 2;
constexpr std::size_t gets_per_look = 32;

struct small_swarm : simulated_swarm {
  explicit small_swarm(std::uint64_t seed, duration delay = 10ms) : simulated_swarm(seed, delay) {
    for (std::size_t i = 0; i < members; ++i) add();
  }

  void put_keys(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) REQUIRE(put(publisher, key(i), "value").ok());
  }

  static std::string key(std::size_t i) { return "key " + std::to_string(i); }

  /// A client, which holds nothing itself, and the get that asks everybody behind it.
  void add_client() {
    node_options options;
    options.mode = peer_mode::client;
    add(options);
    REQUIRE(hosts[members]->run(nodes[members]->join()).has_value());
    world.run_for(1s);
    CHECK(get(members, key(0)).steps().size() == members);
  }

  peer_id id(std::size_t i) const { return peer_id::of_ed25519(identities[i].public_key()); }

  std::uint64_t sequence_at(std::size_t holder, std::string const& of) {
    auto const found = nodes[holder]->store().find(as_bytes(of), id(publisher), world.now());
    return found ? found->value->sequence : 0;
  }
};

}  // namespace

TEST_CASE("one holder: it is near, it is asked alone, and the keys share the load out") {
  small_swarm swarm(3);
  io::sim::link_policy far;
  far.delay = 60ms;
  for (std::size_t i = 4; i < members; ++i) {
    swarm.world.set_link(simulated_swarm::address(i + 1), simulated_swarm::address(members + 1), far);
    swarm.world.set_link(simulated_swarm::address(members + 1), simulated_swarm::address(i + 1), far);
  }
  swarm.join_all();
  swarm.put_keys(gets_per_look);
  swarm.add_client();
  std::set<peer_id> asked;
  for (std::size_t i = 1; i < gets_per_look; ++i) {
    auto const got = swarm.get(members, small_swarm::key(i));
    CHECK(got.found());
    auto const steps = got.steps().steps();
    REQUIRE(steps.size() == 1);
    asked.insert(steps.front().peer);
  }
  for (std::size_t i = 4; i < members; ++i) CHECK_FALSE(asked.contains(swarm.id(i)));
  CHECK(asked.size() == 4);
}

namespace {

/// Whom each get of a round asked, in the order in which they began, those apart that had a look at everybody.
struct rounds_at_once {
  static constexpr std::size_t rounds = 12;
  static constexpr std::size_t together = lookup::company::max_together;
  static constexpr std::size_t count = 2 * together + 3;

  static coro::task<void> one(node& from, std::string name, std::vector<peer_id>& asked) {
    auto const got = co_await from.get(as_bytes(name));
    CHECK(got.value().found());
    for (auto const& step : got->steps().steps()) asked.push_back(step.peer);
  }

  explicit rounds_at_once(duration delay) : swarm(6, delay) {
    swarm.join_all();
    swarm.put_keys(rounds * count);
    swarm.add_client();
    std::size_t key = 0;
    std::size_t looks = 0;
    for (auto& asked : all) {
      asked.resize(count);
      for (auto& whom : asked) swarm.hosts[members]->spawn(one(*swarm.nodes[members], small_swarm::key(key++), whom));
      swarm.world.run_for(1s);
      looks += std::erase_if(asked, [](auto const& whom) { return whom.size() > 1; });
      for (auto const& whom : asked) REQUIRE(whom.size() == 1);
    }
    CHECK(looks == rounds * count / gets_per_look);
  }

  std::array<std::vector<std::vector<peer_id>>, rounds> all;
  small_swarm swarm;
};

}  // namespace

TEST_CASE("one holder: of what is asked at once, so many go to the same one if it is near, and then the next") {
  rounds_at_once const at_hand(100us);
  std::set<peer_id> ever;
  int others = 0;
  for (auto const& asked : at_hand.all) {
    for (std::size_t i = 0; i < asked.size(); ++i) {
      CHECK(asked[i] == asked[i / rounds_at_once::together * rounds_at_once::together]);
      ever.insert(asked[i].front());
    }
    others += asked[0] != asked[rounds_at_once::together] ? 1 : 0;
  }
  CHECK(others >= 8);                 // of 12: the next by its own key, which is that of the first now and then
  CHECK(ever.size() >= members - 2);  // over time they share the load out
}

TEST_CASE("one holder: of what is asked at once far away, each asks by its own key") {
  rounds_at_once const far_away(10ms);
  for (auto const& asked : far_away.all) CHECK(std::set(asked.begin(), asked.end()).size() > 3);
}

TEST_CASE("one holder: if it is silent, the others are asked as soon as it is late") {
  small_swarm swarm(4);
  swarm.join_all();
  swarm.put_keys(gets_per_look);
  swarm.add_client();
  auto const first = swarm.get(members, small_swarm::key(1)).steps().steps().front().peer;
  std::size_t silent = 0;
  while (swarm.id(silent) != first) ++silent;
  swarm.crash(silent);
  time_point const begun = swarm.world.now();
  auto const got = swarm.get(members, small_swarm::key(1));
  CHECK(got.found());
  CHECK(got.steps().size() == members);
  CHECK(swarm.world.now() - begun < 100ms);
  // It is not asked alone again.
  CHECK(swarm.get(members, small_swarm::key(1)).steps().size() == 1);
}

TEST_CASE("one holder: every so often all are asked, and who lags is corrected") {
  small_swarm swarm(5);
  swarm.join_all();
  REQUIRE(swarm.put(publisher, "key", "old").ok());
  constexpr std::size_t lagging = 6;
  swarm.world.set_blocked(simulated_swarm::address(publisher + 1), simulated_swarm::address(lagging + 1), true);
  CHECK(swarm.put(publisher, "key", "new").ok());
  REQUIRE(swarm.sequence_at(reader, "key") > swarm.sequence_at(lagging, "key"));
  node_options client;
  client.mode = peer_mode::client;
  swarm.add(client);
  REQUIRE(swarm.hosts[members]->run(swarm.nodes[members]->join()).has_value());
  swarm.world.run_for(1s);
  REQUIRE(swarm.sequence_at(reader, "key") > swarm.sequence_at(lagging, "key"));
  CHECK(swarm.get(members, "key").found());
  swarm.world.run_for(1s);
  CHECK(swarm.sequence_at(reader, "key") == swarm.sequence_at(lagging, "key"));
}

TEST_CASE("one holder: who reads fast asks all of them once in 10 ms at most") {
  small_swarm swarm(9, 100us);
  swarm.join_all();
  swarm.put_keys(1);
  swarm.add_client();
  swarm.world.run_for(1s);
  time_point const begun = swarm.world.now();
  std::ptrdiff_t looks = 0;
  for (std::size_t i = 0; i < 20 * gets_per_look; ++i)
    if (swarm.get(members, small_swarm::key(0)).steps().size() > 1) ++looks;
  std::ptrdiff_t const pauses = (swarm.world.now() - begun) / 10ms;
  CHECK(pauses < 19);
  CHECK(looks > pauses / 2);
  CHECK(looks <= pauses + 1);
}

TEST_CASE("one holder: who has nothing costs one more round trip") {
  small_swarm swarm(6);
  swarm.join_all();
  swarm.put_keys(1);
  swarm.add_client();
  auto const nothing = swarm.get(members, "nobody wrote this");
  CHECK(nothing.outcome() == get_outcome::not_found);
  CHECK(nothing.answered() == members);
  get_options majority;
  majority.quorum = quorum::majority();
  CHECK(swarm.get(members, small_swarm::key(0), majority).steps().size() == members);
}

TEST_CASE("one holder: who has the record names nobody, who has nothing names all that it knows") {
  small_swarm swarm(8);
  swarm.join_all();
  swarm.put_keys(2);
  swarm.add_client();
  auto const found = swarm.get(members, small_swarm::key(1));
  auto const steps = found.steps().steps();
  REQUIRE(steps.size() == 1);
  CHECK(steps.front().result.ends_with(", 0 contacts"));
  auto const nothing = swarm.get(members, "nobody wrote this").steps().steps();
  REQUIRE(nothing.size() == members);
  for (auto const& asked : nothing) CHECK(asked.result.ends_with(", 7 contacts"));
}

TEST_CASE("one holder: signatures wait while puts come, until the backlog is half full, and no longer") {
  constexpr std::size_t puts = 40;
  constexpr std::size_t holder = members;
  auto const most_waiting = [](std::size_t room) {
    small_swarm swarm(7, 1ms);
    node_options options;
    options.store.verify_backlog = room;
    swarm.add(options);
    swarm.join_all();
    std::size_t most = 0;
    put_options all;
    all.quorum = quorum::all();
    for (std::size_t i = 0; i < puts; ++i) {
      CHECK(swarm.put(publisher, small_swarm::key(i), "value", all).ok());
      most = std::max(most, swarm.nodes[holder]->store().backlog());
    }
    swarm.world.run_for(100ms);
    CHECK(swarm.nodes[holder]->store().backlog() == 0);
    CHECK(swarm.holds(holder, small_swarm::key(puts - 1), publisher));
    return most;
  };
  CHECK(most_waiting(1024) == puts);
  std::size_t const most = most_waiting(16);
  CHECK(most >= 8);
  CHECK(most < 16);
}
