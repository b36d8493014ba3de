#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "io/simulated_sink.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/local_clock.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;

namespace {

using texts = std::vector<std::string>;

/// A timer that arms itself again, and keeps what the host's and the world's clock say when it fires.
class ticker final : public coro::timer_node {
 public:
  ticker(io::sim::world& world, io::sim::context& host, duration every)
      : timer_node(&ticker::on_due), world_(world), host_(host), every_(every) {
    host_.arm(*this, host_.now() + every_);
  }
  std::vector<time_point> due;
  std::vector<time_point> local;
  std::vector<time_point> global;

 private:
  static void on_due(timer_node& node) {
    auto& self = static_cast<ticker&>(node);
    self.due.push_back(self.timer_node::due());
    self.local.push_back(self.host_.now());
    self.global.push_back(self.world_.now());
    self.host_.arm(self, self.host_.now() + self.every_);
  }

  io::sim::world& world_;
  io::sim::context& host_;
  duration every_;
};

coro::task<void> note_times(io::context& host, std::vector<time_point>& into) {
  for (;;) {
    into.push_back(host.now());
    co_await coro::sleep_for(1s);
  }
}

struct pair_of_hosts {
  io::sim::world world{1};
  io::sim::context& a = world.add_host(at("10.0.0.1:0"));
  io::sim::context& b = world.add_host(at("10.0.0.2:0"));
  sink at_b{b};
  std::unique_ptr<io::udp_port> from = open(a, "0.0.0.0:1");
  std::unique_ptr<io::udp_port> to = open(b, "0.0.0.0:2", &at_b);
  time_point start = world.now();

  void send(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) from->send(to->local(), as_bytes(std::to_string(i)));
  }
};

}  // namespace

TEST_CASE("a clock without drift is the world's, moved") {
  io::sim::local_clock clock;
  time_point const now{1000h};
  CHECK(clock.at(now) == now);
  CHECK(clock.world_time(now) == now);
  clock.set(now, -5h, 0, false);
  CHECK(clock.at(now + 1s) == now - 5h + 1s);
  CHECK(clock.world_time(now - 5h + 1s) == now + 1s);
  clock.set(now + 1s, -6h, 0, true);  // somebody has looked: it does not go back
  CHECK(clock.at(now + 1s) == now - 5h + 1s);
  clock.set(now + 1s, 7h, 0, true);
  CHECK(clock.at(now + 1s) == now + 7h + 1s);
}

