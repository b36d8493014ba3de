#include <doctest/doctest.h>

#include "kadoro/transport/datagram/datagram_transport.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

node_options replicas(std::size_t r) {
  node_options o;
  o.replicas = r;
  return o;
}

put_options lasting(duration lifetime, quorum q = quorum::majority()) {
  put_options how;
  how.lifetime = lifetime;
  how.quorum = q;
  return how;
}

get_options from_majority() {
  get_options how;
  how.quorum = quorum::majority();
  return how;
}

}  // namespace

TEST_CASE("node: nodes that start at the same instant all know each other within a second") {
  simulated_swarm swarm(1);
  for (int i = 0; i < 9; ++i) swarm.add();
  for (std::size_t i = 1; i < 9; ++i)
    swarm.hosts[i]->spawn([](node& n) -> coro::task<void> {
      auto const j = co_await n.join();
      CHECK(j.has_value());
    }(*swarm.nodes[i]));
  swarm.world.run_for(1s);
  for (auto const& n : swarm.nodes) CHECK(n->servers() == 8);
}

TEST_CASE("node: a put says who stored it, and everybody finds it") {
  simulated_swarm swarm(2, 38ms);
  for (int i = 0; i < 9; ++i) swarm.add(replicas(4));
  swarm.join_all();
  time_point const start = swarm.world.now();
  auto const receipt = swarm.put(1, "key", "value", lasting(1min, quorum::all()));
  CHECK(swarm.world.now() - start <= 2 * 76ms + 1ms);
  CHECK(receipt.ok());
  CHECK(receipt.population() == 4);
  CHECK(receipt.stored() == 4);
  CHECK(receipt.needed() == 4);
  CHECK_FALSE(receipt.degraded());
  CHECK(receipt.explain() == "stored on 4 of 4 needed (4 asked)");
  for (auto const& r : receipt.replicas()) {
    bool held = false;
    for (std::size_t i = 0; i < 9; ++i) held = held || (swarm.nodes[i]->id() == r.peer && swarm.holds(i, "key", 1));
    CHECK(held);
  }
  for (std::size_t i = 0; i < 9; ++i) {
    time_point const asked = swarm.world.now();
    auto const got = swarm.get(i, "key");
    CHECK(swarm.world.now() - asked <= 76ms + 1ms);
    CHECK(got.outcome() == get_outcome::found);
    REQUIRE(got.records().size() == 1);
    CHECK(as_text(got.records()[0].value.value) == "value");
    CHECK(got.records()[0].value.publisher == swarm.nodes[1]->id());
  }
}

TEST_CASE("node: a swarm smaller than r is degraded, not a failure") {
  simulated_swarm swarm(3);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  auto const receipt = swarm.put(1, "key", "value", lasting(1min, quorum::all()));
  CHECK(receipt.ok());
  CHECK(receipt.population() == 2);
  CHECK(receipt.degraded());
  CHECK(receipt.explain() == "stored on 2 of 2 needed (2 asked, 20 wanted: degraded)");
}

TEST_CASE("node: the rendezvous runs in client mode, and the put says so within one round trip") {
  simulated_swarm swarm(4, 38ms);
  node_options client;
  client.mode = peer_mode::client;
  swarm.add(client);
  swarm.add();
  time_point const start = swarm.world.now();
  auto const receipt = swarm.put(1, "/llama-cluster/llama-cluster/shard/1", "value");
  CHECK(swarm.world.now() - start <= 76ms + 1ms);
  CHECK_FALSE(receipt.ok());
  CHECK(receipt.explain() == "stored on 0 of 1 needed: " + swarm.nodes[0]->id().to_string() +
                                 " refused: it runs in client mode and stores nothing; start it in server mode, or "
                                 "bootstrap from a peer that runs in server mode");
  auto const got = swarm.get(1, "other");
  CHECK(got.outcome() == get_outcome::refused);
  auto const joined = swarm.hosts[1]->run(swarm.nodes[1]->join());
  REQUIRE_FALSE(joined.has_value());
  CHECK(joined.error() == errc::refused_client_mode);
}

