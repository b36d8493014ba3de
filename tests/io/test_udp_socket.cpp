#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/udp_socket.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;

namespace {

endpoint at(std::string_view text) { return *endpoint::parse(text); }

struct pair_of_hosts {
  pair_of_hosts()
      : a(world.add_host(at("10.0.0.1:0"))),
        b(world.add_host(at("10.0.0.2:0"))),
        at_a(*io::udp_socket::open(a, at("0.0.0.0:1"))),
        at_b(*io::udp_socket::open(b, at("0.0.0.0:2"))) {}

  io::sim::world world{1};
  io::sim::context& a;
  io::sim::context& b;
  io::udp_socket at_a;
  io::udp_socket at_b;
};

coro::task<void> collect(io::udp_socket& socket, std::vector<std::string>& into) {
  byte_array<io::max_datagram_bytes> buffer{};
  for (;;) {
    auto const got = co_await socket.receive(buffer);
    if (!got) co_return;
    into.emplace_back(as_text(bytes_view(buffer.data(), got->size_bytes)));
  }
}

coro::task<result<io::received>> receive_within(io::udp_socket& socket, bytes_span into, duration limit) {
  co_return co_await coro::with_deadline(socket.receive(into), limit);
}

}  // namespace

TEST_CASE("a socket receives in order, whether it waits or not") {
  pair_of_hosts net;
  byte_array<16> buffer{};
  net.at_a.send(net.at_b.local(), as_bytes("one"));
  net.at_a.send(net.at_b.local(), as_bytes("two"));
  auto const first = net.b.run(net.at_b.receive(buffer));  // waits
  REQUIRE(first.has_value());
  CHECK(first->from == net.at_a.local());
  CHECK(as_text(bytes_view(buffer.data(), first->size_bytes)) == "one");
  time_point const before = net.world.now();
  auto const second = net.b.run(net.at_b.receive(buffer));  // is there already
  REQUIRE(second.has_value());
  CHECK(as_text(bytes_view(buffer.data(), second->size_bytes)) == "two");
  CHECK(net.world.now() == before);
  CHECK(net.at_b.counters().received == 2);
}

TEST_CASE("an empty datagram is a datagram") {
  pair_of_hosts net;
  net.at_a.send(net.at_b.local(), {});
  auto const got = net.b.run(net.at_b.receive({}));
  REQUIRE(got.has_value());
  CHECK(got->size_bytes == 0);
}

TEST_CASE("a deadline ends a receive, and the socket goes on") {
  pair_of_hosts net;
  byte_array<16> buffer{};
  time_point const start = net.world.now();
  auto const nothing = net.b.run(receive_within(net.at_b, buffer, 100ms));
  REQUIRE_FALSE(nothing.has_value());
  CHECK(nothing.error() == errc::timed_out);
  CHECK(net.world.now() == start + 100ms);
  net.at_a.send(net.at_b.local(), as_bytes("late"));
  auto const got = net.b.run(receive_within(net.at_b, buffer, 100ms));
  REQUIRE(got.has_value());
  CHECK(got->size_bytes == 4);
}

TEST_CASE("a buffer that is too small costs one datagram and says so") {
  pair_of_hosts net;
  byte_array<4> buffer{};
  net.at_a.send(net.at_b.local(), as_bytes("12345"));
  net.at_a.send(net.at_b.local(), as_bytes("1234"));
  auto const large = net.b.run(net.at_b.receive(buffer));
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error() == errc::too_large);
  CHECK(large.error().message().find("10.0.0.1:1") != std::string::npos);
  auto const fits = net.b.run(net.at_b.receive(buffer));
  REQUIRE(fits.has_value());
  CHECK(fits->size_bytes == 4);
}

TEST_CASE("the inbox is bounded, keeps the oldest, and counts the rest") {
  pair_of_hosts net;
  std::size_t const count = io::udp_socket::inbox_capacity + 10;
  for (std::size_t i = 0; i < count; ++i) net.at_a.send(net.at_b.local(), as_bytes(std::to_string(i)));
  net.world.run_until_idle();
  CHECK(net.at_b.dropped_inbox_full() == 10);
  std::vector<std::string> texts;
  net.b.spawn(collect(net.at_b, texts));
  net.world.run_until_idle();
  REQUIRE(texts.size() == io::udp_socket::inbox_capacity);
  for (std::size_t i = 0; i < texts.size(); ++i) CHECK(texts[i] == std::to_string(i));
}

TEST_CASE("several may wait; each datagram goes to one of them") {
  pair_of_hosts net;
  std::vector<std::string> texts;
  for (int i = 0; i < 3; ++i) net.b.spawn(collect(net.at_b, texts));
  net.world.run_until_idle();
  for (int i = 0; i < 10; ++i) net.at_a.send(net.at_b.local(), as_bytes(std::to_string(i)));
  net.world.run_until_idle();
  CHECK(texts.size() == 10);
}

TEST_CASE("a socket may move while a receive waits") {
  pair_of_hosts net;
  std::vector<std::string> texts;
  io::udp_socket first = *io::udp_socket::open(net.b, at("0.0.0.0:0"));
  endpoint const local = first.local();
  net.b.spawn(collect(first, texts));
  net.world.run_until_idle();
  // The coroutine above refers to `first`, so the socket has to come back there before it receives again.
  io::udp_socket second = std::move(first);
  net.at_a.send(local, as_bytes("moved"));
  net.world.run_for(9ms);
  first = std::move(second);
  net.world.run_until_idle();
  CHECK(texts == std::vector<std::string>{"moved"});
}

TEST_CASE("a socket tells when nobody listens") {
  pair_of_hosts net;
  net.at_a.send(at("10.0.0.2:99"), as_bytes("x"));
  net.world.run_until_idle();
  CHECK(net.at_a.unreachable_hints() == 1);
}
