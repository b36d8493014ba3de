#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

task<int> number(int n) { co_return n; }

task<std::unique_ptr<int>> boxed(int n) { co_return std::make_unique<int>(n); }

task<int> failing(int n) {
  if (n > 0) throw std::runtime_error("no");
  co_return n;
}

task<void> mark(int& calls) {
  ++calls;
  co_return;
}

task<std::uint64_t> sum_of(std::uint64_t count) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    int const one = co_await number(1);
    sum += static_cast<std::uint64_t>(one);
  }
  co_return sum;
}

task<int> nested(int depth, event& bottom) {
  if (depth == 0) {
    result<void> const waited = co_await bottom.wait();
    co_return waited.has_value() ? 1 : -1;
  }
  int const below = co_await nested(depth - 1, bottom);
  co_return below + 1;
}

task<void> hold(tracked, event& until) {
  result<void> const waited = co_await until.wait();
  (void)waited;
}

task<void> outer(int& alive, event& until) {
  tracked const local(alive);
  co_await hold(tracked(alive), until);
}

// Levels of await nesting (not of looping) take stack: 60 to 260 bytes each in plain builds, 420 with clang at -O0.
// Sanitizers put redzones around everything in the frame, up to 1.3 KiB a level. The stack has 8 MiB.
#if defined(__clang__) && !defined(__OPTIMIZE__)
constexpr int plain_levels = 10'000;
#else
constexpr int plain_levels = 20'000;
#endif
constexpr int deep = frame_pool::enabled ? plain_levels : 4'000;

static_assert(!std::is_copy_constructible_v<task<int>>);
static_assert(std::is_nothrow_move_constructible_v<task<int>>);

}  // namespace

TEST_CASE("task: gives its value, also a move-only one") {
  CHECK(run(number(7)) == 7);
  CHECK(*run(boxed(8)) == 8);
}

TEST_CASE("task: is lazy, and a task that never starts leaves nothing behind") {
  int calls = 0;
  int alive = 0;
  event never;
  {
    task<void> const unused = mark(calls);
    task<void> const unstarted = hold(tracked(alive), never);
    CHECK(alive == 1);
  }
  CHECK(calls == 0);
  CHECK(alive == 0);
  run(mark(calls));
  CHECK(calls == 1);
}

TEST_CASE("task: moving hands the frame over, awaiting consumes it") {
  auto body = []() -> task<int> {
    task<int> first = number(3);
    task<int> second = std::move(first);
    CHECK_FALSE(static_cast<bool>(first));  // NOLINT(bugprone-use-after-move)
    first = number(4);
    int const three = co_await std::move(second);
    CHECK_FALSE(static_cast<bool>(second));  // NOLINT(bugprone-use-after-move)
    int const four = co_await std::move(first);
    co_return three * 10 + four;
  };
  CHECK(run(body()) == 34);
}

TEST_CASE("task: exceptions travel to the awaiter") {
  auto body = [](std::string& seen) -> task<int> {
    try {
      int const n = co_await failing(1);
      co_return n;
    } catch (std::runtime_error const& e) {
      seen = e.what();
    }
    int const zero = co_await failing(0);
    co_return zero;
  };
  std::string seen;
  CHECK(run(body(seen)) == 0);
  CHECK(seen == "no");
  CHECK_THROWS_AS(run(failing(1)), std::runtime_error);
}

TEST_CASE("task: a child runs in its awaiter's environment, or in the one it was given") {
  auto where = []() -> task<cancel_source*> {
    environment const env = co_await this_environment();
    scheduler& sched = co_await this_scheduler();
    CHECK(&sched == &env.sched());
    cancel_source* asked = nullptr;
    if (env.cancel().requested()) asked = reinterpret_cast<cancel_source*>(1);
    co_return asked;
  };
  auto body = [](task<cancel_source*> inherits, task<cancel_source*> set) -> task<bool> {
    environment const env = co_await this_environment();
    cancel_source mine;
    mine.request();
    environment const other(env.sched(), mine.token());
    set.set_environment(other);
    cancel_source* const inherited = co_await std::move(inherits);
    cancel_source* const given = co_await std::move(set);
    co_return inherited == nullptr&& given != nullptr;
  };
  CHECK(run(body(where(), where())));
}

TEST_CASE("task: ten million awaits that complete at once run in constant stack") {
#if defined(__SANITIZE_THREAD__)
  std::uint64_t const count = 1'000'000;  // ThreadSanitizer is an order of magnitude slower
#else
  std::uint64_t const count = 10'000'000;
#endif
  CHECK(run(sum_of(count)) == count);
}

TEST_CASE("task: deeply nested levels suspend and return") {
  manual_scheduler sched;
  event bottom;
  running<int> root(sched, nested(deep, bottom));
  sched.run_ready();
  CHECK_FALSE(root.done());
  bottom.set();
  sched.run_ready();
  CHECK(root.take() == deep + 1);
}

TEST_CASE("task: deeply nested suspended levels are destroyed from the root") {
  manual_scheduler sched;
  event bottom;
  running<int> root(sched, nested(deep, bottom));
  sched.run_ready();
  root.destroy();
  bottom.set();
  sched.run_until_idle();
  CHECK_FALSE(root.done());
}

TEST_CASE("task: destroying a suspended root destroys locals and arguments, once") {
  manual_scheduler sched;
  event never;
  int alive = 0;
  {
    running<void> root(sched, outer(alive, never));
    CHECK(alive == 0);
    sched.run_ready();
    CHECK(alive == 3);  // the local, the temporary that lives as long as its full expression, and the argument
  }
  CHECK(alive == 0);
  never.set();
  CHECK(sched.idle());
}

TEST_CASE("task: a root starts through the ready queue, and may be destroyed before it has started") {
  manual_scheduler sched;
  int calls = 0;
  {
    running<void> unstarted(sched, mark(calls));
    CHECK_FALSE(sched.idle());
  }
  CHECK(sched.idle());
  running<void> root(sched, mark(calls));
  CHECK(calls == 0);
  sched.run_ready();
  CHECK(calls == 1);
  CHECK(root.done());
}

TEST_CASE("spawned: the frame is gone when the owner hears that it has ended") {
  manual_scheduler sched;
  event go;
  struct seen_at_end {
    int alive = 0;
    int at_end = -1;
    std::exception_ptr error;
  } seen;
  auto body = [](tracked, event& until) -> task<void> {
    result<void> const waited = co_await until.wait();
    (void)waited;
    throw std::runtime_error("out of the root");
  };
  spawned& root = spawned::create(
      body(tracked(seen.alive), go), environment(sched),
      [](void* owner, std::exception_ptr error) noexcept {
        auto& to = *static_cast<seen_at_end*>(owner);
        to.at_end = to.alive;
        to.error = std::move(error);
      },
      &seen);
  spawned_list roots;
  roots.add(root);
  root.post();
  sched.run_ready();
  CHECK(seen.alive == 1);
  go.set();
  sched.run_ready();
  CHECK(seen.at_end == 0);
  CHECK(seen.error != nullptr);
  CHECK(roots.empty());
}
