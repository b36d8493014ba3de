#include <doctest/doctest.h>

#include <set>

#include "kadoro/coro/deadline.hpp"
#include "simulated_peer.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using kadoro::transport::datagram::drop;
using namespace std::chrono_literals;

namespace {

datagram::options with_key(std::uint8_t fill) {
  datagram::options how;
  how.swarm_key.emplace();
  how.swarm_key->fill(fill);
  return how;
}

/// Every datagram of a run, so that a test can replay or forge.
struct recorder {
  struct entry {
    io::endpoint from, to;
    bytes data;
  };
  std::vector<entry> all;

  explicit recorder(io::sim::world& world) {
    world.set_filter([this](io::endpoint const& from, io::endpoint const& to, bytes& data) {
      all.push_back({from, to, data});
      return true;
    });
  }
};

}  // namespace

TEST_CASE("datagram: a read takes one round trip on first contact, and one afterwards") {
  io::sim::world world(1);
  world.set_link(delay_of(50ms));
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const to_b = a.knows(b);

  time_point const start = world.now();
  auto const first = a.ask(to_b, message_type::find_node, "x");
  REQUIRE(first.has_value());
  CHECK(world.now() - start == 100ms);
  CHECK(to_b->mode == peer_mode::server);

  time_point const again = world.now();
  auto const second = a.ask(to_b, message_type::find_node, "y");
  REQUIRE(second.has_value());
  CHECK(world.now() - again == 100ms);
  CHECK(b.served.size() == 2);
  CHECK(a.transport->counts().first_flights_sent == 1);
  CHECK(to_b->rtt.smoothed() == 100ms);

  // The responder has learned its peer only by now, from the first sealed packet.
  CHECK(b.confirmed == std::vector<peer_id>{peer_id::of_ed25519(a.identity.public_key())});
  auto const seen = b.book.find(peer_id::of_ed25519(a.identity.public_key()));
  REQUIRE(seen);
  REQUIRE(seen->addresses().size() == 1);
  CHECK(seen->addresses()[0].where.to_string() == "/ip4/10.0.0.1/udp/4001/kadoro");
  CHECK(seen->addresses()[0].confirmed);
  a.close();
  b.close();
}

TEST_CASE("datagram: a write waits for a confirmed session") {
  io::sim::world world(2);
  world.set_link(delay_of(50ms));
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const to_b = a.knows(b);
  time_point const start = world.now();
  auto const stored = a.ask(to_b, message_type::put_value, "x");
  REQUIRE(stored.has_value());
  CHECK(world.now() - start == 200ms);
  CHECK(b.served == std::vector<message_type>{message_type::put_value});
  CHECK(b.transport->counts().of(drop::write_in_first_flight) == 0);
  a.close();
  b.close();
}

TEST_CASE("datagram: both ends dial at the same time, and need not wait for their own dials") {
  io::sim::world world(3);
  world.set_link(delay_of(50ms));
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  message put;
  put.type = message_type::put_value;
  put.key = as_bytes("k");
  int done = 0;
  static auto const one = [](simulated_peer& from, peer_ref to, message const& what, int& count) -> coro::task<void> {
    auto const answer = co_await from.transport->request(std::move(to), what);
    CHECK(answer.has_value());
    ++count;
  };
  time_point const start = world.now();
  a.host.spawn(one(a, a.knows(b), put, done));
  b.host.spawn(one(b, b.knows(a), put, done));
  world.run_until([&done] { return done == 2; });
  CHECK(world.now() - start == 150ms);  // the put goes out behind the answer to the other's first flight
  CHECK(a.served == std::vector<message_type>{message_type::put_value});
  CHECK(b.served == std::vector<message_type>{message_type::put_value});
  a.close();
  b.close();
}

TEST_CASE("datagram: survives 20 % loss, and every request is answered") {
  io::sim::world world(4);
  world.set_link(delay_of(20ms, 0.2));
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const to_b = a.knows(b);
  int answered = 0;
  for (int i = 0; i < 200; ++i) {
    auto const answer = a.ask(to_b, i % 2 == 0 ? message_type::put_value : message_type::get_value, "k");
    answered += answer.has_value() ? 1 : 0;
  }
  CHECK(answered == 200);
  CHECK(a.transport->counts().retransmissions > 0);
  a.close();
  b.close();
}

