#include <memory>
#include <stdexcept>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<result<int>> answer_after(duration length, int value) {
  result<void> const slept = co_await sleep_for(length);
  if (!slept) co_return fail(slept.error());
  co_return value;
}

/// Hears nothing: sleeps in an environment of its own.
task<result<int>> stubborn(duration length, int value) {
  scheduler& sched = co_await this_scheduler();
  environment const alone(sched);
  task<result<int>> work = answer_after(length, value);
  work.set_environment(alone);
  co_return co_await std::move(work);
}

task<int> plain_after(duration length) {
  result<void> const slept = co_await sleep_for(length);
  co_return slept.has_value() ? 1 : 2;
}

task<void> nothing_after(duration length) {
  result<void> const slept = co_await sleep_for(length);
  (void)slept;
}

task<result<int>> refused_when_cancelled() {
  result<void> const slept = co_await sleep_for(seconds(60));
  if (!slept) co_return fail(errc::refused, "the peer says no");
  co_return 1;
}

task<result<int>> throws_after(duration length) {
  result<void> const slept = co_await sleep_for(length);
  if (slept) throw std::runtime_error("too much");
  co_return 1;
}

task<result<std::unique_ptr<int>>> boxed() { co_return std::make_unique<int>(4); }

}  // namespace

TEST_CASE("deadline: an operation in time gives what it gives, and the timer is gone") {
  manual_scheduler sched;
  running<result<int>> root(sched, with_deadline(answer_after(seconds(1), 5), seconds(2)));
  sched.advance(seconds(1));
  result<int> const got = root.take();
  REQUIRE(got.has_value());
  CHECK(*got == 5);
  CHECK(sched.armed() == 0);
}

TEST_CASE("deadline: an operation that is late is cancelled") {
  manual_scheduler sched;
  running<result<int>> root(sched, with_deadline(answer_after(seconds(3), 5), seconds(2)));
  sched.advance(milliseconds(1999));
  CHECK_FALSE(root.done());
  sched.advance(milliseconds(1));
  result<int> const got = root.take();
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error() == errc::timed_out);
  CHECK(sched.armed() == 0);
}

TEST_CASE("deadline: as an instant, also one that has passed") {
  manual_scheduler sched;
  sched.advance(seconds(10));
  running<result<int>> passed(sched, with_deadline(answer_after(seconds(1), 5), time_point(seconds(4))));
  sched.advance(seconds(0));
  result<int> const late = passed.take();
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error() == condition::timeout);
  running<result<int>> ahead(sched, with_deadline(answer_after(seconds(1), 5), time_point(seconds(40))));
  sched.advance(seconds(1));
  CHECK(ahead.take().has_value());
}

TEST_CASE("deadline: a task that ignores cancellation is waited for, and its value counts") {
  manual_scheduler sched;
  running<result<int>> root(sched, with_deadline(stubborn(seconds(5), 6), seconds(2)));
  sched.advance(seconds(4));
  CHECK_FALSE(root.done());
  sched.advance(seconds(1));
  result<int> const got = root.take();
  REQUIRE(got.has_value());
  CHECK(*got == 6);
}

TEST_CASE("deadline: an error of the operation's own is not renamed") {
  result<int> const got = run(with_deadline(refused_when_cancelled(), seconds(2)));
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error() == errc::refused);
}

TEST_CASE("deadline: cancellation from outside passes through") {
  manual_scheduler sched;
  cancel_source source;
  running<result<int>> root(sched, with_deadline(answer_after(seconds(3), 5), seconds(2)), source.token());
  sched.advance(seconds(1));
  source.request();
  CHECK_FALSE(root.done());
  sched.run_ready();
  result<int> const got = root.take();
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error() == errc::cancelled);

  // Cancelled first, expired while the operation was still ending: still the caller's cancellation.
  cancel_source other;
  running<result<int>> slow(sched, with_deadline(stubborn(seconds(5), 6), seconds(2)), other.token());
  sched.advance(seconds(1));
  other.request();
  sched.advance(seconds(4));
  CHECK(slow.take().has_value());
}

TEST_CASE("deadline: the inner one of two decides") {
  result<int> const inner = run(with_deadline(with_deadline(answer_after(seconds(9), 1), seconds(1)), seconds(5)));
  REQUIRE_FALSE(inner.has_value());
  CHECK(inner.error() == errc::timed_out);
  result<int> const outer = run(with_deadline(with_deadline(answer_after(seconds(9), 1), seconds(5)), seconds(1)));
  REQUIRE_FALSE(outer.has_value());
  CHECK(outer.error() == errc::timed_out);
}

TEST_CASE("deadline: tasks that give no result get one") {
  result<int> const in_time = run(with_deadline(plain_after(seconds(1)), seconds(2)));
  REQUIRE(in_time.has_value());
  CHECK(*in_time == 1);
  result<int> const late = run(with_deadline(plain_after(seconds(3)), seconds(2)));
  REQUIRE(late.has_value());
  CHECK(*late == 2);
  result<void> const done = run(with_deadline(nothing_after(seconds(1)), seconds(2)));
  CHECK(done.has_value());
  result<void> const not_done = run(with_deadline(nothing_after(seconds(3)), seconds(2)));
  REQUIRE_FALSE(not_done.has_value());
  CHECK(not_done.error() == errc::timed_out);
}

TEST_CASE("deadline: exceptions and move-only values pass through") {
  CHECK_THROWS_AS(run(with_deadline(throws_after(seconds(1)), seconds(2))), std::runtime_error);
  result<std::unique_ptr<int>> const got = run(with_deadline(boxed(), seconds(1)));
  REQUIRE(got.has_value());
  CHECK(**got == 4);
}

TEST_CASE("deadline: a frame destroyed under it leaves no timer and no hook") {
  manual_scheduler sched;
  cancel_source source;
  {
    running<result<int>> root(sched, with_deadline(answer_after(seconds(3), 5), seconds(2)), source.token());
    sched.run_ready();
    CHECK(sched.armed() == 2);
  }
  CHECK(sched.armed() == 0);
  source.request();
  CHECK(sched.idle());
}
