#include <doctest/doctest.h>

#include "simulated_peer.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using kadoro::transport::datagram::drop;
using namespace std::chrono_literals;

namespace {

/// Two peers with a session, 20 ms of RTT apart.
struct pair_of_peers {
  explicit pair_of_peers(std::uint64_t seed, datagram::options how = {}) : world(seed) {
    world.set_link(delay_of(10ms));
    a.emplace(world.add_host(address_of(1)), how);
    b.emplace(world.add_host(address_of(2)), how);
    to_b = a->knows(*b);
    REQUIRE(a->ask(to_b, message_type::put_value, "k").has_value());
    world.run_for(1s);
    to_a = b->book.find(peer_id::of_ed25519(a->identity.public_key()));
    REQUIRE(to_a);
  }

  void move_a(io::endpoint const& to) { a->host.change_address(a->host.address(), to); }
  std::uint64_t handshakes() const {
    return a->transport->counts().first_flights_sent + b->transport->counts().first_flights_sent;
  }
  datagram::counters const& of_b() const { return b->transport->counts(); }
  void close() {
    a->close();
    b->close();
  }

  io::sim::world world;
  std::optional<simulated_peer> a;
  std::optional<simulated_peer> b;
  peer_ref to_a;
  peer_ref to_b;
};

/// Sends what A says to B on from elsewhere too, over a faster path; and, if it relays, what B says to it on to A.
struct forwarder {
  static constexpr unsigned host = 66;
  bool active = true;
  bool relays = false;
  std::size_t to_it = 0;
  std::size_t largest = 0;

  forwarder(pair_of_peers& of, bool relay) : relays(relay) {
    io::endpoint const a = of.a->transport->local();
    io::endpoint const b = of.b->transport->local();
    of.world.set_link(address_of(host), b, delay_of(1ms));
    of.world.set_filter([this, &of, a, b](io::endpoint const& from, io::endpoint const& to, bytes& data) {
      if (to == address_of(host)) {
        ++to_it;
        largest = std::max(largest, data.size());
        if (relays) of.world.inject(b, a, data);
      }
      if (active && from == a && to == b) of.world.inject(address_of(host), b, data);
      return true;
    });
  }
};

coro::task<void> ask_once(simulated_peer& from, peer_ref to, std::size_t size, int& done) {
  bytes const value(size, 1);
  message request;
  request.type = message_type::put_value;
  request.key = as_bytes("key");
  request.record.emplace();
  request.record->value = value;
  auto const answer = co_await from.transport->request(std::move(to), request);
  if (answer) ++done;
}

}  // namespace

TEST_CASE("path: a peer that moves keeps its session, and is found at its new address") {
  pair_of_peers p(1);
  std::uint64_t const handshakes = p.handshakes();
  p.move_a(address_of(7));
  time_point const start = p.world.now();
  REQUIRE(p.a->ask(p.to_b, message_type::put_value, "moved").has_value());
  CHECK(p.world.now() - start == 40ms);  // one round trip for the challenge, and one for the request
  CHECK(p.handshakes() == handshakes);
  CHECK(p.of_b().paths_challenged == 1);
  CHECK(p.of_b().paths_moved == 1);
  REQUIRE_FALSE(p.to_a->addresses().empty());
  CHECK(p.to_a->addresses().front().where.udp_endpoint() == address_of(7));
  CHECK(p.to_a->addresses().front().confirmed);
  REQUIRE(p.b->ask(p.to_a, message_type::put_value, "back").has_value());
  CHECK(p.handshakes() == handshakes);
  SUBCASE("goodbye") {
    p.a->close();
    p.world.run_for(1s);
    CHECK(p.b->transport->sessions() == 0);
    CHECK(p.b->lost.size() == 1);
  }
  SUBCASE("silence") {
    p.a->silent = true;
    p.a->host.set_online(false);
    auto const answer = p.b->ask(p.to_a, message_type::ping);
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error() == errc::no_answer);
    CHECK(p.b->lost.size() == 1);
    p.a->host.set_online(true);
  }
  SUBCASE("both ends, one after the other, many times") {
    for (unsigned i = 0; i < 20; ++i) {
      p.move_a(address_of(100 + i));
      REQUIRE(p.a->ask(p.to_b, message_type::put_value, "again").has_value());
      p.b->host.change_address(p.b->host.address(), address_of(200 + i));
      REQUIRE(p.b->ask(p.to_a, message_type::put_value, "again").has_value());
      p.world.run_for(11s);
    }
    CHECK(p.handshakes() == handshakes);
    CHECK(p.of_b().paths_moved == 21);
    CHECK(p.to_a->addresses().size() <= peer::max_addresses);
  }
  p.close();
}

