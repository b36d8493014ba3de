#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<int> value_after(duration length, int value) {
  result<void> const slept = co_await sleep_for(length);
  co_return slept.has_value() ? value : -value;
}

task<int> value_now(int value) { co_return value; }

task<void> log_after(duration length, std::vector<int>& log, int name) {
  result<void> const slept = co_await sleep_for(length);
  log.push_back(slept.has_value() ? name : -name);
}

task<int> throw_after(duration length, std::string what) {
  result<void> const slept = co_await sleep_for(length);
  if (slept) throw std::runtime_error(what);
  co_return 0;
}

task<int> throw_now() {
  throw std::runtime_error("now");
  co_return 0;
}

task<std::unique_ptr<int>> boxed(int n) { co_return std::make_unique<int>(n); }

task<int> hold(tracked, event& until) {
  result<void> const waited = co_await until.wait();
  co_return waited.has_value() ? 1 : 0;
}

task<std::uint64_t> many_pairs(std::uint64_t count) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::tuple<int, int> const both = co_await when_all(value_now(1), value_now(2));
    sum += static_cast<std::uint64_t>(std::get<0>(both) + std::get<1>(both));
  }
  co_return sum;
}

}  // namespace

TEST_CASE("when_all: gives all values, in the order of the tasks, when the last has ended") {
  manual_scheduler sched;
  std::vector<int> log;
  running<std::tuple<int, std::monostate, std::unique_ptr<int>>> root(
      sched, when_all(value_after(seconds(2), 1), log_after(seconds(1), log, 5), boxed(3)));
  sched.advance(seconds(1));
  CHECK(log == std::vector<int>{5});
  CHECK_FALSE(root.done());
  sched.advance(seconds(1));
  auto const got = root.take();
  CHECK(std::get<0>(got) == 1);
  CHECK(*std::get<2>(got) == 3);
}

TEST_CASE("when_all: of nothing completes at once") {
  CHECK(run(when_all()) == std::tuple<>());
  CHECK(run(when_all(std::vector<task<int>>())).empty());
  run(when_all(std::vector<task<void>>()));
}

TEST_CASE("when_all: a vector of tasks gives a vector of values") {
  std::vector<task<int>> tasks;
  for (int i = 0; i < 100; ++i) tasks.push_back(value_after(seconds(100 - i), i));
  std::vector<int> const got = run(when_all(std::move(tasks)));
  REQUIRE(got.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(got[static_cast<std::size_t>(i)] == i);

  std::vector<int> log;
  std::vector<task<void>> procedures;
  procedures.push_back(log_after(seconds(2), log, 1));
  procedures.push_back(log_after(seconds(1), log, 2));
  run(when_all(std::move(procedures)));
  CHECK(log == std::vector<int>{2, 1});
}

TEST_CASE("when_all: the first exception cancels the others, which are waited for") {
  manual_scheduler sched;
  std::vector<int> log;
  running<std::tuple<int, std::monostate, int>> root(
      sched,
      when_all(throw_after(seconds(2), "late"), log_after(seconds(9), log, 1), throw_after(seconds(1), "first")));
  sched.advance(seconds(1));
  CHECK(log == std::vector<int>{-1});
  CHECK_THROWS_WITH(root.take(), "first");

  std::vector<task<int>> tasks;
  tasks.push_back(value_after(seconds(9), 1));
  tasks.push_back(throw_now());
  CHECK_THROWS_WITH(run(when_all(std::move(tasks))), "now");
}

TEST_CASE("when_all: cancellation of the awaiter reaches all") {
  manual_scheduler sched;
  cancel_source source;
  running<std::tuple<int, int>> root(sched, when_all(value_after(seconds(1), 1), value_after(seconds(2), 2)),
                                     source.token());
  sched.run_ready();
  source.request();
  sched.run_ready();
  CHECK(root.take() == std::tuple(-1, -2));
}

TEST_CASE("when_all: destroyed while it waits, it destroys the children") {
  manual_scheduler sched;
  event never;
  int alive = 0;
  {
    running<std::tuple<int, int>> root(sched, when_all(hold(tracked(alive), never), hold(tracked(alive), never)));
    sched.run_ready();
    CHECK(alive == 2);
  }
  CHECK(alive == 0);
  CHECK(sched.idle());
}

TEST_CASE("when_all: a loop over pairs that complete at once runs in constant stack") {
  CHECK(run(many_pairs(200'000)) == 600'000);
}
