#include <doctest/doctest.h>

#include <string>

#include "kad/simulated_swarm.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/directory/holder_ranking.hpp"
#include "kadoro/directory/swarm_directory.hpp"

using namespace kadoro;
using namespace kadoro::directory;
using namespace std::chrono_literals;

namespace {

/// The peer of that number; ids are in another order than numbers.
peer_id peer(std::uint32_t number) {
  byte_array<32> seed{};
  store_be(seed.data(), number);
  return peer_id::of_ed25519(crypto::identity::from_seed(seed).public_key());
}

struct maker {
  holder_view h;

  explicit maker(std::uint32_t number) {
    h.peer = peer(number);
    h.verified = h.loaded = true;
    h.heard = 1s;
    h.rtt = 10ms;
  }
  maker& rtt(duration d) { return h.rtt = d, *this; }
  maker& unknown() { return h.rtt.reset(), *this; }
  maker& load(std::uint32_t active) {
    describe();
    h.details->capabilities.active_requests = active;
    return *this;
  }
  maker& model(std::string name) {
    describe();
    h.details->model_name = std::move(name);
    return *this;
  }
  maker& suspect() { return h.suspect = true, *this; }
  maker& unverified() { return h.verified = false, *this; }
  maker& unloaded() { return h.loaded = false, *this; }
  maker& heard(duration d) { return h.heard = d, *this; }
  maker& own() {
    h.own = true;
    h.rtt.reset();
    h.heard.reset();
    return *this;
  }
  operator holder_view() const { return h; }

 private:
  void describe() {
    if (h.details) return;
    h.details.emplace();
    h.details->model_name = "m";
  }
};

swarm_view swarm_of(std::vector<std::vector<holder_view>> shards) {
  swarm_view v;
  v.model_name = "m";
  v.shards = std::move(shards);
  return v;
}

std::string numbers(std::vector<holder_view> const& of) {
  std::string out;
  for (holder_view const& h : of)
    for (std::uint32_t i = 0; i < 20; ++i)
      if (h.peer == peer(i)) out += (out.empty() ? "" : " ") + std::to_string(i);
  return out;
}

std::string numbers(shard_cover const& of) {
  std::vector<holder_view> holders;
  for (auto const& c : of.choices) holders.push_back(c.holder);
  return numbers(holders);
}

}  // namespace

TEST_CASE("ranking: contact, then loaded, then round-trip time and load together") {
  swarm_view const swarm = swarm_of(
      {{maker(1).suspect().rtt(1ms), maker(2).rtt(50ms), maker(3).unloaded().rtt(1ms), maker(4).rtt(20ms).load(3),
        maker(5).rtt(40ms).load(1), maker(6).unknown(), maker(7).unverified().unloaded(), maker(8).rtt(30ms)}});
  CHECK(numbers(best_holders(swarm, 0, 99)) == "8 2 5 4 6 3 1 7");
  CHECK(numbers(best_holders(swarm, 0, 2)) == "8 2");
  CHECK(best_holders(swarm, 0, 0).empty());
  CHECK(best_holders(swarm, 1, 3).empty());
  ranking_options near;
  near.per_active_request = 0s;
  CHECK(numbers(best_holders(swarm, 0, 3, near)) == "4 8 5");
  ranking_options hopeful;
  hopeful.unknown_rtt = 0s;
  CHECK(numbers(best_holders(swarm, 0, 1, hopeful)) == "6");
}

TEST_CASE("ranking: this node is nearest to itself, if it is not busy") {
  swarm_view const swarm = swarm_of({{maker(1).rtt(1ms), maker(2).own()}});
  CHECK(numbers(best_holders(swarm, 0, 2)) == "2 1");
  swarm_view const busy = swarm_of({{maker(1).rtt(1ms), maker(2).own().load(1)}});
  CHECK(numbers(best_holders(busy, 0, 2)) == "1 2");
}

TEST_CASE("ranking: of equal ones the one that was heard last, then the order of ids") {
  swarm_view const swarm = swarm_of({{maker(1).heard(3s), maker(2).heard(2s)}});
  CHECK(numbers(best_holders(swarm, 0, 1)) == "2");
  holder_view const a = maker(1);
  holder_view const b = maker(2);
  CHECK(better(a, b) == (a.peer < b.peer));
  CHECK_FALSE(better(a, a));
}

