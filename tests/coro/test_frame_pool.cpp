#include <thread>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

// Not inlined: an optimiser that sees both could put the frame into its caller.
[[gnu::noinline]] task<void> leaf() { co_return; }

task<void> calls(int count) {
  for (int i = 0; i < count; ++i) {
    co_await leaf();
  }
}

}  // namespace

TEST_CASE("frame pool: a class gives back what it was given, newest first") {
  frame_pool::trim();
  auto const before = frame_pool::statistics();
  void* const a = frame_pool::allocate(1);
  void* const b = frame_pool::allocate(64);
  void* const c = frame_pool::allocate(65);
  frame_pool::release(a, 1);
  frame_pool::release(b, 64);
  frame_pool::release(c, 65);
  if (frame_pool::enabled) {
    CHECK(frame_pool::allocate(30) == b);
    CHECK(frame_pool::allocate(64) == a);
    CHECK(frame_pool::allocate(128) == c);
    auto const after = frame_pool::statistics();
    CHECK(after.allocated - before.allocated == 3);
    CHECK(after.reused - before.reused == 3);
    frame_pool::release(a, 64);
    frame_pool::release(b, 64);
    frame_pool::release(c, 128);
  } else {
    MESSAGE("the pool is off under sanitizers: reuse is not checked");
  }
  frame_pool::trim();
}

TEST_CASE("frame pool: what nobody needed for a while goes back to the heap, and nothing else") {
  frame_pool::trim();
  time_point now = time_point() + std::chrono::hours(24 * 365 * 100);  // later than any test before
  frame_pool::trim_idle(now);
  static constexpr std::size_t often = 3;
  static constexpr std::size_t once = 10;
  auto const use = [](std::size_t n) {
    auto const before = frame_pool::statistics().allocated;
    std::vector<void*> all(n);
    for (void*& frame : all) frame = frame_pool::allocate(100);
    for (void* frame : all) frame_pool::release(frame, 100);
    return frame_pool::statistics().allocated - before;
  };
  CHECK(use(once) == once);
  now += frame_pool::idle_period;
  frame_pool::trim_idle(now);  // all of them were needed since the last time
  if (frame_pool::enabled) {
    CHECK(use(often) == 0);
    CHECK(use(once) == 0);
    now += frame_pool::idle_period;
    frame_pool::trim_idle(now);
    CHECK(use(often) == 0);
    frame_pool::trim_idle(now + frame_pool::idle_period - duration(1));  // too early
    now += frame_pool::idle_period;
    frame_pool::trim_idle(now);
    CHECK(use(often) == 0);
    CHECK(use(once) == once - often);
  }
  frame_pool::trim();
}

TEST_CASE("frame pool: a loop of calls allocates one frame, and reuses it") {
  frame_pool::trim();
  manual_scheduler sched;
  auto const before = frame_pool::statistics();
  {
    running<void> root(sched, calls(1000));
    sched.run_ready();
    CHECK(root.done());
  }
  auto const after = frame_pool::statistics();
  if (frame_pool::enabled) {
    CHECK(after.allocated - before.allocated == 3);  // the root, the loop, the leaf
    CHECK(after.reused - before.reused == 999);
  } else {
    CHECK(after.allocated - before.allocated == 1002);
    CHECK(after.reused - before.reused == 0);
  }
}

TEST_CASE("frame pool: frames beyond the largest class are not kept") {
  std::size_t const large = frame_pool::max_pooled_bytes + 1;
  auto const before = frame_pool::statistics();
  frame_pool::release(frame_pool::allocate(large), large);
  frame_pool::release(frame_pool::allocate(large), large);
  auto const after = frame_pool::statistics();
  CHECK(after.allocated - before.allocated == 2);
  CHECK(after.reused == before.reused);
}

TEST_CASE("frame pool: what a class keeps is bounded") {
  if (!frame_pool::enabled) return;
  frame_pool::trim();
  std::size_t const kept = frame_pool::max_kept_bytes / 2048;
  std::vector<void*> frames;
  for (std::size_t i = 0; i < kept + 10; ++i) frames.push_back(frame_pool::allocate(2048));
  for (void* frame : frames) frame_pool::release(frame, 2048);
  auto const before = frame_pool::statistics();
  for (void*& frame : frames) frame = frame_pool::allocate(2048);
  auto const after = frame_pool::statistics();
  CHECK(after.reused - before.reused == kept);
  CHECK(after.allocated - before.allocated == 10);
  for (void* frame : frames) frame_pool::release(frame, 2048);
  frame_pool::trim();
}

TEST_CASE("frame pool: each thread has its own, and leaves nothing behind") {
  frame_pool::counters seen;
  std::thread other([&seen] {
    void* const frame = frame_pool::allocate(100);
    frame_pool::release(frame, 100);
    seen = frame_pool::statistics();
  });
  other.join();
  CHECK(seen.allocated == 1);
  CHECK(seen.reused == 0);
}
