#include <chrono>
#include <optional>
#include <vector>

#include "allocations.hpp"
#include "backends.hpp"
#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/frame_pool.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/io/tcp_listener.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::tcp_listener;
using io::tcp_stream;
using io_test::allocations;

// By exact count: what a read or a write costs once everything is warm.

namespace {

constexpr std::size_t message_bytes = 1000;

coro::task<void> echo(tcp_stream& stream) {
  byte_array<message_bytes> buffer{};
  for (;;) {
    auto const got = co_await stream.read_some(buffer);
    if (!got || *got == 0) co_return;
    auto const sent = co_await stream.write(bytes_view(buffer).first(*got));
    if (!sent) co_return;
  }
}

/// False if a connection breaks.
coro::task<bool> round_trips(std::vector<tcp_stream>& callers, int count) {
  byte_array<message_bytes> buffer{};
  for (int i = 0; i < count; ++i) {
    for (tcp_stream& each : callers) {
      auto const sent = co_await each.write(buffer);
      if (!sent) co_return false;
    }
    for (tcp_stream& each : callers) {
      auto const back = co_await coro::with_deadline(each.read_exactly(buffer), duration(20s));
      if (!back) co_return false;
    }
  }
  co_return true;
}

coro::task<std::optional<std::uint64_t>> count_round_trips(std::vector<tcp_stream>& callers) {
  bool const warm = co_await round_trips(callers, 100);
  if (!warm) co_return std::nullopt;
  std::uint64_t const before = allocations();
  bool const ran = co_await round_trips(callers, 1000);
  std::uint64_t const after = allocations();
  if (!ran) co_return std::nullopt;
  co_return after - before;
}

coro::task<bool> connect(io::context& on, tcp_listener& listener, std::vector<tcp_stream>& callers,
                         std::vector<tcp_stream>& called, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    auto caller = co_await tcp_stream::connect(on, listener.local());
    auto taken = co_await listener.accept();
    if (!caller || !taken) co_return false;
    callers.push_back(std::move(*caller));
    called.push_back(std::move(*taken));
  }
  co_return true;
}

}  // namespace

TEST_CASE("tcp: a warm read or write allocates nothing, on one connection and on twenty") {
  if (!coro::frame_pool::enabled) {
    MESSAGE("skipped: a sanitizer has the allocator");
    return;
  }
  io_test::on_each(io_test::real_backends(), [](io::context& context, io_test::backend const&) {
    for (std::size_t const count : {std::size_t{1}, std::size_t{20}}) {
      CAPTURE(count);
      auto listener = tcp_listener::open(context, *io::endpoint::parse("127.0.0.1:0"));
      REQUIRE(listener.has_value());
      std::vector<tcp_stream> callers, called;
      bool const connected = context.run(connect(context, *listener, callers, called, count));
      REQUIRE(connected);
      std::uint64_t const before = allocations();
      ::operator delete(::operator new(1));  // a call, which no compiler leaves out as it may leave out a new
      CHECK(allocations() == before + 1);    // it counts
      coro::scope children(context);
      for (tcp_stream& each : called) children.spawn(echo(each));
      auto const allocated = context.run(count_round_trips(callers));
      REQUIRE(allocated.has_value());
      CHECK(*allocated == 0);
      callers.clear();
      context.run(children.join());
    }
  });
}