TEST_CASE("ranking: holders of another model are no holders") {
  swarm_view const swarm =
      swarm_of({{maker(1).model("other").rtt(1ms), maker(2).model("m")}, {maker(3).model("other")}});
  CHECK(numbers(best_holders(swarm, 0, 5)) == "2");
  auto const all = cover(swarm);
  CHECK(numbers(all) == "2");
  REQUIRE(all.holes.size() == 1);
  CHECK(all.holes[0].shard == 1);
  CHECK(all.holes[0].why == "1 holder, of another model");
}

TEST_CASE("cover: the best holder of each shard where each holds one") {
  swarm_view const swarm = swarm_of({{maker(1).rtt(30ms), maker(2).rtt(20ms)},
                                     {maker(3).unloaded().rtt(1ms), maker(4).rtt(90ms)},
                                     {maker(5).unloaded(), maker(6).suspect()}});
  auto const all = cover(swarm);
  CHECK(all.complete());
  CHECK_FALSE(all.ready());  // shard 2 has not been loaded by anybody
  CHECK(numbers(all) == "2 4 5");
  CHECK(all.choices[2].shard == 2);
  CHECK(all.peers.size() == 3);
  CHECK(all.model_name == "m");
}

TEST_CASE("cover: few peers where some hold several shards, and each shard at the best of these") {
  swarm_view const swarm = swarm_of({{maker(1).rtt(50ms), maker(2).rtt(1ms)},
                                     {maker(1).rtt(50ms), maker(3).rtt(1ms)},
                                     {maker(1).rtt(50ms), maker(4).rtt(1ms)},
                                     {maker(5).rtt(9ms)}});
  auto const all = cover(swarm);
  CHECK(numbers(all) == "1 1 1 5");
  CHECK(all.peers.size() == 2);
  CHECK(all.ready());
  // Two that add as much: the nearer one.
  swarm_view const even = swarm_of({{maker(1).rtt(50ms), maker(2).rtt(5ms)}, {maker(1).rtt(50ms), maker(2).rtt(5ms)}});
  CHECK(numbers(cover(even)) == "2 2");
  // One that is asked for another shard anyway, and is better.
  swarm_view const anyway = swarm_of(
      {{maker(1).rtt(50ms)}, {maker(1).rtt(50ms), maker(2).rtt(1ms)}, {maker(1).rtt(50ms)}, {maker(2).rtt(1ms)}});
  CHECK(numbers(cover(anyway)) == "1 2 1 2");
  // One whose shards all go to others, that are asked anyway, is not asked.
  swarm_view const outdone = swarm_of({{maker(1).rtt(90ms), maker(2).rtt(1ms)},
                                       {maker(1).rtt(90ms), maker(3).rtt(1ms)},
                                       {maker(1).rtt(90ms), maker(4).rtt(1ms)},
                                       {maker(2).rtt(1ms)},
                                       {maker(3).rtt(1ms)},
                                       {maker(4).rtt(1ms)}});
  CHECK(numbers(cover(outdone)) == "2 3 4 2 3 4");
  CHECK(cover(outdone).peers.size() == 3);
}

TEST_CASE("cover: holes are named, with the reason") {
  swarm_view swarm = swarm_of({{maker(1)},
                               {},
                               {maker(2).suspect()},
                               {maker(3).unverified(), maker(4).unverified()},
                               {maker(5).suspect(), maker(6).unverified()},
                               {},
                               {maker(7).suspect(), maker(8).suspect()}});
  swarm.why_missing[1] = "not announced yet: 3 peers asked, none holds it";
  auto const all = cover(swarm);
  CHECK_FALSE(all.complete());
  CHECK_FALSE(all.ready());
  CHECK(all.choices.size() == 1);
  REQUIRE(all.holes.size() == 6);
  CHECK(all.holes[0].shard == 1);
  CHECK(all.holes[0].why == "nobody is known: not announced yet: 3 peers asked, none holds it");
  CHECK(all.holes[1].why == "1 holder, which does not answer");
  CHECK(all.holes[2].why == "2 holders, not contacted yet");
  CHECK(all.holes[3].why == "2 holders, none of which was contacted and answers");
  CHECK(all.holes[4].why == "nobody is known");
  CHECK(all.holes[5].why == "2 holders, none of which answers");
  CHECK_FALSE(cover(swarm_view()).complete());
}