TEST_CASE("node: not announced yet, and nobody to ask, are two different outcomes") {
  simulated_swarm swarm(5);
  for (int i = 0; i < 4; ++i) swarm.add();
  SUBCASE("peers answer, none holds it") {
    swarm.join_all();
    auto const got = swarm.get(1, "key");
    CHECK(got.outcome() == get_outcome::not_found);
    CHECK(got.explain() == "not announced yet: 3 peers asked, none holds it");
  }
  SUBCASE("nobody answers") {
    swarm.hosts[0]->set_online(false);
    auto const got = swarm.get(1, "key");
    CHECK(got.outcome() == get_outcome::timed_out);
    CHECK(got.explain().find("nobody reachable: " + swarm.nodes[0]->id().to_string()) == 0);
  }
  SUBCASE("nobody is known") {
    auto const got = swarm.get(0, "key");
    CHECK(got.outcome() == get_outcome::nobody_to_ask);
    auto const receipt = swarm.put(0, "key", "value");
    CHECK_FALSE(receipt.ok());
    CHECK(receipt.population() == 0);
    CHECK(receipt.explain().find("stored on 0 of 1 needed: no peer is known") == 0);
    swarm.join_all();  // and it is pushed as soon as somebody appears
    auto const found = swarm.get(1, "key");
    CHECK(found.outcome() == get_outcome::found);
  }
}

TEST_CASE("node: two publishers of one key do not overwrite each other") {
  simulated_swarm swarm(6);
  for (int i = 0; i < 6; ++i) swarm.add();
  swarm.join_all();
  CHECK(swarm.put(1, "key", "one").ok());
  CHECK(swarm.put(2, "key", "two").ok());
  auto const got = swarm.get(4, "key", from_majority());
  CHECK(got.records().size() == 2);
  CHECK(swarm.withdraw(1, "key").ok());
  auto const after = swarm.get(4, "key", from_majority());
  REQUIRE(after.records().size() == 1);
  CHECK(as_text(after.records()[0].value.value) == "two");
  CHECK(after.withdrawn().size() == 1);
}

TEST_CASE("node: many publishers of one key are read page by page") {
  simulated_swarm swarm(7);
  for (int i = 0; i < 16; ++i) swarm.add();
  swarm.join_all();
  for (std::size_t i = 0; i < 16; ++i) CHECK(swarm.put(i, "key", std::string(300, static_cast<char>('a' + i))).ok());
  swarm.world.run_for(2s);
  auto const got = swarm.get(3, "key", from_majority());
  CHECK(got.records().size() == 16);
}

TEST_CASE("node: a record lives as long as its publisher renews it, and no longer") {
  simulated_swarm swarm(8);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  CHECK(swarm.put(1, "key", "value", lasting(10s)).ok());
  swarm.world.run_for(2min);
  CHECK(swarm.get(3, "key", from_majority()).found());
  swarm.crash(1);
  swarm.world.run_for(11s);
  auto const got = swarm.get(3, "key", from_majority());
  CHECK(got.outcome() == get_outcome::not_found);
  for (std::size_t i : {0u, 2u, 3u, 4u}) CHECK_FALSE(swarm.holds(i, "key", 1));
}

TEST_CASE("node: withdrawn is withdrawn, whatever older copy is handed around") {
  simulated_swarm swarm(9);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  CHECK(swarm.put(1, "key", "value", lasting(1min, quorum::all())).ok());
  auto const gone = swarm.withdraw(1, "key", lasting(1min, quorum::all()));
  CHECK(gone.ok());
  for (std::size_t i = 0; i < 5; ++i) {
    auto const got = swarm.get(i, "key", from_majority());
    CHECK(got.outcome() == get_outcome::not_found);
    CHECK(got.explain().find("withdrawn by its publisher") == 0);
  }
  swarm.world.run_for(5min);
  CHECK(swarm.get(3, "key", from_majority()).outcome() == get_outcome::not_found);
}

TEST_CASE("node: a publisher that forgot its sequence adopts what others remember") {
  simulated_swarm swarm(10);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  for (int i = 0; i < 7; ++i) CHECK(swarm.put(1, "key", "old", lasting(10min, quorum::all())).ok());
  swarm.crash(1);
  swarm.start(1);
  auto const joined = swarm.hosts[1]->run(swarm.nodes[1]->join());
  CHECK(joined.has_value());
  auto const receipt = swarm.put(1, "key", "new", lasting(10min, quorum::all()));
  CHECK(receipt.ok());
  CHECK(receipt.sequence() == 8);
  auto const got = swarm.get(3, "key", from_majority());
  REQUIRE(got.records().size() == 1);
  CHECK(as_text(got.records()[0].value.value) == "new");
}

