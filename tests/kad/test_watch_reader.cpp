#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/kad/node_handle.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

using kind = watch_event::kind;

coro::task<void> until_set(coro::event& what) {
  auto const woken = co_await what.wait();
  static_cast<void>(woken);
}

coro::task<void> close_both(node& a, node& b) {
  co_await a.close();
  co_await b.close();
}

/// Two nodes on loopback, whose context lives and runs in a thread of its own; it stops to run at `close`.
class served_pair {
 public:
  served_pair() {
    auto opened = opened_.get_future();
    auto const destroy = destroy_.get_future().share();
    thread_ = std::thread([this, destroy] { serve(destroy); });
    opened.get();
  }
  ~served_pair() {
    close();
    destroy_.set_value();
    thread_.join();
  }

  void close() {
    if (std::exchange(closed_already_, true)) return;
    auto closed = closed_.get_future();
    if (!inbox_->post([this] { stop_.set(); })) std::abort();
    closed.get();
  }

  std::optional<node_handle> seed;
  std::optional<node_handle> member;

 private:
  void serve(std::shared_future<void> const& destroy) {
    io::asio::context context;
    node_options options;
    options.listen = *io::endpoint::parse("127.0.0.1:0");
    auto a = node::open(context, crypto::identity::generate(context.random()), options).value();
    options.bootstrap = a->addresses();
    auto b = node::open(context, crypto::identity::generate(context.random()), options).value();
    if (!context.run(b->join())) std::abort();
    seed.emplace(*a);
    member.emplace(*b);
    inbox_ = context.inbox();
    opened_.set_value();
    context.run(until_set(stop_));
    context.run(close_both(*a, *b));
    closed_.set_value();
    destroy.get();
  }

  std::promise<void> opened_;
  std::promise<void> closed_;
  std::promise<void> destroy_;
  bool closed_already_ = false;
  std::shared_ptr<io::inbox> inbox_;
  coro::event stop_;
  std::thread thread_;
};

/// Reads until `value` came.
std::vector<std::string> read_until(watch_reader& from, std::string const& value) {
  std::vector<std::string> out;
  for (;;) {
    auto const e = from.next();
    if (!e) break;
    out.push_back(std::string(to_string(e->what)) + " " + std::string(as_text(e->found.value.value)));
    if (as_text(e->found.value.value) == value) break;
  }
  return out;
}

}  // namespace

