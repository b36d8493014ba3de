#include <doctest/doctest.h>

#include <utility>

#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "passing_transport.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

/// A transport whose farewell takes its time, and that listens when it is asked to stop, or does not.
class slow_transport final : public passing_transport {
 public:
  slow_transport(std::unique_ptr<transport> inner, duration farewell, bool listens)
      : passing_transport(std::move(inner)), farewell_(farewell), listens_(listens) {}

  coro::task<void> close() override {
    coro::environment const outer = co_await coro::this_environment();
    if (listens_) {
      auto const over = co_await coro::sleep_for(farewell_);
      static_cast<void>(over);
    } else {
      time_point const end = outer.sched().now() + farewell_;
      coro::scope deaf(outer.sched());  // without the caller's cancellation
      deaf.spawn(rest(farewell_));
      co_await deaf.join();
      CHECK(outer.sched().now() >= end);
    }
    co_await inner_->close();
  }

 private:
  static coro::task<void> rest(duration how_long) {
    auto const over = co_await coro::sleep_for(how_long);
    static_cast<void>(over);
  }

  duration farewell_;
  bool listens_;
};

struct farewell {
  simulated_swarm swarm{7};
  duration took{};
  result<void> outcome;

  void open(transport_factory transport) {
    swarm.add();
    node_options options;
    options.transport = std::move(transport);
    swarm.add(options);
    swarm.join_all();
    REQUIRE(swarm.nodes[0]->table().size() == 1);
  }
  void close(duration limit) {
    time_point const begun = swarm.world.now();
    outcome = swarm.hosts[1]->run(swarm.nodes[1]->close(limit));
    took = swarm.world.now() - begun;
  }
};

}  // namespace

TEST_CASE("close within a limit: it is over as soon as everything is said, and others hear it") {
  farewell f;
  f.open(open_datagram);
  f.close(10s);
  CHECK(f.outcome.has_value());
  CHECK(f.took < 100ms);
  f.swarm.world.run_for(100ms);
  CHECK(f.swarm.nodes[0]->table().size() == 0);
  f.swarm.nodes[1].reset();  // closed: nothing is said about it
}

TEST_CASE("close within a limit: with none at all there is time for goodbyes") {
  farewell f;
  f.open(open_datagram);
  f.close(0s);
  f.swarm.nodes[1].reset();
  f.swarm.world.run_for(100ms);
  CHECK(f.swarm.nodes[0]->table().size() == 0);
}

TEST_CASE("close within a limit: what takes longer is abandoned") {
  farewell f;
  f.open(passing_transport::around_datagrams<slow_transport>(duration(1h), true));
  f.close(2s);
  REQUIRE_FALSE(f.outcome.has_value());
  CHECK(f.outcome.error() == errc::timed_out);
  CHECK(f.outcome.error().message().find("2000 ms") != std::string::npos);
  CHECK(f.took == 2s);
  f.swarm.world.run_for(100ms);  // it was asked to stop, and did
  CHECK(f.swarm.nodes[0]->table().size() == 0);
  time_point const begun = f.swarm.world.now();
  f.swarm.hosts[1]->run(f.swarm.nodes[1]->close());
  CHECK(f.swarm.world.now() - begun < 1ms);
}

TEST_CASE("close within a limit: what does not listen goes on alone; the node and its host may go") {
  farewell f;
  f.open(passing_transport::around_datagrams<slow_transport>(duration(1h), false));
  f.close(2s);
  CHECK(f.outcome.error() == errc::timed_out);
  CHECK(f.took == 2s);
  f.swarm.nodes[1].reset();
  SUBCASE("the host goes on") {
    f.swarm.world.run_for(2h);
    CHECK(f.swarm.nodes[0]->table().size() == 0);
  }
  SUBCASE("the host goes, too") { f.swarm.hosts[1]->crash(); }
}

TEST_CASE("close within a limit: what is under way ends, and any number may wait") {
  farewell f;
  f.open(open_datagram);
  f.swarm.hosts[0]->pause();
  static constexpr auto put = [](node& n) -> coro::task<void> {
    auto const receipt = co_await n.put(as_bytes("key"), as_bytes("value"));
    REQUIRE(receipt.has_value());
    CHECK_FALSE(receipt->ok());
  };
  static constexpr auto close = [](node& n, int& done) -> coro::task<void> {
    auto const closed = co_await n.close(1s);
    CHECK(closed.has_value());
    ++done;
  };
  int done = 0;
  f.swarm.hosts[1]->spawn(put(*f.swarm.nodes[1]));
  f.swarm.world.run_for(10ms);
  f.swarm.hosts[1]->spawn(close(*f.swarm.nodes[1], done));
  f.swarm.hosts[1]->spawn(close(*f.swarm.nodes[1], done));
  f.swarm.world.run_for(10ms);
  CHECK(done == 2);
  f.swarm.hosts[0]->resume();
}
