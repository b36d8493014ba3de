#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "io/allocations.hpp"
#include "io/backends.hpp"
#include "kadoro/base/block_pool.hpp"
#include "kadoro/kad/node.hpp"

using namespace kadoro;
using io_test::allocations;

// By exact count: what an operation costs once everything is warm. All nodes share one context, so a count is that of
// the node that asks and of those that answer together.

namespace {

constexpr std::size_t servers = 5;
constexpr std::size_t values = 8;
constexpr std::size_t batch = 50;
constexpr std::size_t batches = 10;

using swarm = std::vector<std::unique_ptr<kad::node>>;  // the last one is a client

bytes value_of(std::size_t i) { return bytes(300, static_cast<std::uint8_t>(i % values)); }

byte_array<2> name_of(std::size_t i) { return {'n', static_cast<std::uint8_t>('a' + i % values)}; }

swarm open_swarm(io::context& context) {
  swarm all;
  for (std::size_t i = 0; i <= servers; ++i) {
    kad::node_options how;
    how.listen = *io::endpoint::parse("127.0.0.1:0");
    if (i == servers) how.mode = kad::peer_mode::client;
    if (i > 0) how.bootstrap = all.front()->addresses();
    auto made = kad::node::open(context, crypto::identity::generate(context.random()), how);
    REQUIRE(made.has_value());
    all.push_back(std::move(*made));
  }
  return all;
}

/// Goes on until all know all, and hold what the first one has put.
coro::task<bool> come_together(swarm& all) {
  for (auto const& each : all) {
    auto const joined = co_await each->join();
    static_cast<void>(joined);  // the first one has nobody to ask yet
  }
  static constexpr std::size_t tries = 10'000;
  for (auto const& each : all) {
    bool const client = each == all.back();
    for (std::size_t i = 0; each->servers() < (client ? servers : servers - 1); ++i) {
      if (i == tries) co_return false;
      byte_array<2> const name = name_of(i);
      bytes const value = value_of(i);
      if (client) {
        auto const got = co_await each->get(name);
        if (!got) co_return false;
      } else {
        auto const put = co_await each->put_content(value);
        if (!put) co_return false;
      }
    }
  }
  kad::put_options how;
  how.quorum = kad::quorum::all();
  for (std::size_t i = 0; i < values; ++i) {
    byte_array<2> const name = name_of(i);
    bytes const value = value_of(i);
    auto const signed_one = co_await all.front()->put(name, value, how);
    auto const content = co_await all.front()->put_content(value, how);
    if (!signed_one || !signed_one->ok() || !content || !content->ok()) co_return false;
  }
  co_return true;
}

coro::task<bool> put(kad::node& by, bytes const& value, std::size_t) {
  kad::put_options how;
  how.quorum = kad::quorum::all();
  auto const receipt = co_await by.put_content(value, how);
  co_return receipt && receipt->ok();
}

coro::task<bool> get_content(kad::node& by, bytes const& value, std::size_t) {
  auto const key = kad::content_key(value);
  auto const got = co_await by.get_content(key);
  co_return got && got->found();
}

coro::task<bool> get_signed(kad::node& by, bytes const&, std::size_t i) {
  byte_array<2> const name = name_of(i);
  auto const got = co_await by.get(name);
  co_return got && got->found();
}

using operation = coro::task<bool> (*)(kad::node&, bytes const&, std::size_t);

/// The allocations of the cheapest of several batches: what a node does behind its user falls into some of them, what
/// an operation does, into all. Nothing if an operation fails.
coro::task<std::optional<std::uint64_t>> cheapest(kad::node& by, operation what) {
  std::vector<bytes> all;
  for (std::size_t i = 0; i < values; ++i) all.push_back(value_of(i));
  std::uint64_t least = ~std::uint64_t{0};
  for (std::size_t b = 0; b < batches; ++b) {
    std::uint64_t const before = allocations();
    for (std::size_t i = 0; i < batch; ++i) {
      bool const fine = co_await what(by, all[i % values], i);
      if (!fine) co_return std::nullopt;
    }
    least = std::min(least, allocations() - before);
  }
  co_return least;
}

coro::task<void> close_all(swarm& all) {
  for (auto const& each : all) {
    co_await each->close();
  }
}

}  // namespace

TEST_CASE("allocations: a warm GET, a warm PUT of what is held, and their answers make none") {
  if (!block_pool::enabled) {
    MESSAGE("skipped: a sanitizer has the allocator");
    return;
  }
#if !defined(__OPTIMIZE__)
  MESSAGE("skipped: without optimisation frames are larger than what the pool keeps");
  return;
#endif
  io_test::on_each(io_test::real_backends(), [](io::context& context, io_test::backend const&) {
    swarm all = open_swarm(context);
    bool const together = context.run(come_together(all));
    REQUIRE(together);

    std::uint64_t const before = allocations();
    ::operator delete(::operator new(1));  // a call, which no compiler leaves out as it may leave out a new
    CHECK(allocations() == before + 1);    // it counts

    for (operation const what : {&put, &get_content, &get_signed}) {
      kad::node& by = what == &put ? *all.front() : *all.back();
      auto const cost = context.run(cheapest(by, what));
      REQUIRE(cost.has_value());
      CHECK(*cost == 0);
    }
    context.run(close_all(all));
  });
}
