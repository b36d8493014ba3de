#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/tcp_listener.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;
using io::tcp_listener;
using io::tcp_stream;

// What a simulated network does to TCP. What TCP does for programs, on every backend: test_tcp.cpp.

namespace {

endpoint at(std::string_view text) { return *endpoint::parse(text); }

bytes pattern(std::size_t size_bytes) {
  bytes out(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) out[i] = static_cast<std::uint8_t>(i * 167 + (i >> 8));
  return out;
}

coro::task<void> accept_one(tcp_listener& listener, std::optional<tcp_stream>& into) {
  auto taken = co_await listener.accept();
  if (taken) into.emplace(std::move(*taken));
}

coro::task<void> write_all(tcp_stream& to, bytes_view data, bool then_close, result<void>& outcome) {
  outcome = co_await to.write(data);
  if (then_close) to.close();
}

coro::task<result<bytes>> read_to_end(tcp_stream& from) {
  bytes all;
  bytes part(4096);
  for (;;) {
    auto const got = co_await from.read_some(part);
    if (!got) co_return fail(got.error());
    if (*got == 0) break;
    all.append(bytes_view(part).first(*got));
  }
  co_return std::move(all);
}

struct network {
  explicit network(std::uint64_t seed = 1) : world(seed) {
    auto opened = tcp_listener::open(a, at("0.0.0.0:80"));
    REQUIRE(opened.has_value());
    listener.emplace(std::move(*opened));
  }

  /// b calls a.
  void connect() {
    a.spawn(accept_one(*listener, called));
    auto made = b.run(tcp_stream::connect(b, at("10.0.0.1:80")));
    REQUIRE_MESSAGE(made.has_value(), made.error().message());
    caller.emplace(std::move(*made));
    REQUIRE(world.run_until([&] { return called.has_value(); }));
  }

  /// b sends `data` and finishes, a reads; how long that took.
  duration transfer(bytes_view data) {
    time_point const start = world.now();
    result<void> written;
    b.spawn(write_all(*caller, data, true, written));
    auto const got = a.run(read_to_end(*called));
    REQUIRE_MESSAGE(got.has_value(), got.error().message());
    CHECK(written.has_value());
    CHECK(equal(*got, data));
    return world.now() - start;
  }

  io::sim::world world;
  io::sim::context& a = world.add_host(at("10.0.0.1:0"));
  io::sim::context& b = world.add_host(at("10.0.0.2:0"));
  std::optional<tcp_listener> listener;
  std::optional<tcp_stream> called;
  std::optional<tcp_stream> caller;
};

}  // namespace

TEST_CASE("sim tcp: a connect takes one round trip, a small message half of one") {
  network net;
  time_point const start = net.world.now();
  net.connect();
  CHECK(net.world.now() - start == 30ms);  // accepted with the caller's word, half a round trip later
  CHECK(net.transfer(as_bytes("hello")) == 10ms);
}

TEST_CASE("sim tcp: bandwidth bounds a transfer") {
  network net;
  net.world.set_link({.delay = 10ms, .bandwidth_bytes_per_s = 1'000'000});
  net.connect();
  duration const took = net.transfer(pattern(2'000'000));
  CHECK(took > 2s);  // it cannot be faster
  CHECK(took < 2800ms);
}

TEST_CASE("sim tcp: what the network loses, doubles, displaces and corrupts arrives once, in order and whole, later") {
  bytes const data = pattern(1'000'000);
  network clean;
  clean.connect();
  duration const undisturbed = clean.transfer(data);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    network net(seed);
    net.world.set_link(
        {.delay = 10ms, .jitter = 2ms, .loss = 0.03, .duplicate = 0.02, .corrupt = 0.02, .reorder = 0.02});
    net.connect();
    CHECK(net.transfer(data) > undisturbed);
    CHECK(net.world.counters().lost > 0);
    CHECK(net.world.counters().corrupted > 0);
  }
}

