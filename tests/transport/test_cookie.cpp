#include <doctest/doctest.h>

#include "simulated_peer.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using kadoro::transport::datagram::cookie_maker;
using kadoro::transport::datagram::drop;
using kadoro::transport::datagram::load_meter;
using namespace std::chrono_literals;

namespace {

/// First flights with a right mac1 that do not decrypt, from many addresses.
void flood(io::sim::world& world, io::endpoint const& to, datagram::swarm_keys const& keys, unsigned count) {
  chacha20_random random(9);
  for (unsigned i = 0; i < count; ++i) {
    bytes what(datagram::first_flight_bytes);
    random.fill(what);
    what[0] = static_cast<std::uint8_t>(datagram::packet_type::first_flight);
    what[1] = datagram::protocol_version;
    keys.stamp(bytes_span(what).first(what.size() - datagram::mac_bytes));
    world.inject(address_of(0x4000 + i), to, what);
  }
}

}  // namespace

TEST_CASE("cookie: loaded is a number of first flights in a second") {
  load_meter meter;
  time_point now{};
  for (std::uint32_t i = 0; i < load_meter::calm_per_second; ++i) CHECK_FALSE(meter.note(now));
  CHECK(meter.note(now));
  CHECK(meter.note(now + 999ms));
  CHECK(meter.note(now + 1s));  // the second after a bad one
  CHECK_FALSE(meter.note(now + 2s));
  CHECK_FALSE(meter.note(now + 10s));
  for (std::uint32_t i = 1; i < load_meter::calm_per_second; ++i) CHECK_FALSE(meter.note(now + 10s));
  CHECK(meter.note(now + 10s));
  CHECK_FALSE(meter.note(now + 12s));
}

TEST_CASE("cookie: it is taken from its address only, and for two to four minutes") {
  chacha20_random random(1);
  cookie_maker maker;
  time_point const start = time_point{} + 1h;
  bytes flight(datagram::first_flight_bytes);
  random.fill(flight);
  auto const stamp = [&flight](datagram::cookie const& with) {
    auto const mac2 = datagram::mac2_of(flight, with);
    std::copy(mac2.begin(), mac2.end(), flight.end() - datagram::mac_bytes);
  };
  CHECK_FALSE(maker.knows(flight, address_of(1), start));
  stamp(datagram::cookie{});
  CHECK_FALSE(maker.knows(flight, address_of(1), start));
  stamp(maker.make(address_of(1), start, random));
  CHECK(maker.knows(flight, address_of(1), start));
  CHECK_FALSE(maker.knows(flight, address_of(2), start));
  io::endpoint other_port = address_of(1);
  other_port.set_port(4002);
  CHECK_FALSE(maker.knows(flight, other_port, start));
  CHECK(maker.make(address_of(1), start + 119s, random) == maker.make(address_of(1), start, random));
  CHECK(maker.make(address_of(1), start + 121s, random) != datagram::cookie{});
  CHECK(maker.knows(flight, address_of(1), start + 239s));
  CHECK_FALSE(maker.knows(flight, address_of(1), start + 241s));
  flight[100] ^= 1;
  CHECK_FALSE(maker.knows(flight, address_of(1), start + 1s));
}

TEST_CASE("cookie: who has seen the first flight can read it, nobody else") {
  chacha20_random random(2);
  byte_array<32> secret{};
  secret.fill(7);
  for (bool const open : {true, false}) {
    datagram::swarm_keys const keys(open ? std::optional<byte_array<32>>() : secret);
    bytes flight(datagram::first_flight_bytes);
    random.fill(flight);
    datagram::cookie what{};
    random.fill(what);
    auto packet = datagram::write_cookie(keys, flight, what, random);
    CHECK(packet.size() == 72);
    CHECK(keys.stamped(packet));
    auto const read = datagram::read_cookie(keys, flight, packet);
    REQUIRE(read.has_value());
    CHECK(*read == what);
    flight[datagram::first_flight_bytes - 2 * datagram::mac_bytes] ^= 1;  // its mac1
    CHECK_FALSE(datagram::read_cookie(keys, flight, packet).has_value());
    flight[datagram::first_flight_bytes - 2 * datagram::mac_bytes] ^= 1;
    packet[4] ^= 1;
    CHECK_FALSE(datagram::read_cookie(keys, flight, packet).has_value());
  }
}

