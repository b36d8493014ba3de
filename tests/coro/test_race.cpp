#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<int> log_after(duration length, std::vector<int>& log, int name) {
  result<void> const slept = co_await sleep_for(length);
  log.push_back(slept.has_value() ? name : -name);
  co_return slept.has_value() ? name : -name;
}

task<int> log_now(std::vector<int>& log, int name) {
  log.push_back(name);
  co_return name;
}

/// Hears the request, then takes its time.
task<int> slow_to_stop(duration after_request, std::vector<int>& log, int name) {
  result<void> const slept = co_await sleep_for(std::chrono::hours(1));
  CHECK_FALSE(slept.has_value());
  scheduler& sched = co_await this_scheduler();
  environment const alone(sched);
  task<int> rest = log_after(after_request, log, name);
  rest.set_environment(alone);
  co_return co_await std::move(rest);
}

task<int> throw_after(duration length) {
  result<void> const slept = co_await sleep_for(length);
  if (slept) throw std::runtime_error("thrown");
  co_return 0;
}

task<void> wait_for(event& e) {
  result<void> const waited = co_await e.wait();
  (void)waited;
}

task<std::unique_ptr<int>> boxed(int n) { co_return std::make_unique<int>(n); }

task<int> hold(tracked, event& until) {
  result<void> const waited = co_await until.wait();
  co_return waited.has_value() ? 1 : 0;
}

}  // namespace

TEST_CASE("race: the first wins, the others are cancelled and waited for") {
  manual_scheduler sched;
  std::vector<int> log;
  running<std::variant<int, int, int>> root(
      sched, race(slow_to_stop(seconds(3), log, 1), log_after(seconds(1), log, 2), log_after(seconds(2), log, 3)));
  sched.advance(seconds(1));
  CHECK(log == std::vector<int>{2, -3});
  CHECK_FALSE(root.done());
  sched.advance(seconds(3));
  std::variant<int, int, int> const got = root.take();
  CHECK(got.index() == 1);
  CHECK(std::get<1>(got) == 2);
  CHECK(log == std::vector<int>{2, -3, 1});
}

TEST_CASE("race: of those that complete in one step the lowest index wins") {
  manual_scheduler sched;
  event e;
  auto second_first = [](event& on) -> task<std::variant<std::monostate, std::monostate>> {
    co_return co_await race(wait_for(on), wait_for(on));
  };
  running<std::variant<std::monostate, std::monostate>> root(sched, second_first(e));
  sched.run_ready();
  e.set();
  sched.run_ready();
  CHECK(root.take().index() == 0);

  // The one with the higher index wakes first, in the same step.
  event first, second;
  running<std::variant<std::monostate, std::monostate>> reversed(sched, race(wait_for(first), wait_for(second)));
  sched.run_ready();
  second.set();
  first.set();
  sched.run_ready();
  CHECK(reversed.take().index() == 0);
}

TEST_CASE("race: what stands behind a task that completes at once is not started") {
  std::vector<int> log;
  std::variant<int, int, int> const got = run(race(log_after(seconds(1), log, 1), log_now(log, 2), log_now(log, 3)));
  CHECK(got.index() == 1);
  CHECK(log == std::vector<int>{2, -1});
}

TEST_CASE("race: values of different types, move-only and void") {
  std::vector<int> log;
  event never;
  std::variant<std::monostate, std::unique_ptr<int>> const got = run(race(wait_for(never), boxed(6)));
  REQUIRE(got.index() == 1);
  CHECK(*std::get<1>(got) == 6);
}

TEST_CASE("race: an exception of the first is thrown, of a loser it is dropped") {
  std::vector<int> log;
  CHECK_THROWS_WITH(run(race(log_after(seconds(2), log, 1), throw_after(seconds(1)))), "thrown");
  CHECK(log == std::vector<int>{-1});
  std::variant<int, int> const got = run(race(log_after(seconds(1), log, 2), throw_after(seconds(2))));
  CHECK(got.index() == 0);
}

TEST_CASE("race: a vector names the winner by index") {
  std::vector<int> log;
  std::vector<task<int>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(log_after(seconds(i == 3 ? 1 : 9), log, i + 1));
  race_result<int> const got = run(race(std::move(tasks)));
  CHECK(got.index == 3);
  CHECK(got.value == 4);
  CHECK(log == std::vector<int>{4, -1, -2, -3, -5});

  event set, never;
  set.set();
  std::vector<task<void>> waits;
  waits.push_back(wait_for(never));
  waits.push_back(wait_for(set));
  CHECK(run(race(std::move(waits))).index == 1);
}

TEST_CASE("race: cancellation of the awaiter reaches all, the lowest index answers") {
  manual_scheduler sched;
  cancel_source source;
  std::vector<int> log;
  running<std::variant<int, int>> root(sched, race(log_after(seconds(1), log, 1), log_after(seconds(2), log, 2)),
                                       source.token());
  sched.run_ready();
  source.request();
  sched.run_ready();
  std::variant<int, int> const got = root.take();
  CHECK(got.index() == 0);
  CHECK(std::get<0>(got) == -1);
}

TEST_CASE("race: destroyed while it waits, also between the win and the end, it destroys the children") {
  manual_scheduler sched;
  event never, go;
  int alive = 0;
  std::vector<int> log;
  {
    running<std::variant<int, int>> root(sched, race(hold(tracked(alive), never), hold(tracked(alive), never)));
    sched.run_ready();
    CHECK(alive == 2);
  }
  CHECK(alive == 0);
  {
    running<std::variant<int, int>> root(sched, race(slow_to_stop(seconds(3), log, 1), hold(tracked(alive), go)));
    sched.run_ready();
    go.set();
    sched.run_ready();
    CHECK(alive == 0);
    CHECK_FALSE(root.done());
  }
  CHECK(sched.idle());
  CHECK(log.empty());
}
