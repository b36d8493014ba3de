#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "kadoro/base/random.hpp"
#include "kadoro/coro/deadline.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

/// Where nobody ever is.
multiaddr nowhere() {
  chacha20_random random(1);
  auto const stranger = crypto::identity::generate(random);
  return multiaddr::datagram(simulated_swarm::address(250), peer_id::of_ed25519(stranger.public_key()));
}

multiaddr seed_at(simulated_swarm& swarm, std::size_t index) {
  return multiaddr::datagram(simulated_swarm::address(index + 1), swarm.nodes[index]->id());
}

coro::task<void> join(node& n) {
  auto const joined = co_await n.join();
  static_cast<void>(joined);
}

/// Of all nodes that are open, the `n` closest to `where`, without `self`.
std::vector<peer_id> true_closest(simulated_swarm& swarm, kad::key const& where, std::size_t n, peer_id const& self) {
  std::vector<peer_id> all;
  for (auto const& each : swarm.nodes)
    if (each && each->id() != self) all.push_back(each->id());
  std::sort(all.begin(), all.end(),
            [&where](peer_id const& a, peer_id const& b) { return where.closer(kad::key::of(a), kad::key::of(b)); });
  all.resize(std::min(all.size(), n));
  return all;
}

/// How many of the nodes know their true neighbours, the `n` closest.
std::size_t at_home(simulated_swarm& swarm, std::size_t n) {
  std::size_t count = 0;
  for (auto const& each : swarm.nodes) {
    auto const wanted = true_closest(swarm, kad::key::of(each->id()), n, each->id());
    count += std::all_of(wanted.begin(), wanted.end(),
                         [&each](peer_id const& id) { return each->table().contains(each->peer_of(id)); });
  }
  return count;
}

/// Whether a lookup of `key` by that node finds exactly the `n` closest of all.
bool finds(simulated_swarm& swarm, std::size_t by, std::string const& key, std::size_t n) {
  auto const found = swarm.hosts[by]->run(swarm.nodes[by]->find_closest(as_bytes(key)));
  if (!found) return false;
  auto const wanted = true_closest(swarm, kad::key::of(as_bytes(key)), n, swarm.nodes[by]->id());
  std::vector<peer_id> got;
  for (peer_ref const& p : *found) got.push_back(p->id());
  got.resize(std::min(got.size(), n));
  return got == wanted;
}

/// Two islands, with a seed each: node 0 that of the even ones, node 1 that of the odd ones.
struct islands {
  islands(std::uint64_t seed, std::size_t each, node_options how) : swarm(seed), options(std::move(how)) {
    node_options first = options;
    first.bootstrap = {nowhere()};
    swarm.add(options);
    swarm.add(first);
    for (std::size_t i = 2; i < 2 * each; ++i) {
      node_options mine = options;
      mine.bootstrap = {seed_at(swarm, i % 2)};
      swarm.add(mine);
    }
    swarm.join_all();
    swarm.world.run_for(30s);
  }

  bool apart() {
    for (std::size_t i = 0; i < swarm.nodes.size(); ++i)
      for (std::size_t j = 1 - i % 2; j < swarm.nodes.size(); j += 2)
        if (swarm.nodes[i]->table().contains(swarm.nodes[i]->peer_of(swarm.nodes[j]->id()))) return false;
    return true;
  }
  void add_bridge() {
    node_options both = options;
    both.bootstrap = {seed_at(swarm, 0), seed_at(swarm, 1)};
    node& bridge = swarm.add(both);
    swarm.hosts.back()->spawn(join(bridge));
  }

  simulated_swarm swarm;
  node_options options;
};

/// Datagrams to one address.
struct knocks final : io::sim::observer {
  explicit knocks(io::endpoint at) : door(at) {}
  void on_datagram(time_point, io::endpoint const&, io::endpoint const& to, bytes_view, io::sim::fate what) override {
    if (to == door && what == io::sim::fate::departed) ++count;
  }
  io::endpoint door;
  std::size_t count = 0;
};

}  // namespace