TEST_CASE("datagram: the peer restarts and the same request is answered") {
  io::sim::world world(5);
  world.set_link(delay_of(10ms));
  simulated_peer a(world.add_host(address_of(1)));
  auto host = std::make_unique<io::sim::context>(world, address_of(2));
  auto b = std::make_unique<simulated_peer>(*host);
  crypto::identity const identity = b->identity;
  auto const to_b = a.knows(*b);
  REQUIRE(a.ask(to_b, message_type::ping).has_value());

  host->crash();
  b.reset();
  host = std::make_unique<io::sim::context>(world, address_of(2));
  b = std::make_unique<simulated_peer>(*host, identity, datagram::options());
  for (message_type const type : {message_type::put_value, message_type::get_value}) {
    time_point const start = world.now();
    auto const answer = a.ask(to_b, type, "k");
    REQUIRE(answer.has_value());
    CHECK(world.now() - start < 500ms);
  }
  CHECK(b->transport->counts().of(drop::unknown_session) > 0);
  CHECK(a.transport->counts().requests_failed == 0);
  a.close();
  b->close();
}

TEST_CASE("datagram: nobody answers") {
  io::sim::world world(6);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const to_b = a.knows(b);
  SUBCASE("never met, and the port is closed") {
    b.close();
    b.transport.reset();
    auto const answer = a.ask(to_b, message_type::ping);
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error() == condition::no_answer);
    CHECK(answer.error().message().find(to_b->id().to_string()) != std::string::npos);
    CHECK(answer.error().message().find("/ip4/10.0.0.2/udp/4001/kadoro") != std::string::npos);
    CHECK(answer.error().message().find("nobody listens there") != std::string::npos);
  }
  SUBCASE("it had a session, and falls silent") {
    REQUIRE(a.ask(to_b, message_type::ping).has_value());
    b.host.set_online(false);
    time_point const start = world.now();
    auto const answer = a.ask(to_b, message_type::ping);
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error() == condition::no_answer);
    CHECK(world.now() - start >= 3s);
    CHECK(world.now() - start < 3100ms);
    CHECK(a.transport->sessions() == 0);
    b.host.set_online(true);
    b.close();
  }
  CHECK(a.lost == std::vector<peer_id>{to_b->id()});
  a.close();
}

TEST_CASE("datagram: a stranger gets zero bytes, and both sides can tell") {
  io::sim::world world(7);
  simulated_peer a(world.add_host(address_of(1)), with_key(1));
  simulated_peer b(world.add_host(address_of(2)), with_key(2));
  simulated_peer c(world.add_host(address_of(3)));
  for (simulated_peer* stranger : {&a, &c}) {
    recorder seen(world);
    auto const answer = stranger->ask(stranger->knows(b), message_type::ping);
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error() == condition::no_answer);
    CHECK(answer.error().message().find("swarm key") != std::string::npos);
    for (auto const& one : seen.all) CHECK(one.from != b.transport->local());
    world.set_filter({});
  }
  CHECK(b.transport->counts().of(drop::wrong_mac) > 0);
  CHECK(b.transport->sessions() == 0);
  CHECK(b.served.empty());
  a.close();
  b.close();
  c.close();
}

TEST_CASE("datagram: a common swarm key lets members in") {
  io::sim::world world(8);
  simulated_peer a(world.add_host(address_of(1)), with_key(9));
  simulated_peer b(world.add_host(address_of(2)), with_key(9));
  CHECK(a.ask(a.knows(b), message_type::put_value, "k").has_value());
  a.close();
  b.close();
}

