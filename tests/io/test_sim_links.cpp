#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "io/simulated_sink.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/sampling.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;
using io::sim::fate;

namespace {

/// A sender, a receiver, and the link between them.
struct link_test {
  explicit link_test(std::uint64_t seed, io::sim::link_policy const& policy) : world(seed) { world.set_link(policy); }

  /// Sends so many datagrams of that size at one instant, each with its number in front, and lets them arrive.
  void send(std::size_t count, std::size_t size_bytes = 8) {
    bytes data(size_bytes);
    for (std::size_t i = 0; i < count; ++i) {
      if (size_bytes >= 8) store_be(data.data(), static_cast<std::uint64_t>(i));
      from->send(to->local(), data);
    }
    world.run_until_idle();
    auto const& seen = world.counters();
    CHECK(seen.sent + seen.injected + seen.duplicated == seen.ended());
    CHECK(world.in_flight() == 0);
  }

  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> found;
    for (std::string const& each : received.texts) found.push_back(load_be<std::uint64_t>(as_bytes(each).data()));
    return found;
  }

  io::sim::world world;
  io::sim::context& a = world.add_host(at("10.0.0.1:0"));
  io::sim::context& b = world.add_host(at("10.0.0.2:0"));
  sink received{b};
  std::unique_ptr<io::udp_port> from = open(a, "0.0.0.0:1");
  std::unique_ptr<io::udp_port> to = open(b, "0.0.0.0:2", &received);
  time_point start = world.now();
};

/// Keeps what it saw, as text.
class notes final : public io::sim::observer {
 public:
  void on_datagram(time_point now, endpoint const& from, endpoint const& to, bytes_view data, fate what) override {
    std::string const ms = std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now - start).count());
    lines.push_back(ms + " " + from.to_string() + " " + to.to_string() + " " + std::string(as_text(data)) + " " +
                    std::string(to_string(what)));
    ++fates[what];
  }
  time_point start;
  std::vector<std::string> lines;
  std::map<fate, std::uint64_t> fates;
};

}  // namespace

TEST_CASE("without faults a link draws nothing and changes nothing") {
  link_test plain(1, {});
  plain.send(100);
  auto const& seen = plain.world.counters();
  CHECK(seen.delivered == 100);
  CHECK(seen.duplicated + seen.corrupted + seen.reordered == 0);
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(plain.received.times[i] == plain.start + 10ms);
    CHECK(plain.numbers()[i] == i);
  }
  link_test other_seed(2, {});
  other_seed.send(100);
  CHECK(other_seed.world.trace_hash() == plain.world.trace_hash());  // no chance in it
}

TEST_CASE("a duplicate is a second copy with a delay of its own") {
  io::sim::link_policy policy;
  policy.jitter = 5ms;
  policy.duplicate = 0.5;
  link_test test(3, policy);
  test.send(1000);
  auto const& seen = test.world.counters();
  CHECK(seen.duplicated > 400);
  CHECK(seen.duplicated < 600);
  CHECK(seen.delivered == 1000 + seen.duplicated);
  std::map<std::uint64_t, std::vector<time_point>> arrivals;
  auto const numbers = test.numbers();
  for (std::size_t i = 0; i < numbers.size(); ++i) arrivals[numbers[i]].push_back(test.received.times[i]);
  CHECK(arrivals.size() == 1000);
  std::size_t apart = 0;
  for (auto const& [number, times] : arrivals) {
    CHECK(times.size() <= 2);
    if (times.size() == 2 && times[0] != times[1]) ++apart;
  }
  CHECK(apart > seen.duplicated * 9 / 10);
}

TEST_CASE("a held back datagram is overtaken, and arrives in time") {
  io::sim::link_policy policy;
  policy.reorder = 0.2;
  policy.reorder_delay = 30ms;
  link_test test(4, policy);
  test.send(1000);
  auto const& seen = test.world.counters();
  CHECK(seen.reordered > 150);
  CHECK(seen.reordered < 250);
  CHECK(seen.delivered == 1000);
  auto const numbers = test.numbers();
  CHECK_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
  auto const late = std::count_if(test.received.times.begin(), test.received.times.end(),
                                  [&](time_point each) { return each > test.start + 10ms; });
  CHECK(static_cast<std::uint64_t>(late) == seen.reordered);
  CHECK(test.received.times.back() <= test.start + 40ms);
}

TEST_CASE("corruption flips 1 to 8 bits, never none, and nothing else") {
  io::sim::link_policy policy;
  policy.corrupt = 0.25;
  link_test test(5, policy);
  bytes const original(100, 0x55);
  for (int i = 0; i < 1000; ++i) test.from->send(test.to->local(), original);
  for (int i = 0; i < 10; ++i) test.from->send(test.to->local(), {});  // nothing to flip
  test.world.run_until_idle();
  std::uint64_t changed = 0;
  for (std::string const& each : test.received.texts) {
    if (each.empty()) continue;
    REQUIRE(each.size() == original.size());
    int bits = 0;
    for (std::size_t i = 0; i < each.size(); ++i)
      bits += std::popcount(static_cast<unsigned>(static_cast<std::uint8_t>(each[i]) ^ original[i]));
    CHECK(bits <= 8);
    if (bits > 0) ++changed;
  }
  CHECK(changed == test.world.counters().corrupted);
  CHECK(changed > 200);
  CHECK(changed < 300);
  CHECK(test.world.counters().delivered == 1010);
}

