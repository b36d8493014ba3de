#include <doctest/doctest.h>

#include "simulated_peer.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using namespace std::chrono_literals;
using datagram::drop;

namespace {

using limits = datagram::datagram_transport;

io::endpoint in_range(std::uint8_t net, unsigned host) {
  return io::endpoint::v4({45, 1, net, static_cast<std::uint8_t>(host)}, 4001);
}

}  // namespace

TEST_CASE("room: unconfirmed sessions of one range make room among their own") {
  io::sim::world world(1);
  simulated_peer server(world.add_host(in_range(1, 1)));
  // Nothing comes back to them, so none of their sessions is ever confirmed.
  world.set_filter([](io::endpoint const& from, io::endpoint const&, bytes&) { return from != in_range(1, 1); });
  simulated_peer other(world.add_host(in_range(3, 1)));
  message ping;
  for (unsigned i = 0; i < 100; ++i) {
    auto& host = world.add_host(in_range(2, 1 + i));
    simulated_peer one(host);
    auto const server_seen = one.knows(server);
    host.spawn([](simulated_peer& by, peer_ref to, message const& what) -> coro::task<void> {
      auto const answer = co_await by.transport->request(to, what);
      static_cast<void>(answer);
    }(one, server_seen, ping));
    world.run_for(20ms);
    host.crash();
  }
  CHECK(server.transport->counts().first_flights_received == 100);
  CHECK(server.transport->sessions() == limits::max_unconfirmed_sessions_per_range);
  world.set_filter({});
  CHECK(other.ask(other.knows(server), message_type::ping).has_value());
  CHECK(server.transport->sessions() == limits::max_unconfirmed_sessions_per_range + 1);
  other.close();
  server.close();
}

TEST_CASE("room: one range that keeps its sessions busy does not take those of others") {
  io::sim::world world(2);
  simulated_peer server(world.add_host(in_range(1, 1)));
  std::vector<std::unique_ptr<simulated_peer>> crowd;
  io::sim::context* host = nullptr;
  std::size_t const most = limits::max_sessions_per_range;
  for (unsigned i = 0; i <= most; ++i) {
    if (i % 128 == 0) host = &world.add_host(in_range(2, 1 + i / 128));
    world.run_for(8ms);  // so that the limit on first flights does not matter
    datagram::options how;
    how.listen = io::endpoint(host->address());
    how.listen.set_port(static_cast<std::uint16_t>(5000 + i));
    crowd.push_back(std::make_unique<simulated_peer>(*host, how));
    auto const answer = crowd.back()->ask(crowd.back()->knows(server), message_type::ping);
    CHECK(answer.has_value() == (i < most));
  }
  CHECK(server.transport->sessions() == most);
  CHECK(server.transport->counts().of(drop::sessions_range_full) > 0);
  simulated_peer other(world.add_host(in_range(3, 1)));
  CHECK(other.ask(other.knows(server), message_type::ping).has_value());
  other.close();
  for (auto const& each : crowd) each->close();
  server.close();
}

TEST_CASE("room: requests to one peer do not take the places of all") {
  io::sim::world world(3);
  simulated_peer a(world.add_host(in_range(1, 1)));
  simulated_peer silent(world.add_host(in_range(2, 1)));
  simulated_peer fine(world.add_host(in_range(3, 1)));
  REQUIRE(a.ask(a.knows(silent), message_type::ping).has_value());
  silent.silent = true;
  std::size_t refused = 0;
  message ping;
  auto const who = a.knows(silent);
  auto const ask = [](simulated_peer& by, peer_ref to, message const& what, std::size_t& full) -> coro::task<void> {
    auto const answer = co_await by.transport->request(to, what);
    full += !answer && answer.error() == errc::queue_full ? 1u : 0u;
  };
  for (std::size_t i = 0; i < limits::max_requests_per_peer + 5; ++i) a.host.spawn(ask(a, who, ping, refused));
  world.run_for(1ms);
  CHECK(refused == 5);
  CHECK(who->under_way == limits::max_requests_per_peer);
  CHECK(a.ask(a.knows(fine), message_type::ping).has_value());
  world.run_for(10s);
  CHECK(who->under_way == 0);
  silent.silent = false;
  CHECK(a.ask(who, message_type::ping).has_value());
  a.close();
  silent.close();
  fine.close();
}

TEST_CASE("room: a range gets a quarter of the memory for large messages") {
  datagram::byte_budget budget(1000);
  std::optional<std::uint64_t> const range = in_range(1, 1).range();
  auto const first = budget.take(200, range);
  CHECK(first);
  CHECK_FALSE(budget.take(51, range));
  auto second = budget.take(50, range);
  CHECK(second);
  CHECK_FALSE(budget.take(1, range));
  CHECK(budget.take(50, in_range(2, 1).range()));
  CHECK(budget.take(750));  // of private ranges, which are not limited
  second = datagram::byte_budget::share();
  CHECK(budget.used() == 200);
  CHECK(budget.take(50, range));
}
