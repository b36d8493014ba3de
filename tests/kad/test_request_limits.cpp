#include <doctest/doctest.h>

#include "kadoro/kad/node.hpp"
#include "kadoro/kad/request_gate.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;
using transport::message;
using transport::message_type;

namespace {

io::endpoint in_range(std::uint8_t net, std::uint8_t host) { return io::endpoint::v4({45, 1, net, host}, 4001); }

struct fixture {
  peer_ref at(io::endpoint const& where) {
    auto const who = book.intern(peer_id::of_ed25519(crypto::identity::generate(random).public_key()));
    who->add_address(multiformats::multiaddr::datagram(where), true);
    return who;
  }
  static message request(message_type type, std::size_t bytes = 0) {
    static kadoro::bytes const value(100'000);
    message m;
    m.type = type;
    if (bytes == 0) return m;
    m.record.emplace();
    m.record->value = bytes_view(value).first(bytes);
    return m;
  }
  bool serves(peer_ref const& who, message const& what) { return !gate.check(*who, what, now); }

  chacha20_random random{1};
  transport::peer_book book;
  request_limits limits{{100, 100}, {10, 20}, {1000, 4000}, {5, 10}, 2};
  request_gate gate{limits};
  time_point now{1h};
};

struct two_nodes {
  explicit two_nodes(request_limits const& limits) {
    io::sim::link_policy link;
    link.delay = 10ms;
    world.set_link(link);
    node_options options;
    options.listen = server_host.address();
    options.listen.set_port(4001);
    options.requests = limits;
    server = std::move(node::open(server_host, server_self, options).value());
    options.listen = client_host.address();
    options.listen.set_port(4001);
    options.bootstrap = {multiaddr::datagram(in_range(1, 1), server->id())};
    client = std::move(node::open(client_host, client_self, options).value());
    REQUIRE(client_host.run(client->join()).has_value());
  }
  ~two_nodes() {
    client_host.run(client->close());
    server_host.run(server->close());
  }
  put_receipt put(std::string const& key) {
    return client_host.run(client->put(as_bytes(key), as_bytes("value"))).value();
  }

