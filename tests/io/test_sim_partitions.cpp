#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "io/simulated_sink.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/nat.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;
using io::sim::nat_behaviour;

namespace {

using texts = std::vector<std::string>;

/// Three hosts, each with a port 1.
struct trio {
  void send(io::udp_port& from, endpoint const& to, std::string_view text) { from.send(to, as_bytes(text)); }
  void settle() {
    world.run_until_idle();
    CHECK(world.counters().sent + world.counters().injected == world.counters().ended());
  }

  io::sim::world world{1};
  io::sim::context& a = world.add_host(at("10.0.0.1:0"));
  io::sim::context& b = world.add_host(at("10.0.0.2:0"));
  io::sim::context& c = world.add_host(at("10.0.0.3:0"));
  sink at_a{a}, at_b{b}, at_c{c};
  std::unique_ptr<io::udp_port> port_a = open(a, "0.0.0.0:1", &at_a);
  std::unique_ptr<io::udp_port> port_b = open(b, "0.0.0.0:1", &at_b);
  std::unique_ptr<io::udp_port> port_c = open(c, "0.0.0.0:1", &at_c);
};

/// A host behind a NAT, and two servers outside.
struct behind_nat {
  explicit behind_nat(io::sim::nat_policy const& policy) : box(world.add_nat(at("198.51.100.1:0"), policy)) {
    home.set_nat(&box);
  }

  io::sim::world world{1};
  io::sim::nat& box;
  io::sim::context& home = world.add_host(at("192.168.0.2:0"));
  io::sim::context& one = world.add_host(at("10.0.0.1:0"));
  io::sim::context& two = world.add_host(at("10.0.0.2:0"));
  sink at_home{home}, at_one{one}, at_two{two};
  std::unique_ptr<io::udp_port> inside = open(home, "0.0.0.0:7", &at_home);
  std::unique_ptr<io::udp_port> first = open(one, "0.0.0.0:1", &at_one);
  std::unique_ptr<io::udp_port> second = open(two, "0.0.0.0:1", &at_two);
};

}  // namespace

TEST_CASE("islands hear only themselves, and a partition that flaps heals") {
  trio net;
  net.c.set_island(1);
  net.send(*net.port_a, net.port_b->local(), "a to b");
  net.send(*net.port_a, net.port_c->local(), "a to c");
  net.send(*net.port_c, net.port_a->local(), "c to a");
  net.settle();
  CHECK(net.at_b.texts == texts{"a to b"});
  CHECK(net.at_c.texts.empty());
  CHECK(net.at_a.texts.empty());
  CHECK(net.world.counters().partitioned == 2);

  net.b.set_island(1);
  net.send(*net.port_b, net.port_c->local(), "b to c");
  net.settle();
  CHECK(net.at_c.texts == texts{"b to c"});

  net.b.set_island(0);
  net.c.set_island(0);
  net.send(*net.port_a, net.port_c->local(), "healed");
  net.settle();
  CHECK(net.at_c.texts == texts{"b to c", "healed"});
  CHECK(net.world.counters().partitioned == 2);
}

TEST_CASE("a partition takes what is on its way, whichever side moved") {
  trio net;
  net.send(*net.port_a, net.port_b->local(), "receiver moves");
  net.b.set_island(2);
  net.settle();
  net.b.set_island(0);
  net.send(*net.port_a, net.port_b->local(), "sender moves");
  net.a.set_island(2);
  net.settle();
  net.a.set_island(0);
  net.send(*net.port_a, net.port_b->local(), "sender is gone");
  net.a.crash();
  net.b.set_island(2);
  net.settle();
  CHECK(net.at_b.texts.empty());
  CHECK(net.world.counters().partitioned == 3);
}

TEST_CASE("one direction between two addresses can be closed, also for what is on its way") {
  trio net;
  net.world.set_blocked(at("10.0.0.1:5"), at("10.0.0.2:6"), true);  // ports do not matter
  net.send(*net.port_a, net.port_b->local(), "a to b");
  net.send(*net.port_b, net.port_a->local(), "b to a");
  net.send(*net.port_a, net.port_c->local(), "a to c");
  net.settle();
  CHECK(net.at_b.texts.empty());
  CHECK(net.at_a.texts == texts{"b to a"});
  CHECK(net.at_c.texts == texts{"a to c"});
  net.world.set_blocked(at("10.0.0.1:0"), at("10.0.0.2:0"), false);
  net.send(*net.port_a, net.port_b->local(), "too late");
  net.world.set_blocked(at("10.0.0.1:0"), at("10.0.0.2:0"), true);
  net.settle();
  net.world.set_blocked(at("10.0.0.1:0"), at("10.0.0.2:0"), false);
  net.send(*net.port_a, net.port_b->local(), "open");
  net.settle();
  CHECK(net.at_b.texts == texts{"open"});
  CHECK(net.world.counters().blocked == 2);
}

