#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<void> log_around_yield(std::vector<int>& log, int name) {
  log.push_back(name);
  co_await yield();
  log.push_back(-name);
}

}  // namespace

TEST_CASE("yield: goes behind what is ready, at the same time, without a timer") {
  manual_scheduler sched;
  std::vector<int> log;
  running<void> a(sched, log_around_yield(log, 1));
  running<void> b(sched, log_around_yield(log, 2));
  sched.run_ready();
  CHECK(log == std::vector<int>{1, 2, -1, -2});
  CHECK(sched.armed() == 0);
}

TEST_CASE("yield: a request to cancel does not keep it from ending") {
  manual_scheduler sched;
  std::vector<int> log;
  cancel_source asking;
  running<void> a(sched, log_around_yield(log, 1), asking.token());
  asking.request();
  sched.run_ready();
  CHECK(log == std::vector<int>{1, -1});
}

TEST_CASE("yield: a frame that is destroyed meanwhile leaves the queue") {
  manual_scheduler sched;
  std::vector<int> log;
  running<void> a(sched, log_around_yield(log, 1));
  auto destroys = [](running<void>& other) -> task<void> {
    other.destroy();
    co_return;
  };
  running<void> b(sched, destroys(a));
  sched.run_ready();
  CHECK(log == std::vector<int>{1});
  CHECK(sched.idle());
}