TEST_CASE("a single byte can be corrupted too") {
  io::sim::link_policy policy;
  policy.corrupt = 1;
  link_test test(6, policy);
  test.send(50, 1);
  CHECK(test.world.counters().corrupted == 50);
  for (std::string const& each : test.received.texts) CHECK(each != std::string(1, '\0'));
}

TEST_CASE("larger datagrams vanish in a black hole, without a word") {
  io::sim::link_policy policy;
  policy.mtu_bytes = 1200;
  link_test test(1, policy);
  sink hints(test.a);
  test.from->set_receiver(&hints);
  test.send(3, 1200);
  test.send(4, 1201);
  CHECK(test.received.texts.size() == 3);
  CHECK(test.world.counters().black_holed == 4);
  CHECK(hints.unreachable.empty());
}

TEST_CASE("a bandwidth spaces datagrams, and an idle link is as fast as ever") {
  io::sim::link_policy policy;
  policy.bandwidth_bytes_per_s = 1'000'000;
  policy.queue_bytes = 1'000'000;
  link_test test(1, policy);
  test.send(100, 1000);
  REQUIRE(test.received.times.size() == 100);
  for (std::size_t i = 0; i < 100; ++i)
    CHECK(test.received.times[i] == test.start + 10ms + static_cast<int>(i + 1) * 1ms);
  time_point const later = test.world.now();
  test.send(1, 1000);
  CHECK(test.received.times.back() == later + 11ms);
  CHECK(test.world.counters().queue_full == 0);

  sink back(test.a);  // the way back has a queue of its own
  test.from->set_receiver(&back);
  time_point const turned = test.world.now();
  test.to->send(test.from->local(), bytes(1000));
  test.world.run_until_idle();
  CHECK(back.times == std::vector<time_point>{turned + 11ms});
}

TEST_CASE("what does not fit into the queue of a link is dropped") {
  io::sim::link_policy policy;
  policy.bandwidth_bytes_per_s = 1'000'000;
  policy.queue_bytes = 10'000;
  link_test test(1, policy);
  test.send(25, 1000);
  CHECK(test.received.texts.size() == 10);
  CHECK(test.world.counters().queue_full == 15);
  CHECK(test.numbers().back() == 9);
  test.send(3, 1000);  // it has drained
  CHECK(test.received.texts.size() == 13);

  policy.queue_bytes = 0;  // one is on the line, none waits
  link_test narrow(1, policy);
  narrow.send(3, 1000);
  CHECK(narrow.received.texts.size() == 1);
  CHECK(narrow.world.counters().queue_full == 2);
}

TEST_CASE("spread makes delays log-normal around their median") {
  io::sim::link_policy policy;
  policy.delay = 100ms;
  policy.spread = 0.5;
  link_test test(7, policy);
  test.send(4000);
  std::vector<duration> delays;
  for (time_point const each : test.received.times) delays.push_back(each - test.start);
  REQUIRE(delays.size() == 4000);
  CHECK(std::is_sorted(delays.begin(), delays.end()));
  CHECK(delays[2000] > 97ms);
  CHECK(delays[2000] < 103ms);
  // A standard deviation to either side: 60.7 and 164.9 ms.
  CHECK(delays[635] > 58ms);
  CHECK(delays[635] < 63ms);
  CHECK(delays[3365] > 160ms);
  CHECK(delays[3365] < 170ms);
  CHECK(delays[7] % 1us == 0ns);
}

TEST_CASE("normal numbers and exponentials come from integers alone") {
  namespace detail = io::sim::detail;
  CHECK(detail::exp_q24(0) == 1 << 24);
  CHECK(detail::exp_q24(65536) == 45605364);  // e, to 10^-5 (45605201)
  CHECK(detail::exp_q24(-65536) == 6171971);  // 1/e (6171992)
  CHECK(detail::exp_q24(65536 * 6) == detail::exp_q24(65536 * 100));
  CHECK(detail::exp_q24(65536 * -6) == detail::exp_q24(65536 * -100));
  CHECK(detail::log_normal(100ms, 0.0, 5 * 65536) == 100ms);
  CHECK(detail::log_normal(100ms, 1.0, 0) == 100ms);
  detail::split_mix numbers(1);
  std::int64_t sum = 0;
  std::int64_t squares = 0;
  for (int i = 0; i < 20000; ++i) {
    std::int64_t const each = detail::normal_q16(numbers) >> 8;
    sum += each;
    squares += each * each;
  }
  CHECK(std::abs(sum / 20000) <= 3);                // of 256
  CHECK(std::abs(squares / 20000 - 65536) < 1500);  // the variance is 1
}