TEST_CASE("islands: a newcomer that knows a seed of both makes one swarm of them, records and watches too") {
  node_options options;
  options.table.k = 8;
  options.replicas = 3;
  std::size_t each = 40;
  SUBCASE("of eighty") {}
  SUBCASE("of nine") {
    options.table.k = 20;
    each = 4;
  }
  islands of(61, each, options);
  REQUIRE(of.apart());
  for (int i = 0; i < 10; ++i) {
    of.swarm.put(2, "even " + std::to_string(i), "two");
    of.swarm.put(3, "odd " + std::to_string(i), "three");
  }
  auto watched = of.swarm.nodes[5]->watch(as_bytes("even 0")).value();
  of.swarm.world.run_for(5s);
  CHECK_FALSE(of.swarm.get(7, "even 1").found());

  of.add_bridge();
  of.swarm.world.run_for(60s);
  std::size_t const k = options.table.k;
  CHECK(at_home(of.swarm, std::min<std::size_t>(k / 2, each)) == 2 * each + 1);
  std::size_t const reach = std::min<std::size_t>(k, 2 * each);
  int found = 0;
  for (int i = 0; i < 20; ++i)
    found += finds(of.swarm, static_cast<std::size_t>(i) % 8, "any " + std::to_string(i), reach);
  CHECK(found >= 19);
  for (int i = 0; i < 10; ++i) {
    CHECK(of.swarm.get(7, "even " + std::to_string(i)).found());
    CHECK(of.swarm.get(4, "odd " + std::to_string(i)).found());
  }
  auto const news = of.swarm.hosts[5]->run(coro::with_deadline(watched.next(), 1s));
  REQUIRE(news.has_value());
  CHECK(as_text(news->found.value.value) == "two");
}

TEST_CASE("islands: after an hour apart each side finds the other by the seed that it has there") {
  std::size_t const n = 14;
  simulated_swarm swarm(62);
  node_options options;
  options.table.k = 5;
  options.replicas = 3;
  swarm.add(options);
  node_options second = options;
  second.bootstrap = {seed_at(swarm, 0)};
  swarm.add(second);
  for (std::size_t i = 2; i < n; ++i) {
    node_options both = options;
    both.bootstrap = {seed_at(swarm, 0), seed_at(swarm, 1)};
    swarm.add(both);
  }
  swarm.join_all();
  swarm.world.run_for(20s);
  REQUIRE(at_home(swarm, 5) == n);
  for (std::size_t i = 1; i < n; i += 2) swarm.hosts[i]->set_island(1);
  swarm.world.run_for(60min);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 1 - i % 2; j < n; j += 2)
      CHECK_FALSE(swarm.nodes[i]->table().contains(swarm.nodes[i]->peer_of(swarm.nodes[j]->id())));
  for (std::size_t i = 1; i < n; i += 2) swarm.hosts[i]->set_island(0);
  swarm.world.run_for(75s);
  CHECK(at_home(swarm, 5) == n);
  for (int i = 0; i < 10; ++i) CHECK(finds(swarm, static_cast<std::size_t>(i), "any " + std::to_string(i), 5));
}

TEST_CASE("seeds: the first is dead for ever: it keeps nobody from the others, and is dialled ever more rarely") {
  simulated_swarm swarm(63);
  swarm.add();
  node_options options;
  options.bootstrap = {nowhere(), seed_at(swarm, 0)};
  for (int i = 0; i < 6; ++i) swarm.add(options);
  time_point const begun = swarm.world.now();
  auto const joined = swarm.hosts[3]->run(swarm.nodes[3]->join());
  CHECK(joined.has_value());
  CHECK(swarm.world.now() - begun < 1s);
  swarm.join_all();
  CHECK(swarm.nodes[3]->servers() == 6);

  swarm.world.run_for(10min);
  knocks at_the_door(simulated_swarm::address(250));
  swarm.world.set_observer(&at_the_door);
  swarm.world.run_for(30min);
  swarm.world.set_observer(nullptr);
  // Six nodes, each once in half a minute to a minute, with a handful of transmissions.
  CHECK(at_the_door.count >= 6u * 30);
  CHECK(at_the_door.count <= 6u * 60 * 6);
}

TEST_CASE("seeds: one that was dead for an hour is found within a minute, in the middle of a swarm") {
  simulated_swarm swarm(64);
  swarm.add();
  chacha20_random random(64);
  auto const late = crypto::identity::generate(random);
  peer_id const late_id = peer_id::of_ed25519(late.public_key());
  node_options options;
  options.bootstrap = {seed_at(swarm, 0), multiaddr::datagram(simulated_swarm::address(9), late_id)};
  for (int i = 0; i < 5; ++i) swarm.add(options);
  swarm.join_all();
  swarm.world.run_for(60min);
  io::sim::context host(swarm.world, simulated_swarm::address(9));
  node_options alone;
  alone.listen = simulated_swarm::address(9);
  auto const seed = node::open(host, late, alone).value();
  swarm.world.run_for(62s);
  for (std::size_t i = 1; i < 6; ++i) CHECK(swarm.nodes[i]->table().contains(swarm.nodes[i]->peer_of(late_id)));
  CHECK(seed->servers() == 6);
  host.run(seed->close());
}
