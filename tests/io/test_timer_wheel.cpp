#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/io/timer_wheel.hpp"

using namespace kadoro;

namespace {

/// A scheduler without a loop: the wheel needs somebody to own the nodes.
class owner final : public coro::scheduler {
 public:
  time_point now() const noexcept override { return now_; }
  void post(coro::ready_node&) noexcept override {}
  void arm(coro::timer_node& node, time_point due) noexcept override { wheel.arm(*this, node, due); }
  void disarm(coro::timer_node& node) noexcept override { wheel.disarm(node); }

  io::timer_wheel wheel;
  time_point now_{};
};

struct timer : coro::timer_node {
  timer() : coro::timer_node([](coro::timer_node&) {}) {}
  std::uint64_t model_order = 0;
  time_point model_key{};
};

time_point at(std::int64_t count) { return time_point(duration(count)); }

}  // namespace

TEST_CASE("a timer wheel fires in the order of a sorted map") {
  chacha20_random random(7);
  owner host;
  std::vector<std::unique_ptr<timer>> timers;
  for (int i = 0; i < 500; ++i) timers.push_back(std::make_unique<timer>());

  std::map<std::pair<time_point, std::uint64_t>, timer*> model;
  std::uint64_t next_order = 0;
  std::uint64_t fired = 0;
  time_point latest = time_point::min();
  host.now_ = at(1'000'000'007);

  auto const drop = [&](timer& one) {
    if (one.armed()) model.erase({one.model_key, one.model_order});
  };
  auto const arm = [&](timer& one, time_point due) {
    drop(one);
    one.model_order = next_order++;
    one.model_key = std::max(due, latest);
    model.emplace(std::pair(one.model_key, one.model_order), &one);
    host.arm(one, due);
  };
  // Distances of every magnitude, many equal ones, and some in the past.
  auto const draw_due = [&] {
    std::uint64_t const bits = random.below(45);
    std::uint64_t const distance = random.below(std::uint64_t{1} << bits);
    if (random.below(20) == 0) return host.now_ - duration(static_cast<std::int64_t>(distance));
    return host.now_ + duration(static_cast<std::int64_t>(distance));
  };

  for (int step = 0; step < 100'000; ++step) {
    std::uint64_t const index = random.below(timers.size());
    timer& one = *timers[index];
    std::uint64_t const action = random.below(10);
    if (action < 5) {
      arm(one, draw_due());
    } else if (action < 7) {
      drop(one);
      host.disarm(one);
      REQUIRE_FALSE(one.armed());
    } else if (action == 7) {
      drop(one);
      timers[index] = std::make_unique<timer>();  // a node that dies while it is armed leaves the wheel
    } else {
      std::uint64_t const bits = random.below(40);
      host.now_ += duration(static_cast<std::int64_t>(random.below(std::uint64_t{1} << bits)));
      latest = host.now_;
      std::uint64_t const end = next_order;
      host.wheel.advance(host.now_, [&](coro::timer_node& node) {
        REQUIRE_FALSE(model.empty());
        auto const expected = model.begin();
        REQUIRE(expected->second == &node);
        REQUIRE(node.due() <= host.now_);
        REQUIRE_FALSE(node.armed());
        model.erase(expected);
        ++fired;
        if (random.below(8) == 0) arm(*timers[random.below(timers.size())], draw_due());
      });
      bool const rest = model.empty() || model.begin()->first.first > host.now_ || model.begin()->first.second >= end;
      REQUIRE(rest);
    }
    auto const next = host.wheel.next_due();
    if (model.empty()) {
      REQUIRE_FALSE(next.has_value());
    } else {
      REQUIRE(next.has_value());
      REQUIRE(*next <= model.begin()->first.first);
    }
  }
  for (auto const& one : timers) CHECK(one->armed() == (model.count({one->model_key, one->model_order}) == 1));
  CHECK(fired > 10'000);
}

TEST_CASE("equal instants fire in the order of arming, from whatever level they come") {
  owner host;
  std::vector<std::unique_ptr<timer>> timers;
  for (int i = 0; i < 10; ++i) timers.push_back(std::make_unique<timer>());
  time_point const due = at(5'000'000'000);
  timer pacer;
  // Each is armed from a different distance to the same instant.
  for (int i = 0; i < 10; ++i) {
    host.arm(*timers[static_cast<std::size_t>(i)], due);
    host.arm(pacer, due - duration(4'000'000'000 >> (3 * i)));
    host.wheel.advance(pacer.due(), [](coro::timer_node&) {});
  }
  std::size_t next = 0;
  host.wheel.advance(due, [&](coro::timer_node& node) {
    REQUIRE(next < timers.size());
    CHECK(&node == timers[next].get());
    ++next;
  });
  CHECK(next == 10);
}

TEST_CASE("the horizon of a timer wheel is all of time") {
  owner host;
  timer first, last, never;
  host.arm(never, time_point::max());
  host.arm(last, at(std::numeric_limits<std::int64_t>::max() - 1));
  host.arm(first, time_point::min());
  REQUIRE(host.wheel.next_due().has_value());
  CHECK(*host.wheel.next_due() == time_point::min());
  std::vector<coro::timer_node*> fired;
  auto const fire = [&](coro::timer_node& node) { fired.push_back(&node); };
  host.wheel.advance(time_point::min(), fire);
  REQUIRE(fired.size() == 1);
  CHECK(fired[0] == &first);
  host.wheel.advance(time_point::max() - duration(2), fire);
  CHECK(fired.size() == 1);
  host.wheel.advance(time_point::max(), fire);
  REQUIRE(fired.size() == 3);
  CHECK(fired[1] == &last);
  CHECK(fired[2] == &never);
}

TEST_CASE("a timer that arms itself for now fires once per call") {
  owner host;
  timer self, other;
  host.arm(self, at(10));
  host.arm(other, at(20));
  int self_fired = 0;
  int other_fired = 0;
  auto const fire = [&](coro::timer_node& node) {
    if (&node != &self) {
      ++other_fired;
      return;
    }
    ++self_fired;
    host.arm(self, at(10));
  };
  host.wheel.advance(at(15), fire);
  CHECK(self_fired == 1);
  host.wheel.advance(at(15), fire);
  CHECK(self_fired == 2);
  CHECK(other_fired == 0);
}

TEST_CASE("next_due is exact but for nodes that were disarmed, and those cost one call") {
  owner host;
  timer a, b, c;
  host.arm(a, at(3'000'000'123));
  host.arm(b, at(3'000'000'045));
  host.arm(c, at(9'000'000'000));
  CHECK(*host.wheel.next_due() == at(3'000'000'045));
  host.disarm(b);
  host.disarm(a);
  CHECK(*host.wheel.next_due() <= at(9'000'000'000));
  host.wheel.advance(*host.wheel.next_due(), [](coro::timer_node&) { FAIL("nothing is due"); });
  CHECK(*host.wheel.next_due() == at(9'000'000'000));
  host.disarm(c);
  CHECK_FALSE(host.wheel.next_due().has_value());
}

TEST_CASE("disarm_all takes the nodes of one owner only") {
  owner one, two;
  timer a, b;
  one.wheel.arm(one, a, at(10));
  one.wheel.arm(two, b, at(10));
  one.wheel.disarm_all(one);
  CHECK_FALSE(a.armed());
  CHECK(b.armed());
  one.wheel.disarm(b);
}

TEST_CASE("a wheel that dies leaves its nodes disarmed") {
  timer outlives;
  {
    owner host;
    host.arm(outlives, at(1));
    CHECK(outlives.armed());
  }
  CHECK_FALSE(outlives.armed());
}