TEST_CASE("node: a holder that comes closer gets a copy, and a new holder replaces a dead one") {
  simulated_swarm swarm(11);
  for (int i = 0; i < 12; ++i) swarm.add(replicas(3));
  swarm.join_all();
  CHECK(swarm.put(1, "key", "value", lasting(20s, quorum::all())).ok());
  for (int i = 0; i < 12; ++i) swarm.add(replicas(3));
  swarm.join_all();
  swarm.world.run_for(15s);
  std::vector<std::pair<key, std::size_t>> by_distance;
  key const target = key::of(as_bytes("key"));
  for (std::size_t i = 0; i < 24; ++i)
    if (i != 1) by_distance.emplace_back(key::of(swarm.nodes[i]->id()), i);
  std::sort(by_distance.begin(), by_distance.end(),
            [&target](auto const& a, auto const& b) { return target.closer(a.first, b.first); });
  for (std::size_t i = 0; i < 3; ++i) CHECK(swarm.holds(by_distance[i].second, "key", 1));
  swarm.crash(by_distance[0].second == 0 ? by_distance[1].second : by_distance[0].second);
  swarm.world.run_for(60s);
  std::size_t holders = 0;
  for (std::size_t i = 0; i < 24; ++i)
    if (i != 1 && swarm.nodes[i]) holders += swarm.holds(i, "key", 1) ? 1 : 0;
  CHECK(holders >= 3);
}

TEST_CASE("node: the rendezvous goes, everything else goes on, and it comes back") {
  simulated_swarm swarm(12);
  for (int i = 0; i < 6; ++i) swarm.add();
  swarm.join_all();
  swarm.crash(0);
  CHECK(swarm.put(1, "key", "value").ok());
  CHECK(swarm.get(4, "key", from_majority()).found());
  node_options through_another;
  through_another.bootstrap = {multiaddr::datagram(simulated_swarm::address(4), swarm.nodes[3]->id())};
  node& late = swarm.add(through_another);
  auto const joined = swarm.hosts.back()->run(late.join());
  CHECK(joined.has_value());
  swarm.world.run_for(1s);
  CHECK(late.servers() >= 5);
  CHECK(swarm.get(6, "key").found());
  swarm.start(0);
  swarm.world.run_for(20s);
  CHECK(swarm.nodes[0]->servers() >= 5);
  CHECK(swarm.get(0, "key", from_majority()).found());
}

TEST_CASE("node: a wrong value, a stranger's record and a renew of somebody else's are refused with the reason") {
  simulated_swarm swarm(13);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  io::sim::context attacker_host(swarm.world, io::endpoint::v4({10, 9, 9, 9}, 0));
  crypto::identity const attacker = crypto::identity::generate(attacker_host.random());
  transport::peer_book book;
  transport::datagram::options how;
  how.listen = io::endpoint::v4({10, 9, 9, 9}, 7);
  auto const wire = transport::datagram::datagram_transport::open(attacker_host, book, attacker, how).value();
  auto const victim = book.intern(swarm.nodes[0]->id());
  victim->add_address(multiaddr::datagram(simulated_swarm::address(1), std::nullopt), false);

  record const honest = record::make(swarm.identities[1], as_bytes("key"), 5, 1min, 0, as_bytes("value"));
  record forged = honest;
  forged.value.back() ^= 1;
  auto const ask = [&](transport::message_type type, record const& r) {
    transport::message m;
    m.type = type;
    m.key = r.key;
    m.sequence = r.sequence;
    if (type != transport::message_type::renew) m.record = to_wire(r, 60000, false);
    auto const answer = attacker_host.run(wire->request(victim, m));
    REQUIRE(answer.has_value());
    return answer->refusal;
  };
  using transport::message_type;
  CHECK(ask(message_type::put_value, honest) == errc::refused_publisher);
  CHECK(ask(message_type::replicate, forged) == errc::refused_signature);
  CHECK(ask(message_type::replicate, honest) == std::nullopt);
  CHECK(ask(message_type::renew, honest) == errc::refused_unknown);
  record const older = record::make(swarm.identities[1], as_bytes("key"), 4, 1min, 0, as_bytes("older"));
  CHECK(ask(message_type::replicate, older) == errc::refused_stale);
  CHECK(ask(message_type::add_provider, honest) == errc::refused_unsupported);

  // Its own record with a wrong signature, over its own session: acknowledged, then dropped and never served.
  record good = record::make(attacker, as_bytes("mine"), 1, 1min, 0, as_bytes("good"));
  record bad = record::make(attacker, as_bytes("mine"), 2, 1min, 0, as_bytes("bad"));
  bad.signature[3] ^= 1;
  CHECK(ask(message_type::put_value, good) == std::nullopt);
  CHECK(ask(message_type::put_value, bad) == std::nullopt);
  auto const got = swarm.get(1, "mine", from_majority());
  REQUIRE(got.records().size() == 1);
  CHECK(as_text(got.records()[0].value.value) == "good");
  CHECK(swarm.nodes[0]->store().counters().bad_signature == 1);
  attacker_host.run(wire->close());
}