namespace {

/// Two ends at a distance. B calls A; A wants to talk to B once that call has arrived, and knows where others see it.
struct being_called {
  explicit being_called(message_type what = message_type::put_value, std::size_t told_by = 2, duration limit = 5s) {
    world.set_link(delay_of(50ms));
    for (std::size_t i = 0; i < told_by; ++i) REQUIRE(a.ask(a.knows(i == 0 ? c : d), message_type::ping));
    calls_before = a.transport->counts().first_flights_sent;
    call.type = message_type::ping;
    request.type = what;
    request.key = as_bytes("k");
    b.host.spawn(one(b, b.knows(a), call, 5s, called));
    world.run_for(60ms);
    asked_at = world.now();
    a.host.spawn(one(a, a.knows(b), request, limit, answered));
  }
  ~being_called() {
    for (simulated_peer* each : {&a, &b, &c, &d}) each->close();
  }
  static coro::task<void> one(simulated_peer& from, peer_ref to, message const& what, duration limit, bool& ok) {
    auto const answer = co_await coro::with_deadline(from.transport->request(std::move(to), what), limit);
    ok = answer.has_value();
  }
  std::uint64_t calls() const { return a.transport->counts().first_flights_sent - calls_before; }

  io::sim::world world{31};
  simulated_peer a{world.add_host(address_of(1))};
  simulated_peer b{world.add_host(address_of(2))};
  simulated_peer c{world.add_host(address_of(3))};
  simulated_peer d{world.add_host(address_of(4))};
  message call, request;
  bool called = false;
  bool answered = false;
  std::uint64_t calls_before = 0;
  time_point asked_at{};
};

}  // namespace

TEST_CASE("datagram: whoever is being called does not call back, and waits no longer for that") {
  being_called s;
  s.world.run_until([&s] { return s.called && s.answered; });
  CHECK(s.world.now() - s.asked_at == 100ms);  // behind the answer to the call
  s.world.run_for(10s);
  CHECK(s.calls() == 0);
  CHECK(s.b.transport->sessions() == 1);
  CHECK(s.b.transport->counts().first_flights_sent == 1);
}

TEST_CASE("datagram: whoever is being called calls back where nobody has told it where it is seen") {
  being_called s(message_type::put_value, 1);
  s.world.run_until([&s] { return s.called && s.answered; });
  CHECK(s.calls() == 1);
}

TEST_CASE("datagram: whoever is being called calls back if it hears no more of that") {
  being_called s(message_type::find_node);
  s.world.set_link(delay_of(50ms, 1));  // nothing arrives
  s.world.run_for(280ms);
  CHECK(s.calls() == 0);
  s.world.set_link(delay_of(50ms));
  time_point const again = s.world.now();
  s.world.run_until([&s] { return s.answered; });
  CHECK(s.calls() == 1);
  CHECK(s.world.now() - again <= 115ms);           // the question was in the call
  CHECK(s.a.knows(s.b)->rtt.smoothed() == 100ms);  // the wait is no part of it
}

TEST_CASE("datagram: a call that nobody waits for any more is not made") {
  being_called s(message_type::put_value, 2, 100ms);
  s.world.set_link(delay_of(50ms, 1));
  s.world.run_for(10s);
  CHECK_FALSE(s.answered);
  CHECK(s.calls() == 0);
  CHECK_FALSE(s.a.knows(s.b)->addresses()[0].silent);
}

TEST_CASE("datagram: another identity lives at that address") {
  io::sim::world world(9);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const nobody = a.book.intern(peer_id::of_ed25519(crypto::identity::generate(a.host.random()).public_key()));
  nobody->add_address(multiaddr::datagram(b.transport->local(), std::nullopt), false);
  time_point const start = world.now();
  auto const answer = a.ask(nobody, message_type::ping);
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error() == errc::wrong_identity);
  CHECK(answer.error() == condition::unreachable);
  CHECK(answer.error().message().find(peer_id::of_ed25519(b.identity.public_key()).to_string()) != std::string::npos);
  CHECK(world.now() - start == 20ms);
  CHECK(b.transport->counts().of(drop::other_identity) == 1);
  a.close();
  b.close();
}