TEST_CASE("a firewall lets in whom the host sent to, for a while") {
  trio net;
  net.a.set_firewall(30s);
  net.send(*net.port_b, net.port_a->local(), "stranger");
  net.settle();
  net.send(*net.port_a, net.port_b->local(), "hello");
  net.settle();
  net.send(*net.port_b, net.port_a->local(), "answer");
  net.send(*net.port_c, net.port_a->local(), "another stranger");
  auto other_port = open(net.b, "0.0.0.0:2");
  net.send(*other_port, net.port_a->local(), "another port");
  net.settle();
  CHECK(net.at_a.texts == texts{"answer"});
  CHECK(net.world.counters().firewalled == 3);
  net.world.run_for(30s);
  net.send(*net.port_b, net.port_a->local(), "too late");
  net.settle();
  CHECK(net.world.counters().firewalled == 4);
  net.a.set_firewall(0s);
  net.send(*net.port_c, net.port_a->local(), "open house");
  net.settle();
  CHECK(net.at_a.texts == texts{"answer", "open house"});
}

TEST_CASE("a host gets another address and keeps its ports") {
  trio net;
  auto fixed = open(net.a, "10.0.0.1:9");
  net.send(*net.port_b, net.port_a->local(), "to the old address");
  net.a.change_address(at("10.0.0.1:0"), at("10.7.7.7:0"));
  CHECK(net.a.address() == at("10.7.7.7:0"));
  CHECK(net.port_a->local() == at("10.7.7.7:1"));
  CHECK(fixed->local() == at("10.7.7.7:9"));
  net.send(*net.port_a, net.port_b->local(), "from the new one");
  net.settle();
  CHECK(net.at_a.texts.empty());
  CHECK(net.world.counters().vanished == 1);
  CHECK(net.at_b.texts == texts{"from the new one"});
  CHECK(net.at_b.senders.back() == at("10.7.7.7:1"));
  net.send(*net.port_b, at("10.7.7.7:1"), "to the new one");
  net.settle();
  CHECK(net.at_a.texts == texts{"to the new one"});
  CHECK(net.world.counters().address_changes == 1);

  CHECK_THROWS_AS(net.a.change_address(at("10.7.7.7:0"), at("10.0.0.2:0")), std::logic_error);  // taken
  CHECK_THROWS_AS(net.a.change_address(at("10.0.0.1:0"), at("10.0.0.8:0")), std::logic_error);  // not its own
  CHECK_THROWS_AS(net.a.change_address(at("10.7.7.7:0"), at("[fd00::1]:0")), std::logic_error);
  auto& heir = net.world.add_host(at("10.0.0.1:0"));  // the old one is free
  CHECK(heir.address() == at("10.0.0.1:0"));
}

TEST_CASE("behind a NAT: one mapping for all remotes, and only they get in") {
  behind_nat net({});
  net.first->send(net.inside->local(), as_bytes("to the inside address"));
  net.inside->send(net.first->local(), as_bytes("hello"));
  net.inside->send(net.second->local(), as_bytes("hello"));
  net.world.run_until_idle();
  REQUIRE(net.at_one.senders.size() == 1);
  REQUIRE(net.at_two.senders.size() == 1);
  endpoint const outside = net.at_one.senders[0];
  CHECK(outside == at("198.51.100.1:1024"));
  CHECK(net.at_two.senders[0] == outside);
  CHECK(net.world.counters().vanished == 1);

  net.first->send(outside, as_bytes("answer"));
  auto stranger = open(net.one, "0.0.0.0:99");
  stranger->send(outside, as_bytes("stranger"));
  net.first->send(at("198.51.100.1:1025"), as_bytes("no mapping"));
  net.world.run_until_idle();
  CHECK(net.at_home.texts == texts{"answer"});
  CHECK(net.at_home.senders == std::vector<endpoint>{net.first->local()});
  CHECK(net.world.counters().nat_dropped == 2);
}

TEST_CASE("a NAT without a filter lets in anybody who knows the mapping") {
  behind_nat net({nat_behaviour::endpoint_independent, nat_behaviour::endpoint_independent, 2min});
  net.inside->send(net.first->local(), as_bytes("hello"));
  net.world.run_until_idle();
  net.second->send(net.at_one.senders.at(0), as_bytes("stranger"));
  net.world.run_until_idle();
  CHECK(net.at_home.texts == texts{"stranger"});
  CHECK(net.world.counters().nat_dropped == 0);
}

TEST_CASE("a symmetric NAT has a mapping for each remote") {
  behind_nat net({nat_behaviour::endpoint_dependent, nat_behaviour::endpoint_dependent, 2min});
  for (int i = 0; i < 2; ++i) {
    net.inside->send(net.first->local(), as_bytes("hello"));
    net.inside->send(net.second->local(), as_bytes("hello"));
  }
  net.world.run_until_idle();
  CHECK(net.at_one.senders == std::vector<endpoint>(2, at("198.51.100.1:1024")));
  CHECK(net.at_two.senders == std::vector<endpoint>(2, at("198.51.100.1:1025")));
  net.second->send(at("198.51.100.1:1024"), as_bytes("the other's"));
  net.second->send(at("198.51.100.1:1025"), as_bytes("mine"));
  net.world.run_until_idle();
  CHECK(net.at_home.texts == texts{"mine"});
  CHECK(net.world.counters().nat_dropped == 1);
}