TEST_CASE("node: a full store refuses, and keeps what it has acknowledged") {
  simulated_swarm swarm(14);
  node_options small;
  small.store.max_records = 4;
  small.store.max_records_per_publisher = 4;
  swarm.add(small);
  swarm.add();
  swarm.join_all();
  for (int i = 0; i < 4; ++i) CHECK(swarm.put(1, "key" + std::to_string(i), "value").ok());
  auto const receipt = swarm.put(1, "one too many", "value");
  CHECK_FALSE(receipt.ok());
  REQUIRE(receipt.refused() == 1);
  CHECK(receipt.replicas()[0].refusal == errc::refused_full);
  for (int i = 0; i < 4; ++i) CHECK(swarm.holds(0, "key" + std::to_string(i), 1));
}

TEST_CASE("node: what does not fit or makes no sense is refused before anything is sent") {
  simulated_swarm swarm(15);
  swarm.add();
  auto const large = swarm.hosts[0]->run(swarm.nodes[0]->put(as_bytes("key"), bytes(65537, 1)));
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error() == condition::over_limit);
  CHECK(large.error().message().find("key, 65537 bytes of value") != std::string::npos);
  auto const nameless = swarm.hosts[0]->run(swarm.nodes[0]->put(as_bytes(""), as_bytes("v")));
  CHECK_FALSE(nameless.has_value());
  node_options wrong;
  wrong.listen = simulated_swarm::address(1);
  auto const taken = node::open(*swarm.hosts[0], swarm.identities[0], wrong);
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error() == errc::address_in_use);
}

TEST_CASE("node: the largest value that a put takes can be read back and handed on, whatever the key") {
  simulated_swarm swarm(20);
  for (int i = 0; i < 4; ++i) swarm.add();
  swarm.join_all();
  for (std::size_t const key_bytes : {1u, 13u, 14u, 30u, 127u, 128u, 255u}) {
    std::string const name(key_bytes, 'k');
    std::size_t const fits = record::max_value_bytes;
    auto const receipt = swarm.hosts[1]->run(swarm.nodes[1]->put(as_bytes(name), bytes(fits, 7), lasting(10s)));
    REQUIRE(receipt.has_value());
    auto const got = swarm.get(2, name, from_majority());
    REQUIRE(got.records().size() == 1);
    CHECK(got.records()[0].value.value.size() == fits);
    wire::message handed_on;
    handed_on.type = wire::message_type::replicate;
    handed_on.key = as_bytes(name);
    handed_on.record = to_wire(got.records()[0].value, ~0u, false);
    CHECK(wire::encoded_size(handed_on) <= transport::datagram::max_large_message_bytes);
  }
}

TEST_CASE("node: read-back finds what was stored") {
  simulated_swarm swarm(16);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  put_options how;
  how.read_back = true;
  auto const receipt = swarm.put(1, "key", "value", how);
  auto const settled = swarm.hosts[1]->run(receipt.settled());
  CHECK(settled.has_value());
  CHECK(receipt.reading() == put_receipt::read_back::found);
}

TEST_CASE("node: a hundred nodes: every put is stored on the true closest, every get succeeds") {
  simulated_swarm swarm(17);
  for (int i = 0; i < 100; ++i) swarm.add(replicas(8));
  swarm.join_all();
  swarm.world.run_for(10s);
  for (std::size_t i = 0; i < 20; ++i) {
    std::string const name = "key" + std::to_string(i);
    auto const receipt = swarm.put(i, name, "value", lasting(10min, quorum::all()));
    CHECK(receipt.stored() == 8);
    std::vector<std::pair<key, peer_id>> by_distance;
    for (std::size_t j = 0; j < 100; ++j)
      if (j != i) by_distance.emplace_back(key::of(swarm.nodes[j]->id()), swarm.nodes[j]->id());
    key const target = key::of(as_bytes(name));
    std::sort(by_distance.begin(), by_distance.end(),
              [&target](auto const& a, auto const& b) { return target.closer(a.first, b.first); });
    for (replica const& r : receipt.replicas())
      CHECK(std::any_of(by_distance.begin(), by_distance.begin() + 8,
                        [&r](auto const& d) { return d.second == r.peer; }));
    CHECK(swarm.get(99 - i, name).found());
  }
}