TEST_CASE("datagram: a recorded first flight") {
  io::sim::world world(10);
  simulated_peer a(world.add_host(address_of(1)));
  auto host = std::make_unique<io::sim::context>(world, address_of(2));
  auto b = std::make_unique<simulated_peer>(*host);
  crypto::identity const identity = b->identity;
  io::sim::context& thief = world.add_host(address_of(66));
  auto const stolen_port = thief.open_udp(address_of(66)).value();

  recorder seen(world);
  REQUIRE(a.ask(a.knows(*b), message_type::find_node, "k").has_value());
  REQUIRE(seen.all.size() >= 2);
  bytes const flight = seen.all[0].data;
  REQUIRE(flight.size() == datagram::first_flight_bytes);
  io::endpoint const a_at = a.transport->local();
  io::endpoint const b_at = b->transport->local();
  world.run_for(1s);
  std::size_t const confirmed_before = b->confirmed.size();

  SUBCASE("from the same address is a retransmission: the same answer, nothing served twice") {
    host->crash();
    b.reset();
    host = std::make_unique<io::sim::context>(world, address_of(2));
    b = std::make_unique<simulated_peer>(*host, identity, datagram::options());
    seen.all.clear();
    world.inject(a_at, b_at, flight);
    world.run_for(1s);
    std::size_t const served = b->served.size();
    CHECK(served == 1);
    world.inject(a_at, b_at, flight);
    world.run_for(1s);
    CHECK(b->served.size() == served);
    CHECK(b->transport->counts().first_flights_repeated == 1);
    REQUIRE(seen.all.size() == 2);
    CHECK(seen.all[0].data == seen.all[1].data);
    CHECK(seen.all[0].data.size() < flight.size());
  }
  SUBCASE("from the same address gets nothing once the session is confirmed: its sender has the answer") {
    std::size_t const served = b->served.size();
    seen.all.clear();
    world.inject(a_at, b_at, flight);
    world.run_for(1s);
    CHECK(b->served.size() == served);
    CHECK(seen.all.empty());
    CHECK(b->transport->counts().of(drop::replayed) == 1);
  }
  SUBCASE("from elsewhere gets nothing") {
    seen.all.clear();
    for (int i = 0; i < 5; ++i) world.inject(address_of(66), b_at, flight);
    world.run_for(1s);
    CHECK(seen.all.empty());
    CHECK(b->transport->counts().of(drop::replayed) == 5);
  }
  SUBCASE("at a node that has restarted gets one shorter answer, and teaches it nothing") {
    host->crash();
    b.reset();
    host = std::make_unique<io::sim::context>(world, address_of(2));
    b = std::make_unique<simulated_peer>(*host, identity, datagram::options());
    seen.all.clear();
    for (int i = 0; i < 5; ++i) world.inject(address_of(66), b_at, flight);
    world.run_for(1s);
    std::size_t answered_bytes = 0;
    for (auto const& one : seen.all) answered_bytes += one.to == address_of(66) ? one.data.size() : 0;
    CHECK(answered_bytes > 0);
    CHECK(b->confirmed.empty());
    CHECK(answered_bytes <= 5 * flight.size());
    auto const victim = b->book.find(peer_id::of_ed25519(a.identity.public_key()));
    if (victim) CHECK(victim->addresses().empty());
    world.run_for(30s);
    CHECK(b->transport->sessions() == 0);
  }
  CHECK(b->confirmed.size() <= confirmed_before);
  a.close();
  b->close();
}

TEST_CASE("datagram: what is forged, cut, changed or sent twice is counted and dropped") {
  io::sim::world world(11);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const to_b = a.knows(b);
  recorder seen(world);
  REQUIRE(a.ask(to_b, message_type::put_value, "k").has_value());
  std::vector<recorder::entry> const recorded = seen.all;
  world.set_filter({});
  std::size_t const served = b.served.size();
  auto const& counts = b.transport->counts();

  for (auto const& one : recorded) {
    if (one.to != b.transport->local() || one.data[0] != 3) continue;
    world.inject(one.from, one.to, one.data);
  }
  world.run_for(1s);
  CHECK(counts.of(drop::duplicate) > 0);

  chacha20_random random(5);
  for (auto const& one : recorded) {
    for (int i = 0; i < 400; ++i) {
      bytes bent = one.data;
      bent[random.below(bent.size())] ^= static_cast<std::uint8_t>(1u << random.below(8));
      if (random.below(4) == 0) bent.resize(random.below(bent.size() + 1));
      world.inject(one.from, one.to, bent);
    }
  }
  bytes const huge(2000, 3);
  world.inject(a.transport->local(), b.transport->local(), huge);
  world.inject(a.transport->local(), b.transport->local(), bytes());
  world.run_for(1s);
  CHECK(b.served.size() == served);
  CHECK(counts.of(drop::not_authentic) > 0);
  CHECK(counts.of(drop::wrong_mac) > 0);
  CHECK(counts.of(drop::wrong_size) > 0);
  CHECK(counts.of(drop::unknown_session) > 0);
  CHECK(counts.of(drop::unknown_type) > 0);
  CHECK(a.ask(to_b, message_type::put_value, "k").has_value());  // and the session goes on
  a.close();
  b.close();
}

