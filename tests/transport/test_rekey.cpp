#include <doctest/doctest.h>

#include "kadoro/coro/sleep.hpp"
#include "simulated_peer.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using kadoro::transport::datagram::drop;
using namespace std::chrono_literals;

namespace {

/// The highest counter of a sealed packet, and how many sessions were used.
struct session_watch {
  std::map<std::pair<io::endpoint, std::uint32_t>, std::uint64_t> highest;

  explicit session_watch(io::sim::world& world) {
    world.set_filter([this](io::endpoint const& from, io::endpoint const&, bytes& data) {
      if (data.size() >= 16 && data[0] == 3) {
        auto& known = highest[{from, load_be<std::uint32_t>(data.data() + 4)}];
        known = std::max(known, load_be<std::uint64_t>(data.data() + 8));
      }
      return true;
    });
  }
};

coro::task<void> ask_often(simulated_peer& from, peer_ref to, int count, duration pause, bool large, int& done,
                           int& failed) {
  bytes const value(large ? 20000 : 100, 1);
  for (int i = 0; i < count; ++i) {
    message request;
    request.type = message_type::put_value;
    request.key = as_bytes("key");
    request.record.emplace();
    request.record->value = value;
    auto const answer = co_await from.transport->request(to, request);
    if (!answer) {
      MESSAGE(answer.error().message());
      ++failed;
    }
    auto const slept = co_await coro::sleep_for(pause);
    static_cast<void>(slept);
  }
  ++done;
}

}  // namespace

TEST_CASE("rekey: by count, under load from both sides, through loss, without a failed request") {
  for (double const loss : {0.0, 0.05}) {
    for (bool const large : {false, true}) {
      CAPTURE(loss);
      CAPTURE(large);
      io::sim::world world(1);
      io::sim::link_policy link;
      link.delay = 10ms;
      link.loss = loss;
      world.set_link(link);
      datagram::options how;
      how.session_packets = 100;
      simulated_peer a(world.add_host(address_of(1)), how);
      simulated_peer b(world.add_host(address_of(2)), how);
      session_watch const seen(world);
      int done = 0;
      int failed = 0;
      for (int i = 0; i < 4; ++i) {
        a.host.spawn(ask_often(a, a.knows(b), 200, 1ms, large, done, failed));
        b.host.spawn(ask_often(b, b.knows(a), 200, 1ms, false, done, failed));
      }
      world.run_until([&done] { return done == 8; });
      CAPTURE(a.transport->counters_text());
      CAPTURE(b.transport->counters_text());
      CHECK(failed == 0);
      CHECK(a.lost.empty());
      CHECK(b.lost.empty());
      CHECK(a.transport->counts().rekeys + b.transport->counts().rekeys >= 8);
      for (auto const& [session, counter] : seen.highest) CHECK(counter < 200);
      CHECK(seen.highest.size() >= 16);
      world.set_filter({});
      world.run_for(30s);
      CHECK(a.transport->sessions() <= 3);
      a.close();
      b.close();
    }
  }
}

TEST_CASE("rekey: by age, with a request now and then, and never a gap") {
  io::sim::world world(2);
  io::sim::link_policy link;
  link.delay = 50ms;
  world.set_link(link);
  datagram::options how;
  how.session_age = 10s;
  simulated_peer a(world.add_host(address_of(1)), how);
  simulated_peer b(world.add_host(address_of(2)), how);
  auto const to_b = a.knows(b);
  REQUIRE(a.ask(to_b, message_type::ping).has_value());
  for (int i = 0; i < 200; ++i) {
    world.run_for(1s);
    time_point const start = world.now();
    auto const answer = a.ask(to_b, message_type::put_value, "key");
    REQUIRE(answer.has_value());
    CHECK(world.now() - start == 100ms);  // no request waits for a handshake
    CHECK(a.transport->sessions() <= 3);
  }
  CHECK(a.transport->counts().rekeys >= 15);
  CHECK(a.transport->counts().rekeys <= 22);
  CHECK(a.transport->counts().retransmissions == 0);
  CHECK(b.transport->counts().rekeys == 0);  // the one who dialled dials again
  a.close();
  b.close();
}

TEST_CASE("rekey: a session whose initiator cannot be dialled, and only answers, is followed by another one too") {
  io::sim::world world(3);
  datagram::options how;
  how.session_age = 10s;
  simulated_peer a(world.add_host(address_of(1)), how);
  simulated_peer b(world.add_host(address_of(2)), how);
  REQUIRE(a.ask(a.knows(b), message_type::ping).has_value());
  world.run_for(1s);
  auto const to_a = b.book.find(peer_id::of_ed25519(a.identity.public_key()));
  REQUIRE(to_a);
  for (int i = 0; i < 60; ++i) {
    world.run_for(1s);
    CHECK(b.ask(to_a, message_type::ping).has_value());
  }
  CHECK(a.transport->counts().rekeys >= 4);
  CHECK(b.transport->counts().rekeys == 0);
  a.close();
  b.close();
}

TEST_CASE("rekey: while the handshake does not get through, the session serves on; past the hard limit it does not") {
  io::sim::world world(4);
  datagram::options how;
  how.session_age = 10s;
  simulated_peer a(world.add_host(address_of(1)), how);
  simulated_peer b(world.add_host(address_of(2)), how);
  auto const to_b = a.knows(b);
  REQUIRE(a.ask(to_b, message_type::ping).has_value());
  world.set_filter([](io::endpoint const&, io::endpoint const&, bytes& data) { return data[0] == 3; });
  for (int i = 0; i < 19; ++i) {
    auto const answer = a.ask(to_b, message_type::put_value, "key");
    CHECK(answer.has_value());
    world.run_for(980ms);
  }
  CHECK(a.transport->counts().rekeys > 1);
  world.run_for(2s);
  std::size_t const served = b.served.size();
  auto const late = a.ask(to_b, message_type::put_value, "key");
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error() == condition::no_answer);
  CHECK(b.served.size() == served);
  world.set_filter({});
  CHECK(a.ask(to_b, message_type::put_value, "key").has_value());
  world.run_for(60s);
  CHECK(a.transport->sessions() == 0);
  CHECK(b.transport->sessions() == 0);
  CHECK(a.transport->counts().sessions_worn_out == 2);
  a.close();
  b.close();
}
