#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/simulated_sink.hpp"
#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/udp_socket.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;

namespace {

/// Sends random datagrams at random moments, and counts the answers.
coro::task<int> chatter(io::context& host, io::udp_socket& socket, endpoint to, int count) {
  byte_array<io::max_datagram_bytes> buffer{};
  int answers = 0;
  for (int i = 0; i < count; ++i) {
    std::uint64_t const size = host.random().below(200);
    host.random().fill(bytes_span(buffer.data(), size));
    socket.send(to, bytes_view(buffer.data(), size));
    auto const got = co_await coro::with_deadline(socket.receive(buffer), duration(50ms));
    if (got) ++answers;
    std::uint64_t const pause = host.random().below(1'000'000);
    co_await coro::sleep_for(duration(static_cast<duration::rep>(pause)));
  }
  co_return answers;
}

/// A run with loss and jitter, as a hash of its trace and the last random number: any difference shows in one of them.
std::pair<std::uint64_t, std::uint64_t> fingerprint(std::uint64_t seed) {
  io::sim::world world(seed);
  world.set_link({5ms, 3ms, 0.1});
  auto& server = world.add_host(at("10.0.0.1:0"));
  auto& client = world.add_host(at("10.0.0.2:0"));
  auto served = io::udp_socket::open(server, at("0.0.0.0:7"));
  auto asking = io::udp_socket::open(client, at("0.0.0.0:0"));
  REQUIRE(served.has_value());
  REQUIRE(asking.has_value());
  server.spawn(echo(*served));
  int const answers = client.run(chatter(client, *asking, served->local(), 200));
  CHECK(answers > 100);
  CHECK(answers < 200);
  std::uint64_t const last = client.random().next();
  return {world.trace_hash(), last};
}

}  // namespace

TEST_CASE("the same seed gives the same run, another seed another") {
  auto const first = fingerprint(42);
  auto const second = fingerprint(42);
  auto const other = fingerprint(43);
  CHECK(first == second);
  CHECK(first.first != other.first);
  CHECK(first.second != other.second);
}

TEST_CASE("hosts have random streams of their own") {
  io::sim::world quiet(1);
  auto& a = quiet.add_host(at("10.0.0.1:0"));
  auto& b = quiet.add_host(at("10.0.0.2:0"));
  std::uint64_t const of_a = a.random().next();
  std::uint64_t const of_b = b.random().next();
  CHECK(of_a != of_b);

  io::sim::world busy(1);  // what the network draws does not change what the hosts draw
  busy.set_link({1ms, 1ms, 0.5});
  auto& c = busy.add_host(at("10.0.0.3:0"));
  auto port = open(c, "0.0.0.0:1");
  for (int i = 0; i < 100; ++i) port->send(at("10.0.0.9:1"), {});
  auto& d = busy.add_host(at("10.0.0.4:0"));
  std::uint64_t const of_c = c.random().next();
  std::uint64_t const of_d = d.random().next();
  CHECK(of_c == of_a);
  CHECK(of_d == of_b);
}

TEST_CASE("datagrams take the delay of their link, each way its own") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto& b = world.add_host(at("[fd00::2]:0"));
  b.add_address(at("10.0.0.2:0"));
  sink at_a(a), at_b(b);
  auto from_a = open(a, "0.0.0.0:1", &at_a);
  auto from_b = open(b, "10.0.0.2:2", &at_b);
  CHECK(from_a->local() == at("10.0.0.1:1"));
  world.set_link(at("10.0.0.1:99"), at("10.0.0.2:98"), {3ms, {}, 0});
  time_point const start = world.now();
  CHECK(start.time_since_epoch() > 0ns);

  from_a->send(at("10.0.0.2:2"), as_bytes("there"));
  from_b->send(at("10.0.0.1:1"), as_bytes("and back"));
  world.run_until_idle();
  REQUIRE(at_b.times.size() == 1);
  CHECK(at_b.times[0] == start + 3ms);
  CHECK(at_b.texts[0] == "there");
  CHECK(at_b.senders[0] == from_a->local());
  REQUIRE(at_a.times.size() == 1);
  CHECK(at_a.times[0] == start + 10ms);
  CHECK(at_a.texts[0] == "and back");
  CHECK(from_a->counters().sent == 1);
  CHECK(from_a->counters().sent_bytes == 5);
  CHECK(from_b->counters().received_bytes == 5);
}

TEST_CASE("what arrives at one instant is one batch, in the order of sending") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto& b = world.add_host(at("10.0.0.2:0"));
  sink received(b);
  auto from = open(a, "0.0.0.0:1");
  auto to = open(b, "0.0.0.0:2", &received);
  for (int i = 0; i < 100; ++i) from->send(to->local(), as_bytes(std::to_string(i)));
  world.run_until_idle();
  CHECK(received.batches == std::vector<std::size_t>{64, 36});
  REQUIRE(received.texts.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(received.texts[static_cast<std::size_t>(i)] == std::to_string(i));
}

