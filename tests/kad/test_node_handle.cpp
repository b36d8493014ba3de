#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/kad/node_handle.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

template <class T>
bool is_ready(std::future<T> const& f) {
  return f.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

/// Two nodes on loopback.
struct pair {
  io::asio::context context;
  std::unique_ptr<node> seed;
  std::unique_ptr<node> member;

  pair() {
    node_options options;
    options.listen = *io::endpoint::parse("127.0.0.1:0");
    seed = std::move(node::open(context, crypto::identity::generate(context.random()), options).value());
    options.bootstrap = seed->addresses();
    member = std::move(node::open(context, crypto::identity::generate(context.random()), options).value());
    auto const joined = context.run(member->join());
    REQUIRE(joined.has_value());
  }

  static coro::task<void> close(node& a, node& b) {
    co_await a.close();
    co_await b.close();
  }
  void close() { context.run(close(*seed, *member)); }
};

coro::task<void> until_set(coro::event& what) {
  auto const woken = co_await what.wait();
  static_cast<void>(woken);
}

}  // namespace

TEST_CASE("node_handle: threads put, get and withdraw, by futures, while the context runs in its own") {
  static constexpr int threads = 4;
  static constexpr int each = 20;
  pair two;
  node_handle const handle(*two.member);
  auto const inbox = two.context.inbox();
  coro::event done;
  std::atomic<int> ended = 0;
  std::atomic<int> good = 0;
  std::vector<std::thread> working;
  for (int t = 0; t < threads; ++t)
    working.emplace_back([&, t, mine = handle] {
      for (int i = 0; i < each; ++i) {
        std::string const key = "key " + std::to_string(t) + " " + std::to_string(i);
        auto const receipt = mine.put(as_bytes(key), as_bytes("value")).get();
        bool fine = receipt && receipt->ok() && receipt->stored() == 1 && !receipt->explain().empty();
        auto const got = mine.get(as_bytes(key), {quorum::majority()}).get();
        fine = fine && got && got->found() && as_text(got->records().front().value.value) == "value";
        fine = fine && !got->steps().to_text().empty();
        auto const gone = mine.withdraw(as_bytes(key)).get();
        fine = fine && gone && gone->ok();
        auto const after = mine.get(as_bytes(key), {quorum::majority()}).get();
        fine = fine && after && after->outcome() == get_outcome::not_found;
        good += fine ? 1 : 0;
      }
      if (++ended == threads) {
        auto const posted = inbox->post([&] { done.set(); });
        if (!posted) std::abort();
      }
    });
  two.context.run(until_set(done));
  for (std::thread& t : working) t.join();
  CHECK(good == threads * each);
  CHECK(handle.under_way() == 0);
  two.close();
}

TEST_CASE("node_handle: a callback is called on the context's thread; many at once, all answered") {
  static constexpr int count = 200;
  pair two;
  node_handle const handle(*two.member);
  auto const home = std::this_thread::get_id();
  coro::event done;
  int stored = 0;
  int at_home = 0;
  std::thread other([&] {
    for (int i = 0; i < count; ++i) {
      std::string const key = "key " + std::to_string(i);
      auto const taken = handle.put(as_bytes(key), as_bytes("value"), {}, [&](result<put_receipt> const& receipt) {
        stored += receipt && receipt->ok() ? 1 : 0;
        at_home += std::this_thread::get_id() == home ? 1 : 0;
        if (at_home == count) done.set();
      });
      if (!taken) std::abort();
    }
  });
  two.context.run(until_set(done));
  other.join();
  CHECK(stored == count);
  CHECK(at_home == count);
  two.close();
}

TEST_CASE("node_handle: a receipt that left does not change any more") {
  pair two;
  node_handle const handle(*two.member);
  std::optional<put_receipt> said;
  coro::event done;
  auto const taken = handle.put(as_bytes("key"), as_bytes("value"), {}, [&](result<put_receipt> receipt) {
    if (receipt) said = std::move(*receipt);
    done.set();
  });
  CHECK(taken.has_value());
  two.context.run(until_set(done));
  REQUIRE(said.has_value());
  CHECK(said->replicas().front().now == replica::state::stored);
  put_receipt const copy = said->snapshot();
  CHECK(&copy.replicas() != &said->replicas());
  CHECK(copy.explain() == said->explain());
  auto const settled = two.context.run(copy.settled());
  CHECK(settled.has_value());
  two.close();
}

