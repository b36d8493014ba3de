#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<void> sleep_and_log(duration length, std::vector<int>& log, int name) {
  result<void> const slept = co_await sleep_for(length);
  log.push_back(slept.has_value() ? name : -name);
}

task<void> throw_after(duration length, std::string what) {
  result<void> const slept = co_await sleep_for(length);
  if (slept) throw std::runtime_error(what);
}

task<void> hold(tracked, event& until) {
  result<void> const waited = co_await until.wait();
  (void)waited;
}

task<void> spawn_more(scope& into, int generations, int& count) {
  ++count;
  if (generations > 1) into.spawn(spawn_more(into, generations - 1, count));
  co_return;
}

task<int> body_with_children(scope& s, std::vector<int>& log, int value) {
  s.spawn(sleep_and_log(seconds(2), log, 1));
  s.spawn(sleep_and_log(seconds(1), log, 2));
  log.push_back(0);
  co_return value;
}

task<void> body_that_throws(scope& s, std::vector<int>& log) {
  s.spawn(sleep_and_log(seconds(2), log, 1));
  result<void> const slept = co_await sleep_for(seconds(1));
  CHECK(slept.has_value());
  throw std::runtime_error("body");
}

task<result<int>> body_with_bad_child(scope& s, std::vector<int>& log) {
  s.spawn(throw_after(seconds(1), "child"));
  s.spawn(sleep_and_log(seconds(5), log, 1));
  result<void> const slept = co_await sleep_for(seconds(60));
  log.push_back(slept.has_value() ? 2 : -2);
  if (!slept) co_return fail(slept.error());
  co_return 1;
}

}  // namespace

TEST_CASE("scope: children start through the ready queue, in order, and join waits for all") {
  manual_scheduler sched;
  scope s(sched);
  std::vector<int> log;
  CHECK(s.spawn(sleep_and_log(seconds(2), log, 1)));
  CHECK(s.spawn(sleep_and_log(seconds(1), log, 2)));
  CHECK(sched.armed() == 0);
  CHECK(s.size() == 2);
  running<void> joined(sched, s.join());
  sched.advance(seconds(1));
  CHECK(s.size() == 1);
  CHECK_FALSE(joined.done());
  sched.advance(seconds(1));
  CHECK(joined.done());
  CHECK(log == std::vector<int>{2, 1});
}

TEST_CASE("scope: join on an empty scope completes at once, and the scope can be used again") {
  manual_scheduler sched;
  scope s(sched);
  std::vector<int> log;
  running<void> first(sched, s.join());
  sched.run_ready();
  CHECK(first.done());
  CHECK(s.spawn(sleep_and_log(seconds(1), log, 1)));
  running<void> second(sched, s.join());
  running<void> third(sched, s.join());
  sched.run_until_idle();
  CHECK(second.done());
  CHECK(third.done());
}

TEST_CASE("scope: join also waits for children that children spawn") {
  manual_scheduler sched;
  scope s(sched);
  int count = 0;
  CHECK(s.spawn(spawn_more(s, 1000, count)));
  running<void> joined(sched, s.join());
  sched.run_ready();
  CHECK(joined.done());
  CHECK(count == 1000);
}

TEST_CASE("scope: refuses what is too much, and what comes after close") {
  manual_scheduler sched;
  scope s(sched, nullptr, 2);
  std::vector<int> log;
  int alive = 0;
  event never;
  CHECK(s.spawn(sleep_and_log(seconds(1), log, 1)));
  CHECK(s.spawn(sleep_and_log(seconds(2), log, 2)));
  CHECK_FALSE(s.spawn(hold(tracked(alive), never)));
  CHECK(alive == 0);
  sched.advance(seconds(1));
  CHECK(s.spawn(sleep_and_log(seconds(3), log, 3)));
  s.close();
  CHECK(s.closed());
  sched.advance(seconds(1));
  CHECK_FALSE(s.spawn(sleep_and_log(seconds(1), log, 4)));
  running<void> joined(sched, s.join());
  sched.run_until_idle();
  CHECK(joined.done());
  CHECK(log == std::vector<int>{1, 2, 3});
}

TEST_CASE("scope: request_cancel reaches every child and closes") {
  manual_scheduler sched;
  scope s(sched);
  std::vector<int> log;
  CHECK(s.spawn(sleep_and_log(seconds(1), log, 1)));
  CHECK(s.spawn(sleep_and_log(seconds(2), log, 2)));
  sched.run_ready();
  s.request_cancel();
  CHECK(log.empty());
  CHECK_FALSE(s.spawn(sleep_and_log(seconds(2), log, 3)));
  running<void> joined(sched, s.join());
  sched.run_ready();
  CHECK(joined.done());
  CHECK(log == std::vector<int>{-1, -2});
}