TEST_CASE("loss and jitter are what the policy says") {
  io::sim::world world(5);
  world.set_link({20ms, 10ms, 0.25});
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto& b = world.add_host(at("10.0.0.2:0"));
  sink received(b);
  auto from = open(a, "0.0.0.0:1");
  auto to = open(b, "0.0.0.0:2", &received);
  time_point const start = world.now();
  constexpr int count = 4000;
  for (int i = 0; i < count; ++i) from->send(to->local(), {});
  CHECK(world.in_flight() + world.counters().lost == count);
  world.run_until_idle();
  CHECK(world.in_flight() == 0);
  CHECK(world.counters().lost + world.counters().delivered == count);
  CHECK(world.counters().lost > count / 5);  // a quarter; the seed is fixed, so this holds or it does not
  CHECK(world.counters().lost < count / 3);
  double sum = 0;
  for (time_point const each : received.times) {
    duration const took = each - start;
    CHECK(took >= 20ms);
    CHECK(took <= 30ms);
    sum += static_cast<double>(took.count());
  }
  double const mean_ms = sum / static_cast<double>(received.times.size()) / 1e6;
  CHECK(mean_ms > 24.7);
  CHECK(mean_ms < 25.3);
}

TEST_CASE("a filter sees, changes and drops; an injected datagram passes it by") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto& b = world.add_host(at("10.0.0.2:0"));
  sink received(b);
  auto from = open(a, "0.0.0.0:1");
  auto to = open(b, "0.0.0.0:2", &received);
  std::vector<bytes> recorded;
  world.set_filter([&](endpoint const& sender, endpoint const& target, bytes& data) {
    CHECK(sender == at("10.0.0.1:1"));
    CHECK(target == at("10.0.0.2:2"));
    recorded.push_back(data);
    if (as_text(data) == "drop") return false;
    if (as_text(data) == "flip") data[0] = 'F';
    return true;
  });
  for (char const* text : {"keep", "drop", "flip"}) from->send(to->local(), as_bytes(text));
  world.run_until_idle();
  CHECK(received.texts == std::vector<std::string>{"keep", "Flip"});
  CHECK(world.counters().filtered == 1);

  world.set_link({10ms, {}, 1.0});
  world.inject(at("10.9.9.9:9"), to->local(), recorded[1]);
  world.run_until_idle();
  REQUIRE(received.texts.size() == 3);
  CHECK(received.texts[2] == "drop");
  CHECK(received.senders[2] == at("10.9.9.9:9"));
  CHECK(recorded.size() == 3);
}

TEST_CASE("a live host without a listener says so; nobody else does") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto& b = world.add_host(at("10.0.0.2:0"));
  sink hints(a);
  auto from = open(a, "0.0.0.0:1", &hints);
  from->send(at("10.0.0.2:7"), as_bytes("x"));
  from->send(at("10.0.0.3:7"), as_bytes("nobody"));
  world.run_until_idle();
  CHECK(hints.unreachable == std::vector<endpoint>{at("10.0.0.2:7")});
  CHECK(world.counters().unheard == 1);
  CHECK(world.counters().vanished == 1);

  b.set_online(false);
  from->send(at("10.0.0.2:7"), as_bytes("x"));
  world.run_until_idle();
  b.set_online(true);
  world.set_unreachable_hints(false);
  from->send(at("10.0.0.2:7"), as_bytes("x"));
  world.run_until_idle();
  CHECK(hints.unreachable.size() == 1);
  CHECK(world.counters().unheard == 2);
  CHECK(world.counters().vanished == 2);
}

TEST_CASE("an offline host neither sends nor receives, and recovers") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto& b = world.add_host(at("10.0.0.2:0"));
  sink at_a(a), at_b(b);
  auto from_a = open(a, "0.0.0.0:1", &at_a);
  auto from_b = open(b, "0.0.0.0:2", &at_b);
  from_a->send(from_b->local(), as_bytes("on its way"));
  b.set_online(false);
  from_b->send(from_a->local(), as_bytes("unplugged"));
  world.run_until_idle();
  CHECK(at_a.texts.empty());
  CHECK(at_b.texts.empty());
  CHECK(world.counters().vanished == 2);
  b.set_online(true);
  from_b->send(from_a->local(), as_bytes("again"));
  world.run_until_idle();
  CHECK(at_a.texts == std::vector<std::string>{"again"});
}