TEST_CASE("cover: thousands of shards with many holders each") {
  static constexpr std::uint32_t total = 4096;
  std::vector<peer_id> peers;
  for (std::uint32_t i = 0; i < 300; ++i) peers.push_back(peer(i));
  swarm_view swarm;
  swarm.model_name = "m";
  swarm.shards.resize(total);
  for (std::uint32_t shard = 0; shard < total; ++shard)
    for (std::uint32_t i = 0; i < 8; ++i) {
      holder_view h = maker(0);
      h.peer = peers[(shard * 7 + i * 31) % peers.size()];
      h.rtt = std::chrono::milliseconds(1 + (shard + i) % 50);
      swarm.shards[shard].push_back(std::move(h));
    }
  auto const all = cover(swarm);
  CHECK(all.complete());
  CHECK(all.choices.size() == total);
  CHECK(all.peers.size() < 150);
}

namespace {

coro::task<void> hold(kad::node& n, swarm_directory& d, std::uint32_t shard, std::uint32_t active) {
  auto const joined = co_await n.join();
  CHECK(joined.has_value());
  shard_announcement what = d.describe(shard);
  what.capabilities.shard_loaded = true;
  what.capabilities.active_requests = active;
  auto const receipt = co_await d.announce(std::move(what));
  CHECK(receipt.has_value());
}

}  // namespace

TEST_CASE("ranking: a directory knows round-trip times by its contacts, and loads by announcements") {
  struct holding {
    std::uint32_t shard;
    std::uint32_t active;
    duration delay;
  };
  // The asking node holds nothing: it is the first, and a holder's distance is that of its link.
  std::vector<holding> const holders = {{0, 0, 40ms}, {0, 1, 5ms}, {0, 9, 5ms}, {1, 0, 5ms}};
  simulated_swarm swarm(41, 5ms);
  std::vector<std::unique_ptr<swarm_directory>> directories;
  directory_options options;
  options.cluster = "lab";
  options.total_shards = 3;
  options.total_layers = 9;
  for (std::size_t i = 0; i <= holders.size(); ++i) {
    kad::node& n = swarm.add();
    directories.push_back(swarm_directory::open(n, options).value());
    if (i == 0) continue;
    io::sim::link_policy link;
    link.delay = holders[i - 1].delay;
    swarm.world.set_link(simulated_swarm::address(1), simulated_swarm::address(i + 1), link);
    swarm.world.set_link(simulated_swarm::address(i + 1), simulated_swarm::address(1), link);
    swarm.hosts[i]->spawn(hold(n, *directories[i], holders[i - 1].shard, holders[i - 1].active));
  }
  swarm.world.run_for(10s);
  auto const best = directories[0]->best_holders(0, 3);
  REQUIRE(best.size() == 3);
  CHECK(best[0].peer == swarm.nodes[2]->id());  // 10 ms and one request
  CHECK(best[1].peer == swarm.nodes[1]->id());  // 80 ms
  CHECK(best[2].peer == swarm.nodes[3]->id());  // 10 ms and nine requests
  CHECK(best[1].rtt >= 80ms);
  CHECK(best[1].rtt < 90ms);
  auto const all = directories[0]->cover();
  CHECK(all.choices.size() == 2);
  CHECK(all.choices[0].holder.peer == swarm.nodes[2]->id());
  REQUIRE(all.holes.size() == 1);
  CHECK(all.holes[0].shard == 2);
  CHECK(all.holes[0].why.find("nobody is known: not announced yet") == 0);
  auto const own = directories[3]->best_holders(0, 1);
  CHECK(own.front().peer != swarm.nodes[3]->id());  // it is busy
  for (std::size_t i = 0; i < directories.size(); ++i) swarm.hosts[i]->run(directories[i]->close());
}