TEST_CASE("datagram: a request that does not fit is refused with both sizes") {
  io::sim::world world(12);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  std::string const key(datagram::max_large_message_bytes, 'x');
  auto const answer = a.ask(a.knows(b), message_type::put_value, key);
  REQUIRE_FALSE(answer.has_value());
  CHECK(answer.error() == condition::over_limit);
  CHECK(answer.error().message().find(std::to_string(datagram::max_large_message_bytes)) != std::string::npos);
  CHECK(b.served.empty());
  a.close();
  b.close();
}

TEST_CASE("datagram: lists carry what fits and a cursor") {
  io::sim::world world(13);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  for (unsigned i = 0; i < 40; ++i) {
    auto const who = b.book.intern(peer_id::of_ed25519(crypto::identity::generate(b.host.random()).public_key()));
    who->add_address(multiaddr::datagram(address_of(1000 + i), std::nullopt), i % 2 == 0);
    b.contacts.push_back(who);
  }
  auto const to_b = a.knows(b);
  peer_list got;
  std::uint32_t cursor = 0;
  int pages = 0;
  do {
    message request;
    request.type = message_type::find_node;
    request.key = as_bytes("k");
    request.contacts_cursor = cursor;
    auto const answer = a.host.run(a.transport->request(to_b, request));
    REQUIRE(answer.has_value());
    got.insert(got.end(), answer->contacts.begin(), answer->contacts.end());
    CHECK((answer->contacts_cursor == 0 || answer->contacts_cursor > cursor));
    cursor = answer->contacts_cursor;
    ++pages;
  } while (cursor != 0 && pages < 10);
  CHECK(pages == 2);
  REQUIRE(got.size() == 20);  // the confirmed ones, each once, in order
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i]->id() == b.contacts[2 * i]->id());
  a.close();
  b.close();
}

TEST_CASE("datagram: a refusal is an answer") {
  io::sim::world world(14);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  b.refusing = errc::refused_full;
  auto const answer = a.ask(a.knows(b), message_type::put_value, "k");
  REQUIRE(answer.has_value());
  CHECK(answer->refusal == errc::refused_full);
  a.close();
  b.close();
}

TEST_CASE("datagram: goodbye reaches the other side, and ends what waits there") {
  io::sim::world world(15);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const to_b = a.knows(b);
  REQUIRE(a.ask(to_b, message_type::ping).has_value());
  b.silent = true;
  bool ended = false;
  static auto const one = [](simulated_peer& from, peer_ref to, bool& done) -> coro::task<void> {
    message ping;
    auto const answer = co_await from.transport->request(std::move(to), ping);
    CHECK_FALSE(answer.has_value());
    CHECK(answer.error() == condition::closed);
    done = true;
  };
  a.host.spawn(one(a, to_b, ended));
  world.run_for(15ms);
  b.close();
  world.run_for(50ms);
  CHECK(ended);
  CHECK(a.lost.size() == 1);
  CHECK(a.lost_why[0].find("left") != std::string::npos);
  CHECK(a.transport->sessions() == 0);
  a.close();
}

