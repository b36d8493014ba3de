#include <doctest/doctest.h>

#include "kadoro/kad/membership.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

struct fixture {
  peer_ref peer() { return book.intern(peer_id::of_ed25519(crypto::identity::generate(host.random()).public_key())); }

  io::sim::world world{1};
  io::sim::context host{world, io::endpoint::v4({10, 0, 0, 1}, 0)};
  transport::peer_book book;
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "membership: two that know the same have the same view, and only then it is complete") {
  auto const a = peer();
  auto const b = peer();
  auto const c = peer();
  membership of_a(a->id(), true);
  membership of_b(b->id(), true);
  CHECK_FALSE(of_a.complete());  // nobody has confirmed that there is nobody
  CHECK(of_a.add(b));
  CHECK_FALSE(of_a.add(b));
  CHECK(of_b.add(a));
  CHECK(of_a.view() == of_b.view());
  CHECK_FALSE(of_a.complete());
  CHECK_FALSE(of_a.heard(b->id(), of_b.view()));
  CHECK(of_a.complete());

  CHECK(of_b.add(c));
  CHECK(of_a.heard(b->id(), of_b.view()));  // it knows somebody
  CHECK_FALSE(of_a.complete());
  CHECK(of_a.add(c));
  CHECK_FALSE(of_a.complete());  // c has said nothing
  CHECK_FALSE(of_a.heard(c->id(), of_a.view()));
  CHECK(of_a.complete());
  CHECK(of_a.remove(c->id()));
  CHECK_FALSE(of_a.remove(c->id()));
  CHECK_FALSE(of_a.complete());
  CHECK(of_b.remove(c->id()));
  CHECK(of_a.view() == of_b.view());
}

TEST_CASE_FIXTURE(fixture, "membership: a client and a crowd have no view") {
  membership client(peer()->id(), false);
  auto const b = peer();
  client.add(b);
  client.heard(b->id(), 0);
  CHECK(client.view() == 0);
  CHECK_FALSE(client.complete());

  membership server(peer()->id(), true);
  peer_list crowd;
  for (std::size_t i = 0; i < server.max_size(); ++i) crowd.push_back(peer());
  for (peer_ref const& p : crowd) CHECK(server.add(p));
  CHECK(server.view() != 0);
  CHECK_FALSE(server.add(peer()));
  CHECK(server.view() == 0);
  for (peer_ref const& p : crowd) server.heard(p->id(), 0);
  CHECK_FALSE(server.complete());
  while (server.size() >= server.max_size() / 2) server.remove(crowd[server.size() - 1]->id());
  CHECK(server.view() != 0);
}

TEST_CASE_FIXTURE(fixture, "membership: everybody is told a view once") {
  membership m(peer()->id(), true);
  auto const b = peer();
  auto const c = peer();
  m.add(b);
  m.add(c);
  CHECK(m.untold().size() == 2);
  m.told(b->id(), m.view());
  CHECK(m.untold() == peer_list{c});
  m.remove(c->id());
  CHECK(m.untold() == peer_list{b});
}

TEST_CASE("membership: in a small swarm that knows itself a put takes one round trip, and views confirm it") {
  simulated_swarm swarm(61, 50ms);
  node_options options;
  options.replicas = 4;
  for (int i = 0; i < 9; ++i) swarm.add(options);
  swarm.join_all();
  put_options how;
  how.quorum = quorum::all();
  for (int i = 0; i < 5; ++i) {
    time_point const start = swarm.world.now();
    auto const receipt = swarm.put(3, "key " + std::to_string(i), "value", how);
    CHECK(receipt.ok());
    CHECK(receipt.stored() == 4);
    CHECK(swarm.world.now() - start < 105ms);
  }
  // One that nobody has heard of yet: it gets what belongs to it all the same.
  swarm.add(options);
  swarm.hosts[9]->spawn([](node& n) -> coro::task<void> {
    auto const joined = co_await n.join();
    static_cast<void>(joined);
  }(*swarm.nodes[9]));
  std::vector<std::string> keys;
  for (int i = 0; i < 10; ++i) {
    keys.push_back("during " + std::to_string(i));
    swarm.put(3, keys.back(), "value", how);
  }
  swarm.world.run_for(3s);
  for (std::string const& k : keys) {
    std::size_t holders = 0;
    std::vector<std::pair<key, std::size_t>> order;
    for (std::size_t i = 0; i < 10; ++i)
      if (i != 3) order.emplace_back(key::of(swarm.nodes[i]->id().bytes()), i);
    key const target = key::of(as_bytes(k));
    std::sort(order.begin(), order.end(),
              [&](auto const& a, auto const& b) { return target.closer(a.first, b.first); });
    for (std::size_t i = 0; i < 4; ++i) holders += swarm.holds(order[i].second, k, 3) ? 1u : 0u;
    CHECK(holders == 4);
  }
}

TEST_CASE("membership: who cannot reach one of them looks, and stores at those whom it asks beside that") {
  simulated_swarm swarm(62, 50ms);
  for (int i = 0; i < 6; ++i) swarm.add();
  swarm.world.set_blocked(simulated_swarm::address(4), simulated_swarm::address(5), true);
  swarm.world.set_blocked(simulated_swarm::address(5), simulated_swarm::address(4), true);
  swarm.join_all();
  swarm.world.run_for(10s);
  time_point const start = swarm.world.now();
  auto const receipt = swarm.put(1, "key", "value");
  CHECK(receipt.ok());
  CHECK(swarm.world.now() - start < 150ms);  // one round trip
  CHECK_FALSE(receipt.steps().steps().empty());
}
