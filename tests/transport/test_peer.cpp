#include <doctest/doctest.h>

#include <vector>

#include "kadoro/transport/peer.hpp"

using namespace kadoro;
using transport::multiaddr;
using transport::peer;
using transport::peer_book;
using transport::peer_id;

namespace {

io::endpoint place(std::uint8_t host) { return io::endpoint::v4({10, 0, 0, host}, 4001); }
multiaddr at(std::uint8_t host) { return multiaddr::datagram(place(host), std::nullopt); }

std::vector<multiaddr> order(peer const& who) {
  std::vector<multiaddr> out;
  for (peer::address const& a : who.addresses()) out.push_back(a.where);
  return out;
}

}  // namespace

TEST_CASE("peer: what worked is dialled first, what was silent last") {
  peer_book book;
  auto const who = book.intern(peer_id::of_ed25519(byte_array<32>{1}));
  CHECK_FALSE(who->has_untried_address());
  who->add_address(at(1), false);
  who->add_address(at(2), true);
  who->add_address(at(3), false);
  CHECK(order(*who) == std::vector{at(2), at(1), at(3)});
  CHECK(who->has_untried_address());

  who->set_silent(place(2));
  who->set_silent(place(1));
  CHECK(order(*who) == std::vector{at(3), at(2), at(1)});
  CHECK(who->addresses()[1].confirmed);  // it did work once
  CHECK(who->has_untried_address());
  who->set_silent(place(3));
  CHECK_FALSE(who->has_untried_address());
  who->set_silent(place(9));  // not one of its own
  CHECK(order(*who) == std::vector{at(2), at(1), at(3)});

  who->add_address(at(1), false);  // old news
  CHECK_FALSE(who->has_untried_address());
  who->add_address(at(3), true);
  CHECK(order(*who) == std::vector{at(3), at(2), at(1)});
  CHECK_FALSE(who->addresses()[0].silent);
  who->add_address(at(4), false);
  CHECK(who->has_untried_address());
}

TEST_CASE("peer: hearsay does not push out what is known") {
  peer_book book;
  auto const who = book.intern(peer_id::of_ed25519(byte_array<32>{2}));
  for (std::uint8_t i = 0; i < peer::max_addresses; ++i) who->add_address(at(i), false);
  who->add_address(at(100), false);
  CHECK(who->addresses().size() == peer::max_addresses);
  CHECK(who->addresses().back().where == at(peer::max_addresses - 1));
  who->add_address(at(100), true);
  CHECK(who->addresses().size() == peer::max_addresses);
  CHECK(who->addresses().front().where == at(100));
}
