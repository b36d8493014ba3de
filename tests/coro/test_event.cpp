#include <memory>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<void> wait_and_log(event& e, std::vector<int>& log, int name) {
  result<void> const waited = co_await e.wait();
  log.push_back(waited.has_value() ? name : -name);
}

task<bool> wait_cancelled(event& e) {
  result<void> const waited = co_await e.wait();
  co_return !waited.has_value() && waited.error() == condition::cancelled;
}

}  // namespace

TEST_CASE("event: a wait on a set event does not suspend") {
  manual_scheduler sched;
  event e;
  e.set();
  std::vector<int> log;
  running<void> root(sched, wait_and_log(e, log, 1));
  sched.run_ready();
  CHECK(sched.posts() == 1);  // the start of the root, nothing else
  CHECK(log == std::vector<int>{1});
}

TEST_CASE("event: set wakes all in order, through the ready queue, even if it is reset at once") {
  manual_scheduler sched;
  event e;
  std::vector<int> log;
  running<void> a(sched, wait_and_log(e, log, 1));
  running<void> b(sched, wait_and_log(e, log, 2));
  running<void> c(sched, wait_and_log(e, log, 3));
  sched.run_ready();
  e.set();
  CHECK(log.empty());
  e.reset();
  CHECK_FALSE(e.is_set());
  sched.run_ready();
  CHECK(log == std::vector<int>{1, 2, 3});
  running<void> d(sched, wait_and_log(e, log, 4));
  sched.run_ready();
  CHECK_FALSE(d.done());
}

TEST_CASE("event: cancellation wakes one waiter in a later step and leaves the others") {
  manual_scheduler sched;
  event e;
  cancel_source source;
  std::vector<int> log;
  running<void> a(sched, wait_and_log(e, log, 1));
  running<void> b(sched, wait_and_log(e, log, 2), source.token());
  running<void> c(sched, wait_and_log(e, log, 3));
  sched.run_ready();
  source.request();
  CHECK(log.empty());
  sched.run_ready();
  CHECK(log == std::vector<int>{-2});
  e.set();
  sched.run_ready();
  CHECK(log == std::vector<int>{-2, 1, 3});
}

TEST_CASE("event: whichever of set and cancel comes first decides") {
  manual_scheduler sched;
  std::vector<int> log;
  event e;
  cancel_source source;
  running<void> a(sched, wait_and_log(e, log, 1), source.token());
  sched.run_ready();
  e.set();
  source.request();
  sched.run_ready();
  CHECK(log == std::vector<int>{1});

  event f;
  cancel_source other;
  running<void> b(sched, wait_and_log(f, log, 2), other.token());
  sched.run_ready();
  other.request();
  f.set();
  sched.run_ready();
  CHECK(log == std::vector<int>{1, -2});
}

TEST_CASE("event: a wait that begins cancelled does not suspend") {
  manual_scheduler sched;
  event e;
  cancel_source source;
  source.request();
  running<bool> root(sched, wait_cancelled(e), source.token());
  sched.run_ready();
  CHECK(root.take());
  CHECK(sched.posts() == 1);
}

TEST_CASE("event: a frame destroyed while it waits, or after it was woken, leaves every list") {
  manual_scheduler sched;
  event e;
  cancel_source source;
  std::vector<int> log;
  {
    running<void> waits(sched, wait_and_log(e, log, 1), source.token());
    sched.run_ready();
  }
  {
    running<void> woken(sched, wait_and_log(e, log, 2), source.token());
    sched.run_ready();
    e.set();
    CHECK_FALSE(sched.idle());
  }
  CHECK(sched.idle());
  source.request();
  sched.run_ready();
  CHECK(log.empty());
}

TEST_CASE("event: may die before those who wait, if they are cancelled or destroyed") {
  manual_scheduler sched;
  cancel_source source;
  auto e = std::make_unique<event>();
  running<bool> first(sched, wait_cancelled(*e), source.token());
  running<bool> second(sched, wait_cancelled(*e), source.token());
  sched.run_ready();
  e.reset();
  source.request();
  sched.run_ready();
  CHECK(first.take());
  CHECK(second.take());
}
