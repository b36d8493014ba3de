#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<void> sleep_and_log(duration length, std::vector<int>& log, int name) {
  result<void> const slept = co_await sleep_for(length);
  log.push_back(slept.has_value() ? name : -name);
}

task<time_point> wake_at(time_point due) {
  result<void> const slept = co_await sleep_until(due);
  CHECK(slept.has_value());
  scheduler& sched = co_await this_scheduler();
  co_return sched.now();
}

}  // namespace

TEST_CASE("sleep: wakes at its time, equal times in the order of arming") {
  manual_scheduler sched;
  std::vector<int> log;
  running<void> a(sched, sleep_and_log(seconds(2), log, 1));
  running<void> b(sched, sleep_and_log(seconds(1), log, 2));
  running<void> c(sched, sleep_and_log(seconds(2), log, 3));
  sched.advance(milliseconds(999));
  CHECK(log.empty());
  sched.advance(milliseconds(1));
  CHECK(log == std::vector<int>{2});
  sched.advance(seconds(1));
  CHECK(log == std::vector<int>{2, 1, 3});
}

TEST_CASE("sleep: until an instant, also one that has passed") {
  CHECK(run(wake_at(time_point(seconds(5)))) == time_point(seconds(5)));
  manual_scheduler sched;
  sched.advance(seconds(9));
  running<time_point> root(sched, wake_at(time_point(seconds(5))));
  sched.run_until_idle();
  CHECK(root.take() == time_point(seconds(9)));
}

TEST_CASE("sleep: for no time at all still lets the others run") {
  manual_scheduler sched;
  std::vector<int> log;
  auto now = [](std::vector<int>& to) -> task<void> {
    to.push_back(2);
    co_return;
  };
  running<void> a(sched, sleep_and_log(seconds(0), log, 1));
  running<void> b(sched, now(log));
  sched.run_until_idle();
  CHECK(log == std::vector<int>{2, 1});
}

TEST_CASE("sleep: cancellation wakes it early, in a later step, and the timer is gone") {
  manual_scheduler sched;
  cancel_source source;
  std::vector<int> log;
  running<void> root(sched, sleep_and_log(seconds(1), log, 1), source.token());
  sched.run_ready();
  source.request();
  CHECK(log.empty());
  sched.run_ready();
  CHECK(log == std::vector<int>{-1});
  CHECK(sched.armed() == 0);
}

TEST_CASE("sleep: for ever means for ever") {
  manual_scheduler sched;
  sched.advance(seconds(1));
  cancel_source source;
  std::vector<int> log;
  running<void> root(sched, sleep_and_log(duration::max(), log, 1), source.token());
  sched.advance(std::chrono::hours(24 * 365));
  CHECK_FALSE(root.done());
  source.request();
  sched.run_ready();
  CHECK(root.done());
}

TEST_CASE("sleep: a frame destroyed while it sleeps disarms its timer") {
  manual_scheduler sched;
  std::vector<int> log;
  {
    running<void> root(sched, sleep_and_log(seconds(1), log, 1));
    sched.run_ready();
    CHECK(sched.armed() == 1);
  }
  CHECK(sched.armed() == 0);
  sched.advance(seconds(2));
  CHECK(log.empty());
}
