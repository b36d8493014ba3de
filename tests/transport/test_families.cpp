#include <doctest/doctest.h>

#include <algorithm>

#include "simulated_peer.hpp"

#include "kadoro/io/asio/context.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using namespace std::chrono_literals;

namespace {

io::endpoint v6_of(std::uint8_t host) {
  return io::endpoint::v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host}, 4001);
}

datagram::options both_of(std::uint8_t host) {
  datagram::options how;
  how.listen = address_of(host);
  how.also_listen = v6_of(host);
  return how;
}

io::sim::context& host_with_both(io::sim::world& world, std::uint8_t host) {
  io::sim::context& made = world.add_host(address_of(host));
  made.add_address(v6_of(host));
  return made;
}

class agreeable final : public handler {
  reply on_request(peer_ref const&, message const&, message&) override { return reply::send; }
  void on_peer_confirmed(peer_ref const&) override {}
  void on_peer_lost(peer_ref const&, error const&) override {}
};

}  // namespace

TEST_CASE("families: one end on IPv4 and IPv6 is reached over each, and reaches each") {
  io::sim::world world(1);
  simulated_peer both(host_with_both(world, 1), both_of(1));
  simulated_peer four(world.add_host(address_of(2)));
  datagram::options six_only;
  six_only.listen = v6_of(3);
  simulated_peer six(world.add_host(v6_of(3)), six_only);
  auto const told = both.transport->listen_addresses();
  REQUIRE(told.size() == 2);
  CHECK(told[0].udp_endpoint() == address_of(1));
  CHECK(told[1].udp_endpoint() == v6_of(1));
  for (simulated_peer* const other : {&four, &six}) {
    auto const to_both = other->knows(both);
    for (multiaddr const& a : told) to_both->add_address(a.without_peer(), false);
    CHECK(other->ask(to_both, message_type::put_value, "k").has_value());
    auto const back = both.book.find(peer_id::of_ed25519(other->identity.public_key()));
    REQUIRE(back);
    CHECK(both.ask(back, message_type::put_value, "k").has_value());
  }
  CHECK(both.transport->port_counts().received >= 4);
  auto const refused = four.ask(four.knows(six), message_type::ping);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == errc::unreachable);
  both.close();
  four.close();
  six.close();
}

TEST_CASE("families: a dial tries both, however many addresses of one lead nowhere") {
  io::sim::world world(2);
  world.set_unreachable_hints(false);
  simulated_peer a(host_with_both(world, 1), both_of(1));
  simulated_peer b(host_with_both(world, 2), both_of(2));
  auto const to_b = a.book.intern(peer_id::of_ed25519(b.identity.public_key()));
  for (unsigned i = 0; i < 6; ++i) to_b->add_address(multiaddr::datagram(address_of(900 + i), std::nullopt), false);
  to_b->add_address(multiaddr::datagram(v6_of(2), std::nullopt), false);
  time_point const start = world.now();
  CHECK(a.ask(to_b, message_type::find_node, "k").has_value());
  CHECK(world.now() - start < 100ms);
  CHECK(to_b->addresses().front().where.udp_endpoint() == v6_of(2));
  a.close();
  b.close();
}

TEST_CASE("families: a session moves from one to the other") {
  io::sim::world world(3);
  simulated_peer a(host_with_both(world, 1), both_of(1));
  simulated_peer b(host_with_both(world, 2), both_of(2));
  auto const to_b = a.knows(b);
  REQUIRE(a.ask(to_b, message_type::put_value, "k").has_value());
  world.run_for(1s);
  // A gateway between the families in the middle of the way: B hears A from an address of the other one.
  world.set_filter([&](io::endpoint const& from, io::endpoint const& to, bytes& data) {
    if (from == address_of(1) && to == address_of(2)) {
      world.inject(v6_of(1), v6_of(2), data);
      return false;
    }
    if (from == v6_of(2) && to == v6_of(1)) {
      world.inject(address_of(2), address_of(1), data);
      return false;
    }
    return true;
  });
  CHECK(a.ask(to_b, message_type::put_value, "k").has_value());
  world.run_for(1s);
  CHECK(b.transport->counts().paths_moved == 1);
  CHECK(a.ask(to_b, message_type::put_value, "k").has_value());
  CHECK(a.transport->counts().first_flights_sent == 1);
  a.close();
  b.close();
}

TEST_CASE("families: two addresses of one family are refused") {
  io::sim::world world(4);
  io::sim::context& host = world.add_host(address_of(1));
  peer_book book;
  datagram::options how;
  how.listen = address_of(1);
  how.also_listen = address_of(1);
  auto const opened = datagram::datagram_transport::open(host, book, crypto::identity::generate(host.random()), how);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error() == errc::invalid_argument);
}

TEST_CASE("families: over sockets of 127.0.0.1 and ::1") {
  io::asio::context context;
  peer_book book_a;
  peer_book book_b;
  agreeable handler;
  datagram::options both;
  both.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
  both.also_listen = io::endpoint::parse("[::1]:0").value();
  auto const b =
      datagram::datagram_transport::open(context, book_b, crypto::identity::generate(context.random()), both);
  if (!b) {
    MESSAGE("this machine has no IPv6: " << b.error().message());
    return;
  }
  (*b)->set_handler(&handler);
  auto const places = (*b)->listen_addresses();
  REQUIRE(places.size() == 2);
  for (multiaddr const& place : places) {
    datagram::options how;
    how.listen = place.udp_endpoint()->is_v6() ? *both.also_listen : both.listen;
    auto const a =
        datagram::datagram_transport::open(context, book_a, crypto::identity::generate(context.random()), how);
    REQUIRE(a.has_value());
    peer_ref const to_b = book_a.intern(*place.peer());
    to_b->add_address(place.without_peer(), false);
    message put;
    put.type = message_type::put_value;
    put.key = as_bytes("key");
    auto const answer = context.run((*a)->request(to_b, put));
    CHECK(answer.has_value());
    REQUIRE((*a)->observed());
    CHECK(*(*a)->observed() == (*a)->local());
    context.run((*a)->close());
  }
  context.run((*b)->close());
}