TEST_CASE("watch_reader: threads read one key while others write it, and all see the last word of each") {
  static constexpr int readers = 4;
  static constexpr int changes = 40;
  served_pair two;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int r = 0; r < readers; ++r)
    threads.emplace_back([&good, r, handle = r % 2 == 0 ? *two.member : *two.seed] {
      auto changes_of = handle.watch(as_bytes("key"), static_cast<std::size_t>(1 + r));
      if (!changes_of) return;
      int last_words = 0;
      while (last_words < 2) {
        auto const e = changes_of->next();
        if (!e) return;
        last_words += as_text(e->found.value.value) == "last" ? 1 : 0;
      }
      good += changes_of->next(0s).error() == errc::timed_out ? 1 : 0;
    });
  for (node_handle const& writer : {*two.member, *two.seed})
    threads.emplace_back([writer] {
      for (int i = 0; i < changes; ++i) {
        std::string const value = i + 1 == changes ? "last" : "value " + std::to_string(i);
        auto const receipt = writer.put(as_bytes("key"), as_bytes(value)).get();
        if (!receipt) std::abort();
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(good == readers);
}

TEST_CASE("watch_reader: readers come and go while the key changes") {
  served_pair two;
  std::atomic<bool> over = false;
  std::atomic<int> seen = 0;
  std::vector<std::thread> threads;
  for (int r = 0; r < 3; ++r)
    threads.emplace_back([&over, &seen, handle = *two.member] {
      while (!over) {
        auto changes = handle.watch(as_bytes("key"), 2);
        if (!changes) std::abort();
        auto const e = changes->next(10s);
        seen += e ? 1 : 0;
        if (e && seen % 2 == 0) changes->close();
      }
    });
  for (int i = 0; i < 60; ++i) {
    auto const receipt = two.seed->put(as_bytes("key"), as_bytes(std::to_string(i))).get();
    if (!receipt) std::abort();
  }
  over = true;
  for (std::thread& t : threads) t.join();
  CHECK(seen > 0);
}

TEST_CASE("watch_reader: who waits hears that the node has closed, or that the context has gone") {
  std::optional<watch_reader> left;
  std::optional<node_handle> handle;
  {
    served_pair two;
    handle = *two.member;
    left.emplace(std::move(two.member->watch(as_bytes("key")).value()));
    auto waiting = two.member->watch(as_bytes("other")).value();
    std::atomic<bool> heard = false;
    std::thread reader([&] { heard = waiting.next().error() == errc::closed; });
    two.close();
    reader.join();
    CHECK(heard);
    CHECK(waiting.next().error() == errc::closed);
    auto late = two.member->watch(as_bytes("key")).value();  // nobody runs the context any more
    CHECK(late.next(0s).error() == errc::timed_out);
    left.emplace(std::move(late));
  }
  CHECK(left->next().error() == errc::closed);
  auto const over = handle->watch(as_bytes("key"));
  REQUIRE_FALSE(over.has_value());
  CHECK(over.error() == errc::closed);
}

TEST_CASE("watch_reader: it is bounded, and of each publisher the last word waits") {
  simulated_swarm swarm(1);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  node_handle const handle(*swarm.nodes[2]);
  auto changes = handle.watch(as_bytes("key"), 3);
  REQUIRE(changes.has_value());
  swarm.world.run_for(1s);
  for (int i = 0; i < 50; ++i) {
    CHECK(swarm.put(0, "key", "a" + std::to_string(i)).ok());
    CHECK(swarm.put(1, "key", "b" + std::to_string(i)).ok());
    swarm.world.run_for(100ms);
  }
  std::vector<std::string> read;
  for (int i = 0; i < 20; ++i) {
    for (;;) {
      auto const e = changes->next(0s);
      if (!e) break;
      read.push_back(std::string(to_string(e->what)) + " " + std::string(as_text(e->found.value.value)));
    }
    swarm.world.run_for(10ms);
  }
  REQUIRE(read.size() >= 4);
  CHECK(read.size() <= 6);  // three that waited here, and one or two of each publisher behind them
  CHECK(read[0] == "add a0");
  std::map<char, std::string> last;
  for (std::string const& text : read) last[text[text.find(' ') + 1]] = text.substr(text.find(' ') + 1);
  CHECK(last['a'] == "a49");
  CHECK(last['b'] == "b49");
  CHECK(swarm.withdraw(0, "key").ok());
  swarm.world.run_for(1s);
  auto const gone = changes->next(0s);
  REQUIRE(gone.has_value());
  CHECK(gone->what == kind::gone);
}

TEST_CASE("watch_reader: closed here it ends at once, and the node watches no longer; moved, it goes on") {
  simulated_swarm swarm(2);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  node_handle const handle(*swarm.nodes[2]);
  auto first = handle.watch(as_bytes("key")).value();
  auto second = handle.watch(as_bytes("key")).value();
  swarm.world.run_for(1s);
  CHECK(swarm.put(0, "key", "v").ok());
  swarm.world.run_for(1s);
  first.close();
  CHECK(first.next().error() == errc::closed);
  watch_reader moved = std::move(second);
  CHECK(read_until(moved, "v") == std::vector<std::string>{"add v"});
  auto third = handle.watch(as_bytes("key")).value();
  moved = std::move(third);
  swarm.world.run_for(1s);
  CHECK(read_until(moved, "v") == std::vector<std::string>{"add v"});
  auto const no_key = handle.watch({});
  REQUIRE(no_key.has_value());
  auto none = handle.watch(as_bytes("key"), 0);
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error() == errc::invalid_argument);
}

TEST_CASE("watch_reader: a key that cannot be watched comes out of the reader; so does a crash") {
  simulated_swarm swarm(3);
  swarm.add();
  swarm.add();
  swarm.join_all();
  node_handle const handle(*swarm.nodes[1]);
  auto wrong = handle.watch({}).value();
  auto right = handle.watch(as_bytes("key")).value();
  swarm.world.run_for(1s);
  CHECK(wrong.next().error() == errc::invalid_argument);
  CHECK(right.next(0s).error() == errc::timed_out);
  SUBCASE("the host crashes") { swarm.crash(1); }
  SUBCASE("the node closes while the reader reads nothing") {
    auto full = handle.watch(as_bytes("key"), 1).value();
    CHECK(swarm.put(0, "key", "v").ok());
    CHECK(swarm.put(1, "key", "w").ok());
    swarm.world.run_for(1s);
    swarm.hosts[1]->run(swarm.nodes[1]->close());
    CHECK(full.next().has_value());
    CHECK(full.next().error() == errc::closed);
    while (right.next()) {
    }
  }
  SUBCASE("the node is destroyed") {
    swarm.nodes[1].reset();
    swarm.world.run_for(1s);
  }
  CHECK(right.next().error() == errc::closed);
}
