#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "io/backends.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

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
  io_test::on_each(io_test::real_backends(), [](io::context& context, io_test::backend const&) {
    peer_book book_a;
    peer_book book_b;
    agreeable handler;
    datagram::options how;
    how.listen = io::endpoint::v4({0, 0, 0, 0}, 0);
    auto const a =
        datagram::datagram_transport::open(context, book_a, crypto::identity::generate(context.random()), how);
    auto const b =
        datagram::datagram_transport::open(context, book_b, crypto::identity::generate(context.random()), how);
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
  });
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

/// Two transports on loopback; `a` knows `b`, which has a handler.
struct two_ends {
  two_ends(io::context& on, handler& of_b, datagram::options how = {}) : context(on) {
    how.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
    auto const self = crypto::identity::generate(context.random());
    auto const other = crypto::identity::generate(context.random());
    auto opened_a = datagram::datagram_transport::open(context, book_a, self, how);
    auto opened_b = datagram::datagram_transport::open(context, book_b, other, how);
    REQUIRE(opened_a.has_value());
    REQUIRE(opened_b.has_value());
    a = std::move(*opened_a);
    b = std::move(*opened_b);
    b->set_handler(&of_b);
    to_b = book_a.intern(peer_id::of_ed25519(other.public_key()));
    to_b->add_address(multiaddr::datagram(b->local(), std::nullopt), false);
  }
  ~two_ends() {
    context.run(a->close());
    context.run(b->close());
  }

  result<message> ask(message const& what) { return context.run(a->request(to_b, what)); }

  io::context& context;
  peer_book book_a;
  peer_book book_b;
  std::unique_ptr<datagram::datagram_transport> a;
  std::unique_ptr<datagram::datagram_transport> b;
  peer_ref to_b;
};

}  // namespace

TEST_CASE("datagram over sockets: values of 64 KiB go there and come back") {
  io_test::on_each(io_test::real_backends(), [](io::context& context, io_test::backend const&) {
    keeper handler;
    two_ends ends(context, handler);
    chacha20_random random(1);
    for (int i = 0; i < 20; ++i) {
      bytes value(65536);
      random.fill(value);
      message put;
      put.type = message_type::put_value;
      put.key = as_bytes("key");
      put.record.emplace();
      put.record->value = value;
      auto const stored = ends.ask(put);
      REQUIRE(stored.has_value());
      CHECK(handler.kept == value);
      message get;
      get.type = message_type::get_value;
      get.key = as_bytes("key");
      auto const found = ends.ask(get);
      REQUIRE(found.has_value());
      REQUIRE(found->records.size() == 1);
      CHECK(equal(found->records[0].value, value));
    }
  });
}

TEST_CASE("datagram over sockets: a session that is due gives way to another one, and no request fails") {
  io_test::on_each(io_test::real_backends(), [](io::context& context, io_test::backend const&) {
    agreeable handler;
    datagram::options how;
    how.session_packets = 100;
    two_ends ends(context, handler, how);
    for (int i = 0; i < 1000; ++i) {
      message ping;
      ping.type = message_type::ping;
      auto const answer = ends.ask(ping);
      REQUIRE(answer.has_value());
    }
    std::uint64_t const rekeys = ends.a->counts().rekeys + ends.b->counts().rekeys;
    CHECK(rekeys >= 5);
    CHECK(rekeys <= 20);
  });
}