TEST_CASE("path: what is under way to a peer that moves is sent again, at once") {
  for (std::size_t const size : {std::size_t{100}, std::size_t{60000}}) {
    CAPTURE(size);
    pair_of_peers p(2);
    std::uint64_t const handshakes = p.handshakes();
    p.move_a(address_of(7));
    int done = 0;
    p.b->host.spawn(ask_once(*p.b, p.to_a, size, done));
    p.world.run_for(15ms);
    CHECK(done == 0);
    p.a->host.spawn(ask_once(*p.a, p.to_b, size, done));
    p.world.run_for(2s);
    CHECK(done == 2);
    CHECK(p.handshakes() == handshakes);
    CHECK(p.of_b().paths_moved == 1);
    p.close();
  }
}

TEST_CASE("path: moving is possible through loss") {
  std::uint64_t moved = 0;
  for (std::uint64_t seed = 10; seed < 30; ++seed) {
    pair_of_peers p(seed);
    p.world.set_link(delay_of(10ms, 0.15));
    p.move_a(address_of(7));
    for (int i = 0; i < 3; ++i) CHECK(p.a->ask(p.to_b, message_type::put_value, "moved").has_value());
    moved += p.of_b().paths_moved;
    p.world.set_link(delay_of(10ms));
    p.close();
  }
  CHECK(moved >= 8);  // else another handshake was faster
}

TEST_CASE("path: who passes packets on from elsewhere moves nobody") {
  pair_of_peers p(3);
  std::size_t const known = p.to_a->addresses().size();
  forwarder thief(p, false);
  for (int i = 0; i < 10; ++i) {
    CHECK(p.a->ask(p.to_b, message_type::put_value, "k").has_value());
    p.world.run_for(1s);
  }
  CHECK(p.of_b().paths_challenged > 0);
  CHECK(p.of_b().paths_moved == 0);
  CHECK(p.of_b().paths_failed > 0);
  CHECK(thief.to_it == p.of_b().paths_challenged);
  CHECK(thief.largest == datagram::path_packet_bytes);
  CHECK(p.to_a->addresses().size() == known);
  p.world.set_filter({});
  p.close();
}

TEST_CASE("path: who passes on both directions loses the session with the first packet that comes by itself") {
  pair_of_peers p(4);
  forwarder thief(p, true);
  bool const first = p.a->ask(p.to_b, message_type::put_value, "k").has_value();
  CHECK(first);
  CHECK(p.of_b().paths_moved <= 1);
  thief.active = false;
  CHECK(p.a->ask(p.to_b, message_type::put_value, "k").has_value());
  CHECK(p.b->ask(p.to_a, message_type::put_value, "k").has_value());
  CHECK(p.of_b().paths_returned == p.of_b().paths_moved);
  for (peer::address const& a : p.to_a->addresses()) CHECK(a.where.udp_endpoint() != address_of(66));
  p.world.set_filter({});
  p.close();
}

TEST_CASE("path: the response counts only from where the challenge went") {
  pair_of_peers p(5);
  io::endpoint const a_at = p.a->transport->local();
  io::endpoint const b_at = p.b->transport->local();
  bool forward = true;
  p.world.set_filter([&](io::endpoint const& from, io::endpoint const& to, bytes& data) {
    if (from == a_at && forward) {
      forward = false;
      p.world.set_link(address_of(66), b_at, delay_of(1ms));
      p.world.inject(address_of(66), b_at, data);
    }
    if (to == address_of(66)) p.world.inject(b_at, a_at, data);  // so that A answers it, from its own address
    return true;
  });
  CHECK(p.a->ask(p.to_b, message_type::put_value, "k").has_value());
  p.world.run_for(1s);
  CHECK(p.of_b().paths_challenged == 1);
  CHECK(p.of_b().paths_moved == 0);
  CHECK(p.of_b().paths_failed == 1);
  p.world.set_filter({});
  p.close();
}