TEST_CASE("scope: a parent source reaches the children, and join is not cut short by it") {
  manual_scheduler sched;
  cancel_source parent;
  scope s(sched, &parent);
  std::vector<int> log;
  CHECK(s.spawn(sleep_and_log(seconds(1), log, 1)));
  running<void> joined(sched, s.join(), parent.token());
  sched.run_ready();
  parent.request();
  CHECK(s.closed());
  sched.run_ready();
  CHECK(joined.done());
  CHECK(log == std::vector<int>{-1});
}

TEST_CASE("scope: the first exception cancels the siblings and comes out of join, once") {
  manual_scheduler sched;
  scope s(sched);
  std::vector<int> log;
  CHECK(s.spawn(sleep_and_log(seconds(9), log, 1)));
  CHECK(s.spawn(throw_after(seconds(1), "first")));
  CHECK(s.spawn(throw_after(seconds(1), "second")));
  running<void> joined(sched, s.join());
  sched.advance(seconds(1));
  CHECK(log == std::vector<int>{-1});
  CHECK_THROWS_WITH(joined.take(), "first");
  running<void> again(sched, s.join());
  sched.run_ready();
  again.take();
}

TEST_CASE("scope: an abandoned scope destroys its unfinished children") {
  manual_scheduler sched;
  event never;
  int alive = 0;
  {
    scope s(sched);
    CHECK(s.spawn(hold(tracked(alive), never)));
    CHECK(s.spawn(hold(tracked(alive), never)));
    sched.run_ready();
    CHECK(s.spawn(hold(tracked(alive), never)));  // never started
    CHECK(alive == 3);
    s.abandon();
  }
  CHECK(alive == 0);
  CHECK(sched.idle());
  never.set();
  CHECK(sched.idle());
}

TEST_CASE("with_scope: joins the children, then gives the body's value") {
  manual_scheduler sched;
  std::vector<int> log;
  auto all = [](std::vector<int>& to) -> task<int> {
    int const value = co_await with_scope(body_with_children, std::ref(to), 7);
    to.push_back(9);
    co_return value;
  };
  running<int> root(sched, all(log));
  sched.run_until_idle();
  CHECK(root.take() == 7);
  CHECK(log == std::vector<int>{0, 2, 1, 9});
}

TEST_CASE("with_scope: a body that throws cancels the children and waits for them") {
  manual_scheduler sched;
  std::vector<int> log;
  running<void> root(sched, with_scope(body_that_throws, std::ref(log)));
  sched.run_until_idle();
  CHECK(log == std::vector<int>{-1});
  CHECK_THROWS_WITH(root.take(), "body");
}

TEST_CASE("with_scope: a child that throws cancels its siblings and the body, and is heard") {
  manual_scheduler sched;
  std::vector<int> log;
  running<result<int>> root(sched, with_scope(body_with_bad_child, std::ref(log)));
  sched.advance(seconds(1));
  CHECK(log == std::vector<int>{-2, -1});  // the body registered first
  CHECK_THROWS_WITH(root.take(), "child");
}

TEST_CASE("with_scope: a lambda with captures lives as long as the children need it") {
  manual_scheduler sched;
  auto const factor = std::make_shared<int>(3);
  auto make = [factor](scope& s, std::vector<int>& log) {
    auto child = [](std::shared_ptr<int> by, std::vector<int>& to) -> task<void> {
      result<void> const slept = co_await sleep_for(seconds(1));
      to.push_back(slept.has_value() ? *by : 0);
    };
    auto body = [](scope& into, task<void> work) -> task<bool> { co_return into.spawn(std::move(work)); };
    return body(s, child(factor, log));
  };
  std::vector<int> log;
  running<bool> root(sched, with_scope(make, std::ref(log)));
  sched.run_until_idle();
  CHECK(root.take());
  CHECK(log == std::vector<int>{3});
}

TEST_CASE("with_scope: destroyed while it runs, it destroys its children first") {
  manual_scheduler sched;
  event never;
  int alive = 0;
  auto body = [](scope& s, event& e, int& n) -> task<void> {
    s.spawn(hold(tracked(n), e));
    tracked const local(n);
    result<void> const waited = co_await e.wait();
    (void)waited;
  };
  {
    running<void> root(sched, with_scope(body, std::ref(never), std::ref(alive)));
    sched.run_ready();
    CHECK(alive == 2);
  }
  CHECK(alive == 0);
  CHECK(sched.idle());
}