TEST_CASE("free ports are deterministic, an unspecified address is the host's own, and hosts do not share one") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto first = open(a, "0.0.0.0:0");
  auto second = open(a, "10.0.0.1:0");
  CHECK(first->local() == at("10.0.0.1:49152"));
  CHECK(second->local() == at("10.0.0.1:49153"));
  auto const taken = a.open_udp(at("0.0.0.0:49152"));
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error() == errc::address_in_use);
  auto const of_no_family_of_its = a.open_udp(at("[::]:5"));
  REQUIRE_FALSE(of_no_family_of_its.has_value());
  CHECK(of_no_family_of_its.error() == errc::io_failure);
  CHECK_THROWS_AS(world.add_host(at("10.0.0.1:5")), std::logic_error);
}

namespace {

coro::task<void> count_ticks(int& ticks) {
  for (;;) {
    co_await coro::sleep_for(1s);
    ++ticks;
  }
}

}  // namespace

TEST_CASE("time passes as asked, and runs are bounded") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  bool const found = world.run_until([] { return false; });
  CHECK_FALSE(found);  // nothing is left to happen
  time_point const begin = world.now();
  auto const wait = []() -> coro::task<void> { co_await coro::sleep_for(1h); };
  a.run(wait());
  CHECK(world.now() == begin + 1h);
  int ticks = 0;
  a.spawn(count_ticks(ticks));
  time_point const start = world.now();
  world.run_for(2500ms);
  CHECK(ticks == 2);
  CHECK(world.now() == start + 2500ms);
  world.run_until(start + 3s);
  CHECK(ticks == 3);
  bool const ten = world.run_until([&] { return ticks == 10; });
  CHECK(ten);
  CHECK(world.now() == start + 10s);
  CHECK_THROWS_AS(world.run_until_idle(1000), std::logic_error);
}

TEST_CASE("a crash takes everything of a host, and the address is free again") {
  io::sim::world world(1);
  auto& a = world.add_host(at("10.0.0.1:0"));
  auto& b = world.add_host(at("10.0.0.2:0"));
  int ticks_a = 0;
  int ticks_b = 0;
  a.spawn(count_ticks(ticks_a));
  b.spawn(count_ticks(ticks_b));
  sink at_a(a);
  auto port_a = open(a, "0.0.0.0:1", &at_a);
  auto port_b = open(b, "0.0.0.0:1");
  port_b->send(port_a->local(), as_bytes("too late"));
  coro::timer_node timer([](coro::timer_node&) { FAIL("the timer of a crashed host fired"); });
  a.arm(timer, world.now() + 5s);
  world.run_for(3500us);
  a.crash();
  CHECK(a.crashed());
  CHECK_FALSE(timer.armed());
  world.run_for(10s);
  CHECK(ticks_a == 0);
  CHECK(ticks_b == 10);
  CHECK(at_a.texts.empty());
  CHECK(world.counters().vanished == 1);
  // What still refers to the dead host does no harm.
  port_a->send(port_b->local(), as_bytes("ghost"));
  a.arm(timer, world.now());
  a.spawn(count_ticks(ticks_a));
  auto const refused = a.open_udp(at("0.0.0.0:0"));
  CHECK_FALSE(refused.has_value());
  world.run_for(1s);
  CHECK(ticks_a == 0);

  auto& again = world.add_host(at("10.0.0.1:0"));
  sink reborn(again);
  auto port = open(again, "0.0.0.0:1", &reborn);
  port_b->send(port->local(), as_bytes("hello again"));
  world.run_for(1s);
  CHECK(reborn.texts == std::vector<std::string>{"hello again"});
}

TEST_CASE("signals are raised by hand") {
  io::sim::world world(1);
  io::sim::context a(world, at("10.0.0.1:0"));
  CHECK(a.backend() == "sim");
  CHECK_FALSE(a.raise(SIGTERM));
  std::optional<int> got;
  auto const wait = [](io::context& host, std::optional<int>& into) -> coro::task<void> {
    auto waiting = host.wait_signal({SIGINT, SIGTERM});
    auto const number = co_await std::move(waiting);
    if (number) into = *number;
  };
  a.spawn(wait(a, got));
  world.run_until_idle();
  CHECK_FALSE(a.raise(SIGHUP));
  CHECK_FALSE(got.has_value());
  CHECK(a.raise(SIGTERM));
  CHECK_FALSE(a.raise(SIGTERM));
  world.run_until_idle();
  REQUIRE(got.has_value());
  CHECK(*got == SIGTERM);

  auto const in_time = [](io::context& host) -> coro::task<result<int>> {
    auto waiting = host.wait_signal({SIGINT});
    co_return co_await coro::with_deadline(std::move(waiting), duration(1s));
  };
  auto const nothing = a.run(in_time(a));
  REQUIRE_FALSE(nothing.has_value());
  CHECK(nothing.error() == errc::timed_out);
  CHECK_FALSE(a.raise(SIGINT));
}