TEST_CASE("node_handle: after the node has closed or gone, and after its context has, everything is closed") {
  std::optional<node_handle> handle;
  std::future<result<put_receipt>> waiting;
  int called = 0;
  {
    pair two;
    handle.emplace(*two.member);
    two.close();
    auto const closed = [&] {
      coro::event done;
      auto const put = handle->put(as_bytes("key"), as_bytes("value"), {}, [&](result<put_receipt> const& receipt) {
        called += !receipt && receipt.error() == errc::closed ? 1 : 0;
        done.set();
      });
      CHECK(put.has_value());
      two.context.run(until_set(done));
    };
    closed();
    CHECK(called == 1);
    two.member.reset();
    closed();
    CHECK(called == 2);
    waiting = handle->put(as_bytes("key"), as_bytes("value"));  // nobody runs the context any more
    auto const put = handle->get(as_bytes("key"), {}, [&called](result<get_result> const& got) {
      called += !got && got.error() == errc::closed ? 1 : 0;
    });
    CHECK(put.has_value());
    CHECK_FALSE(is_ready(waiting));
    CHECK(handle->under_way() == 2);
  }
  REQUIRE(is_ready(waiting));
  CHECK(waiting.get().error() == errc::closed);
  CHECK(called == 3);
  CHECK(handle->under_way() == 0);
  std::thread other([copy = *handle] {
    auto got = copy.get(as_bytes("key")).get();
    CHECK(got.error() == errc::closed);
    auto const taken = copy.get(as_bytes("key"), {}, [](result<get_result> const&) { std::abort(); });
    CHECK_FALSE(taken.has_value());
  });
  other.join();
}

TEST_CASE("node_handle: requests under way when the context goes are closed") {
  std::future<result<get_result>> got;
  std::future<result<put_receipt>> put;
  {
    simulated_swarm swarm(3);
    swarm.add();
    swarm.add();
    swarm.join_all();
    node_handle const handle(*swarm.nodes[1]);
    swarm.hosts[0]->pause();  // so that nobody answers
    put = handle.put(as_bytes("key"), as_bytes("value"));
    got = handle.get(as_bytes("key"), {quorum::all()});
    swarm.world.run_for(100ms);
    CHECK(handle.under_way() == 2);
    SUBCASE("the host crashes") { swarm.crash(1); }
    SUBCASE("the node closes") {
      swarm.hosts[1]->run(swarm.nodes[1]->close());
      swarm.world.run_for(1ms);
      CHECK(is_ready(put));
      CHECK(is_ready(got));
    }
    SUBCASE("the node is destroyed") {
      swarm.nodes[1].reset();
      swarm.world.run_for(1s);
      CHECK(is_ready(put));
      CHECK(is_ready(got));
    }
    swarm.hosts[0]->resume();
    CHECK(handle.under_way() == 0);
  }
  REQUIRE(is_ready(put));
  REQUIRE(is_ready(got));
  CHECK(put.get().error() == errc::closed);
  CHECK(got.get().error() == errc::closed);
}

TEST_CASE("node_handle: it is bounded, and bounded again when there is room") {
  simulated_swarm swarm(4);
  swarm.add();
  swarm.add();
  swarm.join_all();
  node_handle const handle(*swarm.nodes[1], 2);
  node_handle const copy = handle;
  auto first = handle.get(as_bytes("key"));
  auto second = copy.get(as_bytes("key"));
  auto third = handle.get(as_bytes("key"));
  REQUIRE(is_ready(third));
  CHECK(third.get().error() == errc::queue_full);
  int called = 0;
  auto const taken = copy.get(as_bytes("key"), {}, [&called](result<get_result> const&) { ++called; });
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error() == errc::queue_full);
  swarm.world.run_for(1s);
  CHECK(called == 0);
  CHECK(first.get()->outcome() == get_outcome::not_found);
  CHECK(second.get()->outcome() == get_outcome::not_found);
  CHECK(handle.under_way() == 0);
  CHECK_FALSE(is_ready(handle.get(as_bytes("key"))));
  swarm.world.run_for(1s);
}

TEST_CASE("node_handle: on the simulator's own thread a run is the same every time") {
  auto const trace = [] {
    simulated_swarm swarm(5);
    for (int i = 0; i < 5; ++i) swarm.add();
    swarm.join_all();
    node_handle const handle(*swarm.nodes[3]);
    auto put = handle.put(as_bytes("key"), as_bytes("value"), {});
    swarm.world.run_for(1s);
    CHECK(put.get()->ok());
    return swarm.world.trace_hash();
  };
  CHECK(trace() == trace());
}