TEST_CASE("node: the same seed gives the same run, another seed another one") {
  auto const run = [](std::uint64_t seed) {
    simulated_swarm swarm(seed);
    for (int i = 0; i < 9; ++i) swarm.add(replicas(4));
    swarm.join_all();
    for (std::size_t i = 0; i < 9; ++i) swarm.put(i, "key" + std::to_string(i), "value", lasting(5s));
    swarm.world.run_for(20s);
    return swarm.world.trace_hash();
  };
  auto const first = run(42);
  CHECK(first == run(42));
  CHECK(first != run(43));
}

TEST_CASE("node: every query can be explained") {
  simulated_swarm swarm(18);
  for (int i = 0; i < 4; ++i) swarm.add();
  swarm.join_all();
  auto const receipt = swarm.put(1, "key", "value");
  CHECK(receipt.steps().steps().size() == 3);  // three stores: no lookup was needed
  CHECK(receipt.steps().to_text().find(swarm.nodes[0]->id().short_string()) != std::string::npos);
  CHECK(receipt.steps().to_json().find("\"rtt_ms\"") != std::string::npos);
}

TEST_CASE("node: destroying an open node is safe") {
  simulated_swarm swarm(19);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  bool ended = false;
  swarm.hosts[1]->spawn([](node& n, bool& done) -> coro::task<void> {
    auto const receipt = co_await n.put(as_bytes("key"), as_bytes("value"));
    done = true;
  }(*swarm.nodes[1], ended));
  swarm.world.run_for(5ms);
  swarm.nodes[1].reset();
  swarm.world.run_for(10s);
  CHECK(ended);
}

TEST_CASE("node: an older put that is still under way does not undo what the same node says later") {
  for (bool const withdrawn : {true, false}) {
    bool cut = false;  // before the swarm, whose last words pass the filter too
    simulated_swarm swarm(21);
    for (int i = 0; i < 5; ++i) swarm.add();
    swarm.join_all();
    // Puts to one replica are lost for a while: the first is still being sent when the second comes.
    cut = true;
    swarm.world.set_filter([&cut](io::endpoint const& from, io::endpoint const& to, bytes&) {
      return !cut || from != simulated_swarm::address(2) || to != simulated_swarm::address(4);
    });
    CHECK(swarm.put(1, "key", "old", lasting(1min)).ok());
    if (withdrawn)
      CHECK(swarm.withdraw(1, "key", lasting(1min)).ok());
    else
      CHECK(swarm.put(1, "key", "new", lasting(1min)).ok());
    cut = false;
    swarm.world.run_for(10s);
    for (std::size_t i = 0; i < 5; ++i) {
      auto const got = swarm.get(i, "key", from_majority());
      CHECK(got.found() == !withdrawn);
      for (auto const& r : got.records()) CHECK(as_text(r.value.value) == "new");
    }
  }
}

TEST_CASE("node: a tombstone outlives the record that it withdraws") {
  simulated_swarm swarm(22);
  for (int i = 0; i < 4; ++i) swarm.add();
  swarm.join_all();
  CHECK(swarm.put(1, "key", "value", lasting(2h, quorum::all())).ok());
  swarm.hosts[3]->set_online(false);  // it keeps its copy
  swarm.hosts[1]->run(swarm.nodes[1]->withdraw(as_bytes("key"), lasting(1min)));
  swarm.hosts[3]->set_online(true);
  swarm.world.run_for(30min);
  CHECK(swarm.get(0, "key", from_majority()).outcome() == get_outcome::not_found);
}

TEST_CASE("node: one outage makes a contact a suspect, however many requests it swallowed") {
  simulated_swarm swarm(23);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  swarm.hosts[2]->set_online(false);
  swarm.world.run_for(20ms);  // what is on its way still arrives
  auto const gone = swarm.nodes[1]->peer_of(swarm.nodes[2]->id());
  for (int i = 0; i < 5; ++i)
    swarm.hosts[1]->spawn([](node& n, peer_ref to) -> coro::task<void> {
      auto const answer = co_await n.ping(std::move(to));
      CHECK_FALSE(answer.has_value());
    }(*swarm.nodes[1], gone));
  swarm.world.run_for(3500ms);
  CHECK(gone->unanswered == 1);
  CHECK(swarm.nodes[1]->table().contains(gone));
  CHECK(swarm.nodes[1]->servers() == 1);
  swarm.hosts[2]->set_online(true);
  swarm.world.run_for(20s);
  CHECK(swarm.nodes[1]->servers() == 2);
}
