#include <doctest/doctest.h>

#include <algorithm>

#include "kadoro/transport/datagram/datagram_transport.hpp"

#include "kadoro/io/asio/context.hpp"

using namespace kadoro;
using namespace kadoro::transport;

namespace {

/// Answers everything.
class agreeable final : public handler {
  reply on_request(peer_ref const&, message const&, message&) override { return reply::send; }
  void on_peer_confirmed(peer_ref const&) override {}
  void on_peer_lost(peer_ref const&, error const&) override {}
};

}  // namespace

TEST_CASE("datagram over sockets: listening anywhere, it names addresses that can be dialled, and they can") {
  io::asio::context context;
  peer_book book_a;
  peer_book book_b;
  agreeable handler;
  datagram::options how;
  how.listen = io::endpoint::v4({0, 0, 0, 0}, 0);
  auto const a = datagram::datagram_transport::open(context, book_a, crypto::identity::generate(context.random()), how);
  auto const b = datagram::datagram_transport::open(context, book_b, crypto::identity::generate(context.random()), how);
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  (*b)->set_handler(&handler);
  auto const places = (*b)->listen_addresses();
  REQUIRE_FALSE(places.empty());
  for (multiaddr const& place : places) {
    auto const where = place.udp_endpoint();
    REQUIRE(where);
    CHECK_FALSE(where->is_unspecified());
    CHECK(where->port() == (*b)->local().port());
  }
  auto const loopback =
      std::find_if(places.begin(), places.end(), [](multiaddr const& p) { return p.udp_endpoint()->is_loopback(); });
  REQUIRE(loopback != places.end());
  peer_ref const to_b = book_a.intern(*loopback->peer());
  to_b->add_address(loopback->without_peer(), false);
  message put;
  put.type = message_type::put_value;
  put.key = as_bytes("key");
  auto const answer = context.run((*a)->request(to_b, put));
  CHECK(answer.has_value());
  REQUIRE((*a)->observed());
  CHECK((*a)->observed()->is_loopback());
  context.run((*a)->close());
  context.run((*b)->close());
}

namespace {

/// Keeps the last value that was put, and gives it to whoever asks.
class keeper final : public handler {
 public:
  bytes kept;
  bytes const publisher = bytes(38, 7);

 private:
  reply on_request(peer_ref const&, message const& request, message& answer) override {
    if (request.record) kept = to_bytes(request.record->value);
    if (request.type == message_type::get_value) {
      wire::record r;
      r.value = kept;
      r.publisher = publisher;
      answer.records.push_back(r);
    }
    return reply::send;
  }
  void on_peer_confirmed(peer_ref const&) override {}
  void on_peer_lost(peer_ref const&, error const&) override {}
};

}  // namespace

TEST_CASE("datagram over sockets: values of 64 KiB go there and come back") {
  io::asio::context context;
  peer_book book_a;
  peer_book book_b;
  keeper handler;
  datagram::options how;
  how.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
  auto const a = datagram::datagram_transport::open(context, book_a, crypto::identity::generate(context.random()), how);
  crypto::identity const of_b = crypto::identity::generate(context.random());
  auto const b = datagram::datagram_transport::open(context, book_b, of_b, how);
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  (*b)->set_handler(&handler);
  peer_ref const to_b = book_a.intern(peer_id::of_ed25519(of_b.public_key()));
  to_b->add_address(multiaddr::datagram((*b)->local(), std::nullopt), false);
  chacha20_random random(1);
  for (int i = 0; i < 20; ++i) {
    bytes value(65536);
    random.fill(value);
    message put;
    put.type = message_type::put_value;
    put.key = as_bytes("key");
    put.record.emplace();
    put.record->value = value;
    auto const stored = context.run((*a)->request(to_b, put));
    REQUIRE(stored.has_value());
    CHECK(handler.kept == value);
    message get;
    get.type = message_type::get_value;
    get.key = as_bytes("key");
    auto const found = context.run((*a)->request(to_b, get));
    REQUIRE(found.has_value());
    REQUIRE(found->records.size() == 1);
    CHECK(equal(found->records[0].value, value));
  }
  context.run((*a)->close());
  context.run((*b)->close());
}

TEST_CASE("datagram over sockets: a session that is due gives way to another one, and no request fails") {
  io::asio::context context;
  peer_book book_a;
  peer_book book_b;
  agreeable handler;
  datagram::options how;
  how.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
  how.session_packets = 100;
  auto const a = datagram::datagram_transport::open(context, book_a, crypto::identity::generate(context.random()), how);
  crypto::identity const of_b = crypto::identity::generate(context.random());
  auto const b = datagram::datagram_transport::open(context, book_b, of_b, how);
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  (*b)->set_handler(&handler);
  peer_ref const to_b = book_a.intern(peer_id::of_ed25519(of_b.public_key()));
  to_b->add_address(multiaddr::datagram((*b)->local(), std::nullopt), false);
  for (int i = 0; i < 1000; ++i) {
    message ping;
    ping.type = message_type::ping;
    auto const answer = context.run((*a)->request(to_b, ping));
    REQUIRE(answer.has_value());
  }
  std::uint64_t const rekeys = (*a)->counts().rekeys + (*b)->counts().rekeys;
  CHECK(rekeys >= 5);
  CHECK(rekeys <= 20);
  context.run((*a)->close());
  context.run((*b)->close());
}