TEST_CASE("a clock that drifts never goes back, and its inverse is exact") {
  for (double const drift : {0.01, -0.01, 0.5, -0.5, 1e-9, 0.123456789, -0.333333333}) {
    io::sim::local_clock clock;
    time_point const since{1000h};
    clock.set(since, 3h, drift, false);
    std::uint64_t random = 12345;
    time_point last = clock.at(since);
    CHECK(last == since + 3h);
    for (int i = 0; i < 2000; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      auto const passed = duration(static_cast<duration::rep>((random >> 33) % (i < 1000 ? 5000u : 4'000'000'000u)));
      time_point const wanted = since + 3h + passed;
      time_point const when = clock.world_time(wanted);
      REQUIRE(clock.at(when) >= wanted);
      if (when > since) REQUIRE(clock.at(when - 1ns) < wanted);
    }
    for (int i = 1; i < 2000; ++i) {
      time_point const next = clock.at(since + duration(i));
      REQUIRE(next >= last);
      last = next;
    }
    double const hour = static_cast<double>((clock.at(since + 1h) - (since + 3h)).count());
    CHECK(hour / 3.6e12 == doctest::Approx(1 + drift).epsilon(1e-12));
  }
  io::sim::local_clock clock;
  CHECK_THROWS_AS(clock.set(time_point(1h), 0s, 0.6, false), std::logic_error);
  CHECK(clock.world_time(time_point::max()) == time_point::max());
}

TEST_CASE("timers follow the clock of their host, and are never early") {
  for (double const drift : {0.0, 0.01, -0.01, 0.37}) {
    pair_of_hosts net;
    net.b.set_clock(-500h, drift);
    CHECK(net.b.now() == net.start - 500h);
    ticker fast(net.world, net.b, 7ms);
    ticker slow(net.world, net.b, 1s);
    net.world.run_for(100s);
    double const expected = 100.0 * (1 + drift);
    CHECK(static_cast<double>(slow.local.size()) == doctest::Approx(expected).epsilon(0.011));
    CHECK(fast.local.size() > 100 * slow.local.size());
    for (ticker const* each : {&fast, &slow}) {
      for (std::size_t i = 0; i < each->due.size(); ++i) {
        REQUIRE(each->local[i] >= each->due[i]);
        REQUIRE(each->local[i] - each->due[i] <= 2ns);  // a step of the world's clock
      }
    }
    CHECK(net.world.timers_fired() == fast.due.size() + slow.due.size());
    CHECK(net.world.counters().clock_changes == 1);
  }
}

TEST_CASE("the other hosts do not notice a wrong clock") {
  pair_of_hosts net;
  net.b.set_clock(5h, 0.01);
  std::vector<time_point> of_a;
  net.a.spawn(note_times(net.a, of_a));
  net.world.run_for(3s);
  CHECK(of_a == std::vector<time_point>{net.start, net.start + 1s, net.start + 2s, net.start + 3s});
  net.send(1);
  net.world.run_for(1s);
  CHECK(net.at_b.times.size() == 1);
  CHECK(net.at_b.times[0] > net.start + 5h + 3s + 10ms);
}

TEST_CASE("a clock that jumps ahead fires what is overtaken; back it does not go") {
  pair_of_hosts net;
  ticker each_minute(net.world, net.b, 1min);
  net.world.run_for(30s);
  net.b.set_clock(2h, 0);
  net.world.run_for(0s);
  CHECK(each_minute.local == std::vector<time_point>{net.start + 2h + 30s});
  net.b.set_clock(0s, 0);
  CHECK(net.b.now() == net.start + 2h + 30s);
  net.world.run_for(1min);
  CHECK(each_minute.local.back() == net.start + 2h + 90s);
  CHECK(each_minute.global.back() == net.start + 90s);
}

TEST_CASE("what is due at one instant fires in the order of arming, and what is disarmed does not") {
  pair_of_hosts net;
  net.b.set_clock(1h, 0.01);
  std::vector<int> order;
  struct numbered final : coro::timer_node {
    numbered(std::vector<int>& into, int id)
        : timer_node([](timer_node& node) {
            auto& self = static_cast<numbered&>(node);
            self.order.push_back(self.number);
          }),
          order(into),
          number(id) {}
    std::vector<int>& order;
    int number;
  };
  numbered first(order, 1), second(order, 2), third(order, 3), early(order, 4);
  time_point const due = net.b.now() + 1s;
  net.b.arm(early, due - 500ms);
  net.b.arm(first, due);
  net.b.arm(second, due);
  net.b.arm(third, due);
  net.b.arm(first, due);  // moves to the end
  net.b.disarm(early);
  net.world.run_until_idle();
  CHECK(order == std::vector<int>{2, 3, 1});
  CHECK(net.world.timers_fired() == 3);
  net.b.arm(early, net.b.now() + 1s);
  net.b.disarm(early);
  CHECK_FALSE(net.world.step());
}

TEST_CASE("a paused host does nothing; afterwards it takes what waits, in order, and what is due happens") {
  pair_of_hosts net;
  std::vector<time_point> times;
  net.b.spawn(note_times(net.b, times));
  net.world.run_for(500ms);
  net.b.pause();
  net.b.pause();  // once is enough
  CHECK(net.b.paused());
  net.send(100);
  net.world.run_for(10s);
  CHECK(net.at_b.texts.empty());
  CHECK(times.size() == 1);
  CHECK(net.world.counters().delivered == 100);  // to the port
  CHECK(net.b.now() == net.start + 10500ms);

  net.b.resume();
  net.b.resume();
  CHECK_FALSE(net.b.paused());
  net.world.run_for(0s);
  REQUIRE(net.at_b.texts.size() == 100);
  for (std::size_t i = 0; i < 100; ++i) CHECK(net.at_b.texts[i] == std::to_string(i));
  CHECK(net.at_b.times.front() == net.start + 10500ms);
  CHECK(times == std::vector<time_point>{net.start, net.start + 10500ms});  // it sees that time has jumped
  net.world.run_for(1s);
  CHECK(times.back() == net.start + 11500ms);
  CHECK(net.world.counters().pauses == 1);
}

TEST_CASE("what a paused host cannot hold is dropped, and it says nothing") {
  pair_of_hosts net;
  sink hints(net.a);
  net.from->set_receiver(&hints);
  net.b.pause();
  net.send(io::max_queued_datagrams);
  net.world.run_for(1s);
  net.send(5);
  net.from->send(at("10.0.0.2:99"), as_bytes("nobody listens"));
  net.world.run_for(1s);
  CHECK(net.world.counters().overflow == 5);
  CHECK(net.world.counters().unheard == 1);
  CHECK(hints.unreachable.empty());
  net.b.resume();
  net.world.run_for(1s);
  CHECK(net.at_b.texts.size() == io::max_queued_datagrams);
}

TEST_CASE("work that is posted to a paused host waits") {
  pair_of_hosts net;
  net.b.pause();
  std::vector<time_point> times;
  net.b.spawn(note_times(net.b, times));
  CHECK_FALSE(net.world.step());
  CHECK(times.empty());
  net.b.resume();
  net.world.run_for(0s);
  CHECK(times.size() == 1);
}

TEST_CASE("work that was posted before a pause waits too") {
  pair_of_hosts net;
  std::vector<time_point> times;
  net.b.spawn(note_times(net.b, times));
  net.b.pause();
  net.world.run_for(1s);
  CHECK(times.empty());
  net.b.resume();
  net.world.run_for(0s);
  CHECK(times == std::vector<time_point>{net.start + 1s});
}

TEST_CASE("a paused host can crash, and its successor is another") {
  pair_of_hosts net;
  std::vector<time_point> times;
  net.b.spawn(note_times(net.b, times));
  net.world.run_for(0s);
  net.b.pause();
  net.send(3);
  net.world.run_for(1s);
  net.b.crash();
  net.b.resume();
  net.world.run_for(5s);
  CHECK(times.size() == 1);
  CHECK(net.at_b.texts.empty());
  CHECK(net.world.in_flight() == 0);
  CHECK(net.world.counters().crashes == 1);
  net.to.reset();
  auto& successor = net.world.add_host(at("10.0.0.2:0"));
  sink reborn(successor);
  auto port = open(successor, "0.0.0.0:2", &reborn);
  net.from->send(port->local(), as_bytes("hello"));
  net.world.run_for(1s);
  CHECK(reborn.texts == texts{"hello"});
}

TEST_CASE("a slow host takes its time for each datagram, over all its ports") {
  pair_of_hosts net;
  net.b.set_service_time(5ms);
  sink at_other(net.b);
  auto other = open(net.b, "0.0.0.0:3", &at_other);
  net.send(2);
  net.from->send(other->local(), as_bytes("other port"));
  net.send(1);
  net.world.run_until_idle();
  auto const after = [&](int ms) { return net.start + duration(std::chrono::milliseconds(ms)); };
  CHECK(net.at_b.times == std::vector<time_point>{after(15), after(20), after(30)});
  CHECK(at_other.times == std::vector<time_point>{after(25)});
  CHECK(net.world.counters().slowed == 4);
  CHECK(net.world.timers_fired() == 0);

  net.send(10);
  net.world.run_for(21ms);
  CHECK(net.at_b.texts.size() == 5);  // two of the ten
  net.b.set_service_time(0s);
  net.world.run_for(0s);
  CHECK(net.at_b.texts.size() == 13);
  CHECK(net.world.in_flight() == 0);
}

TEST_CASE("a slow host may close a port, pause and crash while it works") {
  pair_of_hosts net;
  net.b.set_service_time(5ms);
  sink at_other(net.b);
  auto other = open(net.b, "0.0.0.0:3", &at_other);
  net.send(3);
  net.from->send(other->local(), as_bytes("0"));
  net.from->send(other->local(), as_bytes("1"));
  net.world.run_for(15ms);
  CHECK(net.at_b.texts.size() == 1);
  net.to.reset();
  net.world.run_for(5ms);
  CHECK(at_other.texts.size() == 1);
  net.b.pause();
  net.world.run_for(1s);
  CHECK(at_other.texts.size() == 1);
  net.b.resume();
  net.world.run_for(5ms);
  CHECK(at_other.texts.size() == 2);
  net.from->send(other->local(), as_bytes("2"));
  net.world.run_for(12ms);
  net.b.crash();
  net.world.run_until_idle();
  CHECK(at_other.texts.size() == 2);
  CHECK(net.world.in_flight() == 0);
}

TEST_CASE("a slow host goes on when the port that it has come to is closed") {
  pair_of_hosts net;
  net.b.set_service_time(5ms);
  sink at_other(net.b);
  auto other = open(net.b, "0.0.0.0:3", &at_other);
  net.send(1);
  net.from->send(other->local(), as_bytes("next"));
  net.world.run_for(12ms);
  struct closing final : coro::timer_node {
    explicit closing(std::unique_ptr<io::udp_port>& which)
        : timer_node([](timer_node& node) { static_cast<closing&>(node).port.reset(); }), port(which) {}
    std::unique_ptr<io::udp_port>& port;
  };
  closing at_that_instant(net.to);
  net.world.arm(at_that_instant, net.start + 15ms);  // after the host has come to it, before it is delivered
  net.world.run_until_idle();
  CHECK(net.at_b.texts.empty());
  CHECK(at_other.texts == texts{"next"});
  CHECK(at_other.times == std::vector<time_point>{net.start + 20ms});
}

TEST_CASE("a slow host overflows like any other") {
  pair_of_hosts net;
  net.b.set_service_time(1s);
  net.send(io::max_queued_datagrams);
  net.world.run_for(10ms);
  net.send(5);
  net.world.run_for(10ms);
  CHECK(net.world.counters().overflow == 5);
  net.world.run_until_idle();
  CHECK(net.at_b.texts.size() == io::max_queued_datagrams);
  CHECK(net.world.now() == net.start + 10ms + 4096s);
}

TEST_CASE("a process runs out of sockets when told to") {
  pair_of_hosts net;
  net.a.fail_opens(2);
  for (int i = 0; i < 2; ++i) {
    auto const failed = net.a.open_udp(at("0.0.0.0:77"));
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error() == errc::io_failure);
    CHECK(failed.error().message() == "UDP port 0.0.0.0:77: no socket: Too many open files");
  }
  auto const opened = net.a.open_udp(at("0.0.0.0:77"));
  CHECK(opened.has_value());
  auto const of_b = net.b.open_udp(at("0.0.0.0:77"));
  CHECK(of_b.has_value());
  CHECK(net.world.counters().failed_opens == 2);
}

TEST_CASE("hosts, ports, timers and the world go in any order that is allowed") {
  auto world = std::make_unique<io::sim::world>(1);
  auto& box = world->add_nat(at("198.51.100.1:0"));
  auto mine = std::make_unique<io::sim::context>(*world, at("10.0.0.1:0"));
  auto& owned = world->add_host(at("192.168.0.2:0"));
  owned.set_nat(&box);
  owned.set_island(3);
  owned.set_clock(1h, 0.01);
  owned.set_service_time(3ms);
  sink received(owned);
  auto port = open(owned, "0.0.0.0:2", &received);
  auto sender = open(*mine, "0.0.0.0:1");
  coro::timer_node of_host([](coro::timer_node&) { FAIL("too late"); });
  coro::timer_node of_world([](coro::timer_node&) { FAIL("too late"); });
  owned.arm(of_host, owned.now() + 1h);
  world->arm(of_world, world->now() + 1h);
  port->send(sender->local(), as_bytes("x"));
  sender->send(at("198.51.100.1:1024"), as_bytes("y"));
  world->run_for(5ms);
  owned.pause();
  mine.reset();  // its port outlives it
  CHECK(world->counters().crashes == 0);
  port.reset();
  world.reset();
  CHECK_FALSE(of_host.armed());
  CHECK_FALSE(of_world.armed());
  sender->send(at("192.168.0.2:2"), as_bytes("nobody"));
  sender.reset();
}