TEST_CASE("datagram: a request can be cancelled, and close ends the others") {
  io::sim::world world(16);
  simulated_peer a(world.add_host(address_of(1)));
  auto const nowhere = a.book.intern(peer_id::of_ed25519(crypto::identity::generate(a.host.random()).public_key()));
  SUBCASE("no address") {
    auto const answer = a.ask(nowhere, message_type::ping);
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error() == errc::unreachable);
  }
  SUBCASE("close") {
    nowhere->add_address(multiaddr::datagram(address_of(77), std::nullopt), false);
    std::optional<error> why;
    static auto const one = [](simulated_peer& from, peer_ref to, std::optional<error>& out) -> coro::task<void> {
      message ping;
      auto const answer = co_await from.transport->request(std::move(to), ping);
      out = answer.error();
    };
    a.host.spawn(one(a, nowhere, why));
    world.run_for(100ms);
    a.close();
    REQUIRE(why);
    CHECK(*why == condition::closed);
    auto const late = a.ask(nowhere, message_type::ping);
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error() == condition::closed);
  }
}

TEST_CASE("datagram: an address that is not validated gets three times what came from it, and only if dialled anyway") {
  io::sim::world world(17);
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  auto const to_a = b.knows(a);
  // a's first flight arrives, but nothing of b's reaches a: the session stays unconfirmed at b.
  std::size_t to_a_bytes = 0;
  std::size_t from_a_bytes = 0;
  std::size_t sealed = 0;
  std::set<bytes> first_flights;
  world.set_filter([&](io::endpoint const& from, io::endpoint const&, bytes& data) {
    if (from == b.transport->local()) {
      sealed += data[0] == 3 ? 1u : 0u;
      if (data[0] != 1) to_a_bytes += data.size();  // b's own dial is its own affair
      return false;
    }
    from_a_bytes += data.size();
    if (data[0] == 1) first_flights.insert(data);
    return true;
  });
  static auto const ask = [](simulated_peer& from, peer_ref to, message_type type) -> coro::task<void> {
    message request;
    std::string const key(900, 'k');
    request.type = type;
    request.key = as_bytes(key);
    auto const answer = co_await from.transport->request(std::move(to), request);
    CHECK_FALSE(answer.has_value());
  };
  a.host.spawn(ask(a, a.knows(b), message_type::find_node));
  for (int i = 0; i < 8; ++i) b.host.spawn(ask(b, to_a, message_type::put_value));
  world.run_for(20s);
  CHECK(from_a_bytes > 0);
  CHECK(to_a_bytes > 0);
  CHECK(to_a_bytes <= 3 * from_a_bytes);
  CHECK(sealed > 0);
  CHECK(sealed <= 2 * first_flights.size());  // what else waited has waited on
  a.close();
  b.close();
}

TEST_CASE("datagram: a member that floods with first flights keeps nobody out, and fills nothing") {
  io::sim::world world(19);
  world.set_link(delay_of(1ms));
  simulated_peer b(world.add_host(address_of(2)));
  std::size_t highest = 0;
  world.set_filter(
      [&b](io::endpoint const& from, io::endpoint const&, bytes&) { return from != b.transport->local(); });
  for (unsigned i = 0; i < 1500; ++i) {  // each a new identity, each followed by silence
    io::sim::context host(world, address_of(300 + i % 7));
    simulated_peer attacker(host);
    host.spawn([](simulated_peer& from, peer_ref to) -> coro::task<void> {
      message ping;
      auto const answer = co_await from.transport->request(std::move(to), ping);
      static_cast<void>(answer);
    }(attacker, attacker.knows(b)));
    world.run_for(2ms);
    host.crash();
    highest = std::max(highest, b.transport->sessions());
  }
  CHECK(highest <= datagram::datagram_transport::max_unconfirmed_sessions);
  CHECK(b.transport->counts().of(drop::no_cookie) > 0);
  CHECK(b.confirmed.empty());
  CHECK(b.book.size() <= datagram::datagram_transport::max_unconfirmed_sessions);
  world.set_filter({});
  simulated_peer honest(world.add_host(io::endpoint::v4({10, 7, 7, 7}, 0)));
  CHECK(honest.ask(honest.knows(b), message_type::put_value, "k").has_value());
  world.run_for(30s);
  CHECK(b.transport->sessions() == 1);
  honest.close();
  b.close();
}

