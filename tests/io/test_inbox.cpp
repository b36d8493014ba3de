#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backends.hpp"
#include "kadoro/coro/event.hpp"

using namespace io_test;
using io::endpoint;

namespace {

coro::task<void> until_set(coro::event& what) {
  auto const woken = co_await what.wait();
  static_cast<void>(woken);
}

/// Says how it ended.
class noted final : public io::inbox::work {
 public:
  noted(int& runs, int& drops) : runs_(runs), drops_(drops) {}
  ~noted() override { drops_ += ran_ ? 0 : 1; }
  void run() override {
    ran_ = true;
    ++runs_;
  }

 private:
  int& runs_;
  int& drops_;
  bool ran_ = false;
};

}  // namespace

TEST_CASE("inbox, backends: what threads post runs on the context's thread, each thread's in its order") {
  on_each(real_backends(), [](io::context& context, backend const&) {
    static constexpr int threads = 4;
    static constexpr int each = 500;
    auto const inbox = context.inbox();
    std::vector<int> last(threads, -1);
    int in_order = 0;
    int here = 0;
    coro::event done;
    auto const home = std::this_thread::get_id();
    std::vector<std::thread> posting;
    for (int t = 0; t < threads; ++t)
      posting.emplace_back([&, t] {
        for (int i = 0; i < each; ++i) {
          auto const taken = inbox->post([&, t, i] {
            in_order += last[static_cast<std::size_t>(t)] + 1 == i ? 1 : 0;
            last[static_cast<std::size_t>(t)] = i;
            here += std::this_thread::get_id() == home ? 1 : 0;
            if (here == threads * each) done.set();
          });
          if (!taken) std::abort();
        }
      });
    context.run(until_set(done));
    for (std::thread& t : posting) t.join();
    CHECK(in_order == threads * each);
    CHECK(here == threads * each);
  });
}

TEST_CASE("inbox, backends: one that is taken while the context runs is waited for, too") {
  on_each(real_backends(), [](io::context& context, backend const&) {
    static constexpr auto ask = [](io::context& of, std::thread& other) -> coro::task<void> {
      coro::event answered;
      other = std::thread([inbox = of.inbox(), &answered]() mutable {
        auto const taken = inbox->post([&answered] { answered.set(); });
        if (!taken) std::abort();
        inbox.reset();
      });
      auto const woken = co_await answered.wait();
      static_cast<void>(woken);
    };
    std::thread other;
    context.run(ask(context, other));
    other.join();
  });
}

TEST_CASE("inbox, backends: it wakes a context that has nothing to do, and may be posted to from inside") {
  on_each(real_backends(), [](io::context& context, backend const&) {
    auto const inbox = context.inbox();
    coro::event done;
    std::thread other;
    auto const first = inbox->post([&] {
      other = std::thread([&] {
        auto const taken = inbox->post([&] {
          auto const again = inbox->post([&] { done.set(); });
          CHECK(again.has_value());
        });
        if (!taken) std::abort();
      });
    });
    CHECK(first.has_value());
    CHECK(inbox->waiting());
    context.run(until_set(done));
    other.join();
    CHECK_FALSE(inbox->waiting());
  });
}

TEST_CASE("inbox: it outlives its context, drops what waits, and takes nothing any more") {
  for (backend const& each : all_backends()) {
    int runs = 0;
    int drops = 0;
    std::shared_ptr<io::inbox> inbox;
    {
      auto const made = open_or_pass_over(each);
      if (!made) continue;
      inbox = made->context->inbox();
      std::unique_ptr<io::inbox::work> what = std::make_unique<noted>(runs, drops);
      CHECK(inbox->post(what).has_value());
      CHECK(what == nullptr);
    }
    CHECK(runs == 0);
    CHECK(drops == 1);
    std::unique_ptr<io::inbox::work> late = std::make_unique<noted>(runs, drops);
    auto const taken = inbox->post(late);
    REQUIRE_FALSE(taken.has_value());
    CHECK(taken.error() == errc::closed);
    CHECK(late != nullptr);  // still the caller's
    CHECK(drops == 1);
  }
}

TEST_CASE("inbox: it is bounded") {
  on_each(all_backends(), [](io::context& context, backend const&) {
    auto const inbox = context.inbox();
    std::size_t taken = 0;
    while (inbox->post([] {})) ++taken;
    CHECK(taken == io::inbox::max_waiting);
    auto const over = inbox->post([] {});
    REQUIRE_FALSE(over.has_value());
    CHECK(over.error() == errc::queue_full);
  });
}

TEST_CASE("inbox, sim: on its own thread it is a post like any other, never inline, in order") {
  io::sim::world world(1);
  io::sim::context host(world, endpoint::v4({10, 0, 0, 1}, 0));
  auto const inbox = host.inbox();
  std::string said;
  coro::event done;
  CHECK(inbox->post([&] { said += "a"; }).has_value());
  CHECK(inbox
            ->post([&] {
              said += "b";
              CHECK(inbox
                        ->post([&] {
                          said += "d";
                          done.set();
                        })
                        .has_value());
              said += "c";
            })
            .has_value());
  CHECK(said.empty());
  host.run(until_set(done));
  CHECK(said == "abcd");
  CHECK(world.now() == time_point(std::chrono::hours(1000)));  // no time has passed
}

TEST_CASE("inbox, sim: what another thread posts runs at the host's next turn; a crash drops it") {
  io::sim::world world(1);
  io::sim::context host(world, endpoint::v4({10, 0, 0, 1}, 0));
  auto const inbox = host.inbox();
  int runs = 0;
  int drops = 0;
  auto const post_elsewhere = [&] {
    std::thread([&] {
      std::unique_ptr<io::inbox::work> what = std::make_unique<noted>(runs, drops);
      if (!inbox->post(what)) std::abort();
    }).join();
  };
  post_elsewhere();
  world.run_until_idle(1000);
  CHECK(runs == 0);
  coro::event done;
  CHECK(inbox->post([&] { done.set(); }).has_value());
  host.run(until_set(done));
  CHECK(runs == 1);
  post_elsewhere();
  host.crash();
  CHECK(drops == 1);
  CHECK_FALSE(inbox->post([] {}).has_value());
  CHECK_FALSE(host.inbox()->post([] {}).has_value());
}