TEST_CASE("cookie: a flood costs few decryptions, and keeps nobody out") {
  datagram::options how;
  how.swarm_key.emplace();
  how.swarm_key->fill(3);
  datagram::swarm_keys const keys(how.swarm_key);
  io::sim::world world(1);
  world.set_link(delay_of(10ms));
  simulated_peer a(world.add_host(address_of(1)), how);
  simulated_peer b(world.add_host(address_of(2)), how);
  simulated_peer stranger(world.add_host(address_of(3)));
  std::map<io::endpoint, std::size_t> told;
  io::endpoint const b_at = b.transport->local();
  bytes with_cookie;
  world.set_filter([&](io::endpoint const& from, io::endpoint const& to, bytes& data) {
    if (from == b_at) told[to] += data.size();
    if (from == a.transport->local() && data[0] == 1) with_cookie = data;
    return true;
  });
  flood(world, b_at, keys, 1000);
  world.run_for(10ms);
  auto const& of_b = b.transport->counts();
  CHECK(of_b.of(drop::other_identity) == load_meter::calm_per_second);
  CHECK(of_b.of(drop::no_cookie) == 1000 - load_meter::calm_per_second);
  CHECK(of_b.cookies_given == of_b.of(drop::no_cookie));
  for (auto const& [where, size] : told) CHECK(size <= datagram::other_identity_bytes);

  time_point const start = world.now();
  auto const answer = a.ask(a.knows(b), message_type::find_node, "k");
  CHECK(answer.has_value());
  CHECK(world.now() - start == 40ms);  // a round trip more, and no more than that
  CHECK(a.transport->counts().cookies_taken == 1);
  CHECK(a.transport->counts().first_flights_sent == 1);
  CHECK(b.served.size() == 1);

  told.clear();
  std::uint64_t const given = of_b.cookies_given;
  CHECK_FALSE(stranger.ask(stranger.knows(b), message_type::ping).has_value());
  CHECK(told.empty());
  CHECK(of_b.cookies_given == given);

  flood(world, b_at, keys, 1000);
  world.run_for(10ms);
  told.clear();
  with_cookie[datagram::first_flight_header_bytes] ^= 1;  // as if it were new; its mac1 is wrong now, and is made right
  bytes_span const covered = bytes_span(with_cookie).first(with_cookie.size() - datagram::mac_bytes);
  keys.stamp(covered);
  world.inject(address_of(77), b_at, with_cookie);
  world.run_for(1s);
  CHECK(told[address_of(77)] == datagram::cookie_packet_bytes);

  world.run_for(5s);  // calm again
  simulated_peer late(world.add_host(address_of(4)), how);
  CHECK(late.ask(late.knows(b), message_type::find_node, "k").has_value());
  CHECK(late.transport->counts().cookies_taken == 0);
  a.close();
  b.close();
  stranger.close();
  late.close();
}

TEST_CASE("cookie: forged ones are counted and dropped, and a dial takes each once") {
  io::sim::world world(2);
  world.set_link(delay_of(10ms));
  simulated_peer a(world.add_host(address_of(1)));
  simulated_peer b(world.add_host(address_of(2)));
  datagram::swarm_keys const keys(std::nullopt);
  chacha20_random random(5);
  io::endpoint const a_at = a.transport->local();
  io::endpoint const b_at = b.transport->local();
  unsigned flights = 0;
  world.set_filter([&](io::endpoint const& from, io::endpoint const&, bytes& data) {
    if (from != a_at || data[0] != 1 || ++flights > 1) return true;
    bytes of_another = data;
    of_another[datagram::first_flight_bytes - datagram::mac_bytes - 1] ^= 1;
    datagram::cookie const what{1};
    world.inject(b_at, a_at, datagram::write_cookie(keys, of_another, what, random));
    world.inject(address_of(9), a_at, datagram::write_cookie(keys, data, what, random));
    auto good = datagram::write_cookie(keys, data, what, random);
    for (int i = 0; i < 3; ++i) world.inject(b_at, a_at, good);
    good.back() ^= 1;
    world.inject(b_at, a_at, good);
    world.inject(b_at, a_at, bytes_view(good).first(71));
    return true;
  });
  CHECK(a.ask(a.knows(b), message_type::find_node, "k").has_value());
  auto const& of_a = a.transport->counts();
  CHECK(of_a.cookies_taken == 1);
  CHECK(flights == 2);
  CHECK(of_a.of(drop::not_authentic) == 1);
  CHECK(of_a.of(drop::unexpected) >= 3);
  CHECK(of_a.of(drop::wrong_mac) == 1);
  CHECK(of_a.of(drop::wrong_size) == 1);
  a.close();
  b.close();
}