  io::sim::world world{1};
  io::sim::context server_host{world, in_range(1, 1)};
  io::sim::context client_host{world, in_range(2, 1)};
  crypto::identity server_self = crypto::identity::generate(server_host.random());
  crypto::identity client_self = crypto::identity::generate(client_host.random());
  std::unique_ptr<node> server;
  std::unique_ptr<node> client;
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "request gate: a peer gets its burst, then its rate, and is told when to come again") {
  auto const who = at(in_range(1, 1));
  auto const write = request(message_type::put_value, 1);
  for (int i = 0; i < 20; ++i) CHECK(serves(who, write));
  auto const wait = gate.check(*who, write, now);
  REQUIRE(wait.has_value());
  CHECK(*wait > 90ms);
  CHECK(*wait <= 100ms);
  CHECK(gate.counters().refused_writes == 1);
  CHECK(serves(who, request(message_type::get_value)));  // that is another kind
  CHECK(serves(who, request(message_type::watch)));
  now += *wait;
  CHECK(serves(who, write));
  CHECK_FALSE(serves(who, write));
}

TEST_CASE_FIXTURE(fixture, "request gate: each kind has its limit, and what is written counts by its size") {
  auto const who = at(in_range(1, 1));
  for (int i = 0; i < 100; ++i) CHECK(serves(who, request(message_type::find_node)));
  CHECK_FALSE(serves(who, request(message_type::ping)));
  CHECK(gate.counters().refused_reads == 1);
  for (int i = 0; i < 10; ++i) CHECK(serves(who, request(message_type::watch)));
  CHECK_FALSE(serves(who, request(message_type::watch)));
  CHECK(gate.counters().refused_watches == 1);
  CHECK(serves(who, request(message_type::replicate, 3000)));
  auto const wait = gate.check(*who, request(message_type::put_value, 2000), now);
  REQUIRE(wait.has_value());
  CHECK(*wait >= 1s);
  CHECK(gate.counters().refused_written_bytes == 1);
  CHECK(serves(who, request(message_type::put_value, 1000)));
  for (int i = 0; i < 17; ++i) CHECK(serves(who, request(message_type::push)));  // its signatures are verified, too
  CHECK_FALSE(serves(who, request(message_type::push)));
  CHECK(gate.counters().refused_writes == 1);
}

TEST_CASE_FIXTURE(fixture,
                  "request gate: peers of one range share, others are not touched, private ones do not share") {
  auto const write = request(message_type::put_value, 1);
  std::size_t served = 0;
  for (std::uint8_t host = 1; host <= 10; ++host) {
    auto const who = at(in_range(1, host));
    for (int i = 0; i < 30; ++i) served += serves(who, write) ? 1u : 0u;
  }
  CHECK(served == 40);  // twice what one may
  CHECK(serves(at(in_range(2, 1)), write));
  served = 0;
  for (std::uint8_t host = 1; host <= 10; ++host) {
    auto const neighbour = at(io::endpoint::v4({192, 168, 1, host}, 4001));
    for (int i = 0; i < 30; ++i) served += serves(neighbour, write) ? 1u : 0u;
  }
  CHECK(served == 200);  // what each may
  CHECK(gate.peers() == 21);
  CHECK(gate.ranges() == 2);
}

TEST_CASE_FIXTURE(fixture, "request gate: it remembers so many, and forgets who has been quiet") {
  peer_list all;
  for (std::size_t i = 0; i < request_gate::max_peers + 10; ++i) {
    auto const net = static_cast<std::uint8_t>(i >> 5);
    all.push_back(at(in_range(net, static_cast<std::uint8_t>(1 + i % 32))));
    CHECK(serves(all.back(), request(message_type::ping)));
  }
  CHECK(gate.peers() == request_gate::max_peers);
  now += 1min;
  CHECK(serves(at(in_range(200, 1)), request(message_type::ping)));
  CHECK(gate.peers() == 1);
}

TEST_CASE_FIXTURE(fixture, "request gate: who finds no place, and has no range, is limited with all others like it") {
  peer_list all;
  for (std::size_t i = 0; i < request_gate::max_peers + 10; ++i)
    all.push_back(at(io::endpoint::v4({10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}, 4001)));
  for (std::size_t i = 0; i < request_gate::max_peers; ++i) CHECK(serves(all[i], request(message_type::ping)));
  std::size_t served = 0;
  for (std::size_t i = request_gate::max_peers; i < all.size(); ++i)
    for (int each = 0; each < 30; ++each) served += serves(all[i], request(message_type::put_value, 1)) ? 1u : 0u;
  CHECK(served == 40);  // as a range
  CHECK(serves(all[0], request(message_type::put_value, 1)));
}

TEST_CASE("request limits: whether a peer lives is asked even where it wants a pause") {
  request_limits limits;
  limits.reads = {0.02, 3};
  two_nodes both(limits);
  peer_ref const server = both.client->peer_of(both.server->id());
  auto const ping = [&] { return both.client_host.run(both.client->ping(server)); };
  for (int i = 0; i < 5; ++i) static_cast<void>(ping());
  auto const refused = ping();
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == condition::refused);
  both.server_host.set_online(false);
  auto const dead = ping();
  both.server_host.set_online(true);
  REQUIRE_FALSE(dead);
  CHECK(dead.error() != condition::refused);
}

TEST_CASE("request limits: the receipt says when to ask again, and until then that peer is not asked") {
  request_limits limits;
  limits.writes = {0.5, 3};
  two_nodes both(limits);
  for (int i = 0; i < 3; ++i) CHECK(both.put("key/" + std::to_string(i)).ok());
  auto const refused = both.put("one/more");
  CHECK_FALSE(refused.ok());
  REQUIRE(refused.replicas().size() == 1);
  CHECK(refused.replicas()[0].now == replica::state::refused);
  CHECK(refused.replicas()[0].refusal == errc::refused_rate);
  CHECK(refused.replicas()[0].why.find("rate limited; may be asked again in ") != std::string::npos);
  CHECK(both.server->counters_text().find("refused_writes=1") != std::string::npos);

  // Neither a put nor the placement behind it bothers that peer, which is alive all the same.
  auto const again = both.put("one/more");
  CHECK_FALSE(again.ok());
  CHECK(again.replicas()[0].refusal == errc::refused_rate);
  CHECK(both.server->counters_text().find("refused_writes=1") != std::string::npos);
  CHECK(both.client->counters_text().find("requests_held_back=") != std::string::npos);
  CHECK(both.client->servers() == 1);
  CHECK(both.client_host.run(both.client->get(as_bytes("key/0"))).value().found());

  both.world.run_for(5s);  // the record that nobody held is tried again
  CHECK(both.client->holders(as_bytes("one/more")).size() == 1);
}

TEST_CASE("request limits: a peer that asks for more than a minute gets a minute") {
  transport::peer_book book;
  chacha20_random random(1);
  auto const who = book.intern(peer_id::of_ed25519(crypto::identity::generate(random).public_key()));
  time_point const now(1h);
  CHECK(who->pause_left(transport::work::write, now) == duration::zero());
  who->pause(transport::work::write, now, 24h);
  CHECK(who->pause_left(transport::work::write, now) == 1min);
  CHECK(who->pause_left(transport::work::read, now) == duration::zero());
  CHECK(who->pause_left(transport::work::write, now + 2min) == duration::zero());
}