TEST_CASE("sim tcp: heavy loss delays, and does not break") {
  network net(3);
  net.world.set_link({.delay = 10ms, .loss = 0.3});
  net.connect();
  net.transfer(pattern(100'000));
}

TEST_CASE("sim tcp: the same seed gives the same run") {
  auto const run = [](std::uint64_t seed) {
    network net(seed);
    net.world.set_link(
        {.delay = 10ms, .jitter = 5ms, .loss = 0.05, .duplicate = 0.05, .bandwidth_bytes_per_s = 500'000});
    net.connect();
    net.transfer(pattern(300'000));
    return net.world.trace_hash();
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("sim tcp: a partition stalls a connection, and it goes on afterwards") {
  network net;
  net.connect();
  bytes const data = pattern(200'000);
  result<void> written;
  net.b.spawn(write_all(*net.caller, data, true, written));
  net.world.run_for(25ms);
  net.b.set_island(1);
  net.world.run_for(5min);
  CHECK(net.called->is_open());
  net.b.set_island(0);
  auto const got = net.a.run(read_to_end(*net.called));
  REQUIRE(got.has_value());
  CHECK(*got == data);
}

TEST_CASE("sim tcp: a partition that stays ends in no answer, for the one who has something to send") {
  network net;
  net.connect();
  net.b.set_island(1);
  time_point const start = net.world.now();
  bytes const data = pattern(200'000);
  auto const written = net.b.run(net.caller->write(data));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error() == errc::no_answer);
  CHECK(written.error().message().find("10.0.0.1:80") != std::string::npos);
  CHECK(net.world.now() - start >= io::sim::detail::stream::give_up);
  auto const silent = net.a.run(coro::with_deadline(read_to_end(*net.called), duration(1h)));
  REQUIRE_FALSE(silent.has_value());
  CHECK(silent.error() == errc::timed_out);  // who only reads cannot know
}

TEST_CASE("sim tcp: a call that nobody hears is given up after two minutes") {
  network net;
  net.world.set_blocked(at("10.0.0.2:0"), at("10.0.0.1:0"), true);
  time_point const start = net.world.now();
  auto const made = net.b.run(tcp_stream::connect(net.b, at("10.0.0.1:80")));
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error() == errc::no_answer);
  CHECK(net.world.now() - start >= io::sim::detail::stream::call_give_up);
  CHECK(net.world.now() - start < 10min);
}

TEST_CASE("sim tcp: a closed window is probed, so that word of room may get lost") {
  network net;
  net.connect();
  bytes const data = pattern(300'000);
  result<void> written;
  net.b.spawn(write_all(*net.caller, data, true, written));
  net.world.run_for(2s);
  CHECK(net.caller->counters().sent_bytes < data.size());  // nobody reads
  net.world.set_blocked(at("10.0.0.1:0"), at("10.0.0.2:0"), true);
  bytes first(io::sim::detail::stream::buffer_bytes);
  auto const got = net.a.run(net.called->read_exactly(first));  // says that there is room, in vain
  REQUIRE(got.has_value());
  net.world.run_for(1s);
  net.world.set_blocked(at("10.0.0.1:0"), at("10.0.0.2:0"), false);
  auto const rest = net.a.run(read_to_end(*net.called));
  REQUIRE(rest.has_value());
  first.append(*rest);
  CHECK(first == data);
}

TEST_CASE("sim tcp: a host that loses its power is silent, and the one after it resets its connections") {
  network net;
  net.connect();
  net.a.crash();
  CHECK_FALSE(net.called->counters().sent_bytes > 0);
  bytes const data = pattern(10'000);
  byte_array<1> buffer{};
  auto const sent = net.b.run(net.caller->write(data));
  CHECK(sent.has_value());  // on its way is all that was said
  auto const silent = net.b.run(coro::with_deadline(net.caller->read_some(buffer), duration(30s)));
  REQUIRE_FALSE(silent.has_value());
  CHECK(silent.error() == errc::timed_out);
  net.world.add_host(at("10.0.0.1:0"));
  auto const reset = net.b.run(net.caller->read_some(buffer));
  REQUIRE_FALSE(reset.has_value());
  CHECK(reset.error() == errc::reset);
}

TEST_CASE("sim tcp: a stopped host loses nothing") {
  network net;
  net.connect();
  bytes const data = pattern(200'000);
  result<void> written;
  net.b.spawn(write_all(*net.caller, data, true, written));
  net.world.run_for(15ms);
  net.a.pause();
  net.world.run_for(30s);
  net.a.resume();
  auto const got = net.a.run(read_to_end(*net.called));
  REQUIRE(got.has_value());
  CHECK(*got == data);
}

TEST_CASE("sim tcp: out of a NAT one may call, into it not, and its restart resets") {
  network net;
  io::sim::nat& box = net.world.add_nat(at("192.0.2.1:0"));
  net.b.set_nat(&box);
  net.connect();
  CHECK(net.called->remote().to_string().starts_with("192.0.2.1:"));
  result<void> written;
  net.b.spawn(write_all(*net.caller, as_bytes("through"), false, written));
  byte_array<7> buffer{};
  auto const got = net.a.run(net.called->read_exactly(buffer));
  CHECK(got.has_value());

  auto behind = tcp_listener::open(net.b, at("0.0.0.0:80"));
  REQUIRE(behind.has_value());
  auto const in = net.a.run(coro::with_deadline(tcp_stream::connect(net.a, at("192.0.2.1:80")), duration(10s)));
  REQUIRE_FALSE(in.has_value());
  CHECK(in.error() == errc::timed_out);

  box.restart();
  net.b.spawn(write_all(*net.caller, as_bytes("again"), false, written));
  auto const reset = net.b.run(net.caller->read_some(buffer));
  REQUIRE_FALSE(reset.has_value());
  CHECK(reset.error() == errc::reset);
}

TEST_CASE("sim tcp: nothing of a connection is left when both ends are done with it") {
  network net;
  net.connect();
  net.transfer(pattern(10'000));
  net.called->close();
  net.listener->close();
  time_point const start = net.world.now();
  net.world.run_until_idle();
  CHECK(net.world.in_flight() == 0);
  CHECK(net.world.now() - start < 1s);  // no timer of a connection that was forgotten
}

TEST_CASE("sim tcp: an end that the other never answers is given up") {
  network net;
  net.connect();
  net.caller->close();  // and a keeps its end open
  time_point const start = net.world.now();
  net.world.run_until_idle();
  CHECK(net.world.now() - start >= io::sim::detail::stream::linger);
  CHECK(net.world.now() - start < 2 * io::sim::detail::stream::linger);
  auto const late = net.a.run(net.called->write(as_bytes("too late")));
  CHECK(late.has_value());
  net.world.run_until_idle();
  auto const heard = net.a.run(net.called->write(as_bytes("x")));
  REQUIRE_FALSE(heard.has_value());
  CHECK(heard.error() == errc::reset);
}