TEST_CASE("datagram: the identity may live at another of its addresses, however often one denies it") {
  io::sim::world world(20);
  world.set_link(delay_of(100ms));
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer wrong(world.add_host(address_of(2)));
  simulated_peer right(world.add_host(address_of(3)));
  world.set_link(address_of(1), address_of(3), delay_of(700ms));
  auto const who = a.knows(right);
  who->add_address(multiaddr::datagram(wrong.transport->local(), std::nullopt), false);
  auto const answer = a.ask(who, message_type::ping);
  CHECK(answer.has_value());
  CHECK(wrong.transport->counts().of(drop::other_identity) > 0);
  a.close();
  wrong.close();
  right.close();
}

TEST_CASE("datagram: a range that is refused costs the others nothing") {
  datagram::rate_limiter limits(128, 512, 2000, 4000);
  time_point now(1s);
  int served = 0;
  for (int i = 0; i < 60000; ++i) {  // ten seconds: one range sends 5,900 a second, others 100
    now += 1s / 6000;
    if (i % 60 != 0)
      static_cast<void>(limits.take(7, now));
    else
      served += limits.take(1000 + static_cast<std::uint64_t>(i), now) ? 1 : 0;
  }
  CHECK(served == 1000);
}

TEST_CASE("datagram: pages go on past a full one and past publishers that share a place") {
  std::vector<bytes> ids;
  message answer;
  answer.type = message_type::get_value;
  bytes const value(600, 1);
  bytes const signature(64, 2);
  for (int i = 0; i < 4; ++i) {  // three that share the last eight bytes, then one behind them
    bytes id(38, static_cast<std::uint8_t>(i));
    for (std::size_t b = 30; b < 38; ++b) id[b] = i < 3 ? 5 : 9;
    ids.push_back(id);
  }
  for (bytes const& id : ids) {
    wire::record r;
    r.value = value;
    r.publisher = id;
    r.sequence = 1;
    r.signature = signature;
    answer.records.push_back(r);
  }
  std::uint64_t cursor = 0;
  bool last_seen = false;
  for (int page = 0; page < 5; ++page) {
    message one = answer;
    std::erase_if(one.records, [cursor](wire::record const& r) { return cursor_of(r.publisher) < cursor; });
    auto const read =
        datagram::cut_answer(one, datagram::max_handshake_message_bytes, datagram::oversized::pass_over).what;
    for (wire::record const& r : read.records) last_seen = last_seen || equal(r.publisher, ids[3]);
    if (read.records_cursor == 0) break;
    CHECK(read.records_cursor > cursor);
    cursor = read.records_cursor;
  }
  CHECK(last_seen);

  peer_book book;  // records fill the page: the contacts are behind it, not lost
  message full;
  full.type = message_type::get_value;
  bytes const large(850, 1);
  wire::record r = answer.records[0];
  r.value = large;
  full.records.push_back(r);
  byte_array<32> key{};
  key[0] = 9;
  auto const who = book.intern(peer_id::of_ed25519(key));
  who->add_address(multiaddr::datagram(address_of(9), std::nullopt), true);
  full.contacts.push_back(who);
  auto const read =
      datagram::cut_answer(full, datagram::max_handshake_message_bytes, datagram::oversized::pass_over).what;
  CHECK(read.records.size() == 1);
  if (read.closer.empty()) CHECK(read.contacts_cursor == 1);
}

TEST_CASE("datagram: a record that is too large for an answer is asked for again where more fits, else passed over") {
  message answer;
  answer.type = message_type::get_value;
  bytes const large(5000, 1);
  bytes const small(10, 1);
  bytes const ids[] = {bytes(38, 1), bytes(38, 2)};
  for (int i = 0; i < 2; ++i) {
    wire::record r;
    r.value = i == 0 ? large : small;
    r.publisher = ids[i];
    answer.records.push_back(r);
  }
  std::size_t const room = datagram::max_handshake_message_bytes;
  auto const again = datagram::cut_answer(answer, room, datagram::oversized::ask_again);
  CHECK(again.what.records.empty());
  CHECK(again.what.records_cursor == cursor_of(ids[0]));
  CHECK(again.passed_over == 0);
  auto const over = datagram::cut_answer(answer, room, datagram::oversized::pass_over);
  REQUIRE(over.what.records.size() == 1);
  CHECK(equal(over.what.records[0].publisher, ids[1]));
  CHECK(over.what.records_cursor == 0);
  CHECK(over.passed_over == 1);
}