TEST_CASE("a geography has the round trips of the world, the same both ways, from nothing but addresses") {
  io::sim::geography const planet(7);
  auto const host = [](unsigned i) {
    return endpoint::v4({10, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i & 255)}, 4001);
  };
  std::vector<duration> round_trips;
  for (unsigned i = 0; i < 300; ++i) {
    for (unsigned j = 0; j < i; ++j) {
      duration const there = planet.one_way(host(i), host(j));
      if (i < 20) CHECK(planet.one_way(host(j), host(i)) == there);
      round_trips.push_back(2 * there);
    }
  }
  std::sort(round_trips.begin(), round_trips.end());
  auto const percentile = [&](std::size_t p) { return round_trips[round_trips.size() * p / 100]; };
  CHECK(percentile(10) > 30ms);
  CHECK(percentile(10) < 50ms);
  CHECK(percentile(50) > 130ms);
  CHECK(percentile(50) < 150ms);
  CHECK(percentile(90) > 215ms);
  CHECK(percentile(90) < 245ms);
  CHECK(percentile(99) > 275ms);
  CHECK(percentile(99) < 315ms);
  CHECK(round_trips.front() > 1ms);
  CHECK(planet.one_way(host(1), host(2)) % 1us == 0ns);
  CHECK(planet.one_way(host(1), host(1)) == 50us);
  duration const plain = planet.one_way(host(1), host(2));
  CHECK(io::sim::geography(8).one_way(host(1), host(2)) != plain);
  CHECK(io::sim::geography(7, 200).one_way(host(1), host(2)) == 2 * plain);
}

TEST_CASE("with a geography a link without a policy has the delay of its ends") {
  link_test test(1, {});
  io::sim::geography const planet(3);
  test.world.set_geography(planet);
  duration const expected = planet.one_way(test.a.address(), test.b.address());
  CHECK(expected != 10ms);
  test.send(1);
  CHECK(test.received.times.back() == test.start + expected);

  io::sim::link_policy own;
  own.delay = 3ms;
  test.world.set_link(test.a.address(), test.b.address(), own);
  time_point const then = test.world.now();
  test.send(1);
  CHECK(test.received.times.back() == then + 3ms);

  test.world.set_geography(std::nullopt);
  sink back(test.a);
  test.from->set_receiver(&back);
  time_point const last = test.world.now();
  test.to->send(test.from->local(), {});
  test.world.run_until_idle();
  CHECK(back.times.back() == last + 10ms);
}

TEST_CASE("an observer sees every fate, and its absence changes nothing") {
  notes seen;
  link_test test(1, {});
  sink hints(test.a);
  test.from->set_receiver(&hints);
  seen.start = test.start;
  test.world.set_observer(&seen);
  test.from->send(test.to->local(), as_bytes("x"));
  test.from->send(at("10.0.0.9:9"), as_bytes("y"));
  test.from->send(at("10.0.0.2:9"), as_bytes("z"));
  test.world.run_until_idle();
  CHECK(seen.lines ==
        std::vector<std::string>{"0 10.0.0.1:1 10.0.0.2:2 x departed", "0 10.0.0.1:1 10.0.0.9:9 y departed",
                                 "0 10.0.0.1:1 10.0.0.2:9 z departed", "10 10.0.0.1:1 10.0.0.2:2 x delivered",
                                 "10 10.0.0.1:1 10.0.0.9:9 y vanished", "10 10.0.0.1:1 10.0.0.2:9 z unheard"});
  link_test blind(1, {});
  blind.from->send(blind.to->local(), as_bytes("x"));
  blind.from->send(at("10.0.0.9:9"), as_bytes("y"));
  blind.from->send(at("10.0.0.2:9"), as_bytes("z"));
  blind.world.run_until_idle();
  CHECK(blind.world.trace_hash() == test.world.trace_hash());
  test.world.set_observer(nullptr);
  test.send(1);
  CHECK(seen.lines.size() == 6);
}

TEST_CASE("events are datagrams delivered and timers fired") {
  link_test test(1, {});
  test.send(5);
  CHECK(test.world.events() == 5);
  CHECK(test.world.timers_fired() == 0);
  int fired = 0;
  struct counting final : coro::timer_node {
    explicit counting(int& into)
        : timer_node([](timer_node& node) { ++static_cast<counting&>(node).count; }), count(into) {}
    int& count;
  };
  counting of_host(fired);
  counting of_world(fired);
  counting never(fired);
  test.a.arm(of_host, test.a.now() + 1s);
  test.a.arm(never, test.a.now() + 2s);
  test.world.arm(of_world, test.world.now() + 3s);
  test.a.disarm(never);
  test.world.run_until_idle();
  CHECK(fired == 2);
  CHECK(test.world.timers_fired() == 2);
  CHECK(test.world.events() == 7);
}