TEST_CASE("path: a session is challenged at two new addresses at once, and the others are counted") {
  pair_of_peers p(6);
  io::endpoint const a_at = p.a->transport->local();
  io::endpoint const b_at = p.b->transport->local();
  unsigned next = 0x900;
  std::map<io::endpoint, std::size_t> told;
  p.world.set_filter([&](io::endpoint const& from, io::endpoint const& to, bytes& data) {
    if (from == b_at && to != a_at) told[to] += data.size();
    if (from == a_at) p.world.inject(address_of(next++), b_at, data);
    return from != a_at;  // nothing comes from where A lives
  });
  int done = 0;
  for (int i = 0; i < 8; ++i) p.a->host.spawn(ask_once(*p.a, p.to_b, 100, done));
  p.world.run_for(2900ms);
  CHECK(done == 8);  // B answers where A lives
  CHECK(p.of_b().of(drop::too_many_paths) > 0);
  CHECK(told.size() == datagram::path_book::max_candidates);
  for (auto const& [where, size] : told) CHECK(size == datagram::path_packet_bytes);
  p.world.set_filter({});
  p.world.run_for(20s);
  CHECK(p.of_b().paths_failed == datagram::path_book::max_candidates);
  CHECK(p.of_b().paths_moved == 0);
  p.close();
}

TEST_CASE("path: a session that has moved is rekeyed") {
  datagram::options how;
  how.session_packets = 200;
  pair_of_peers p(7, how);
  int done = 0;
  for (unsigned i = 0; i < 300; ++i) {
    if (i % 50 == 25) p.move_a(address_of(100 + i));
    p.a->host.spawn(ask_once(*p.a, p.to_b, i % 10 == 0 ? 20000 : 100, done));
    p.world.run_for(100ms);
  }
  p.world.run_for(5s);
  CHECK(done == 300);
  CHECK(p.a->transport->counts().rekeys > 0);
  CHECK(p.of_b().paths_moved >= 5);
  p.close();
}

TEST_CASE("path: who has moved is told where it is seen now") {
  pair_of_peers p(8);
  p.move_a(address_of(7));
  REQUIRE(p.a->ask(p.to_b, message_type::put_value, "moved").has_value());
  auto const words = p.a->transport->observations();
  REQUIRE(words.size() == 1);
  CHECK(words[0].seen == address_of(7));
  CHECK(words[0].own);
  p.close();
}

TEST_CASE("knock: one first flight, to an address that was never written to") {
  io::sim::world world(9);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  std::size_t to_a = 0;
  world.set_filter([&](io::endpoint const&, io::endpoint const& to, bytes&) {
    to_a += to == address_of(1) ? 1u : 0u;
    return true;
  });
  bool unsolicited = false;
  a.on_serve = [&](simulated_peer::message const& request, simulated_peer::message&) {
    unsolicited = request.unsolicited;
  };
  byte_array<16> const nonce{1, 2, 3};
  auto const who_a = b.book.intern(peer_id::of_ed25519(a.identity.public_key()));
  CHECK_FALSE(b.transport->knock(who_a, b.transport->local(), nonce));
  CHECK(b.transport->knock(who_a, address_of(1), nonce));
  world.run_for(1s);
  CHECK(to_a == 1);
  CHECK(unsolicited);
  CHECK(b.transport->sessions() == 0);
  CHECK(b.confirmed.empty());
  CHECK_FALSE(b.transport->knock(who_a, address_of(1), nonce));  // now it was
  world.run_for(11min);
  REQUIRE(a.ask(a.knows(b), message_type::ping).has_value());
  CHECK_FALSE(b.transport->knock(who_a, address_of(1), nonce));  // there is a session
  world.run_for(1s);

  // Who was called does not come unsolicited, by whatever port.
  simulated_peer c(world.add_host(address_of(3)));
  REQUIRE(a.ask(a.knows(c), message_type::ping).has_value());
  a.served.clear();
  unsolicited = false;
  datagram::options other;
  other.listen = address_of(3);
  other.listen.set_port(4002);
  simulated_peer d(c.host, other);
  CHECK(d.transport->knock(d.book.intern(peer_id::of_ed25519(a.identity.public_key())), address_of(1), nonce));
  world.run_for(1s);
  CHECK(a.served.size() == 1);
  CHECK_FALSE(unsolicited);
  world.set_filter({});
  a.close();
  b.close();
  c.close();
  d.close();
}