TEST_CASE("a mapping times out unless it is used outwards, and the next has a new port") {
  behind_nat net({nat_behaviour::endpoint_independent, nat_behaviour::endpoint_dependent, 30s});
  for (int i = 0; i < 3; ++i) {  // kept alive
    net.inside->send(net.first->local(), as_bytes("hello"));
    net.world.run_for(20s);
  }
  endpoint const old_mapping = at("198.51.100.1:1024");
  CHECK(net.at_one.senders == std::vector<endpoint>(3, old_mapping));
  net.first->send(old_mapping, as_bytes("in time"));
  net.world.run_for(20s);
  net.first->send(old_mapping, as_bytes("too late"));
  net.world.run_for(1s);
  CHECK(net.at_home.texts == texts{"in time"});
  CHECK(net.world.counters().nat_dropped == 1);
  net.inside->send(net.first->local(), as_bytes("hello again"));
  net.world.run_for(1s);
  CHECK(net.at_one.senders.back() == at("198.51.100.1:1025"));
  net.box.restart();
  net.inside->send(net.first->local(), as_bytes("after a restart of the box"));
  net.world.run_for(1s);
  CHECK(net.at_one.senders.back() == at("198.51.100.1:1026"));
  CHECK(net.at_one.texts.size() == 5);
}

TEST_CASE("hosts behind one NAT reach each other inside, and not by the public address") {
  behind_nat net({nat_behaviour::endpoint_independent, nat_behaviour::endpoint_independent, 2min});
  auto& neighbour = net.world.add_host(at("192.168.0.3:0"));
  neighbour.set_nat(&net.box);
  sink at_neighbour(neighbour);
  auto port = open(neighbour, "0.0.0.0:7", &at_neighbour);
  net.inside->send(port->local(), as_bytes("inside"));
  net.inside->send(net.first->local(), as_bytes("makes a mapping"));
  net.world.run_until_idle();
  CHECK(at_neighbour.texts == texts{"inside"});
  CHECK(at_neighbour.senders.back() == net.inside->local());
  port->send(net.at_one.senders.at(0), as_bytes("hairpin"));
  net.world.run_until_idle();
  CHECK(net.at_home.texts.empty());
  CHECK(net.world.counters().nat_dropped == 1);
  auto& elsewhere = net.world.add_nat(at("198.51.100.2:0"));  // another house
  neighbour.set_nat(&elsewhere);
  net.inside->send(port->local(), as_bytes("private address of another house"));
  net.world.run_until_idle();
  CHECK(at_neighbour.texts == texts{"inside"});
  CHECK(net.world.counters().vanished == 1);
}

TEST_CASE("a NAT has bounds, and its own address") {
  io::sim::nat box(at("198.51.100.1:0"), {nat_behaviour::endpoint_dependent, nat_behaviour::endpoint_dependent, 10s});
  time_point const now{1h};
  endpoint const inside = at("192.168.0.2:7");
  auto const remote = [](std::size_t i) {
    return endpoint::v4({10, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i & 255)}, 1);
  };
  for (std::size_t i = 0; i < io::sim::nat::max_mappings; ++i) {
    auto const mapped = box.outbound(inside, remote(i), now);
    REQUIRE(mapped.has_value());
  }
  CHECK_FALSE(box.outbound(inside, at("10.9.9.9:1"), now).has_value());
  CHECK(box.outbound(inside, remote(0), now).has_value());  // it has one
  auto const later = box.outbound(inside, at("10.9.9.9:1"), now + 10s);
  CHECK(later.has_value());
  CHECK_FALSE(box.outbound(at("[fd00::1]:7"), at("[fd00::2]:7"), now).has_value());

  io::sim::world world(1);
  world.add_host(at("198.51.100.7:0"));
  CHECK_THROWS_AS(world.add_nat(at("198.51.100.7:0")), std::logic_error);
  world.add_nat(at("198.51.100.1:0"));
  CHECK_THROWS_AS(world.add_host(at("198.51.100.1:0")), std::logic_error);
}

TEST_CASE("ICMP finds its way back through a NAT, and injected datagrams obey it") {
  behind_nat net({});
  net.first.reset();
  net.inside->send(at("10.0.0.1:1"), as_bytes("anybody?"));
  net.world.run_until_idle();
  CHECK(net.at_home.unreachable == std::vector<endpoint>{at("10.0.0.1:1")});
  net.world.inject(at("10.0.0.1:1"), at("198.51.100.1:1024"), as_bytes("forged"));
  net.world.inject(at("10.0.0.1:2"), at("198.51.100.1:1024"), as_bytes("badly forged"));
  net.world.run_until_idle();
  CHECK(net.at_home.texts == texts{"forged"});
  CHECK(net.world.counters().nat_dropped == 1);
}
