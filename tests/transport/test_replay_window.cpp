#include <doctest/doctest.h>

#include <set>

#include "kadoro/base/random.hpp"
#include "kadoro/transport/datagram/replay_window.hpp"

using kadoro::transport::datagram::replay_window;

TEST_CASE("replay window: a counter is fresh once") {
  replay_window window;
  CHECK(window.fresh(0));
  window.mark(0);
  CHECK_FALSE(window.fresh(0));
  window.mark(5);
  CHECK(window.fresh(3));
  window.mark(3);
  CHECK_FALSE(window.fresh(3));
  CHECK_FALSE(window.fresh(5));
  window.mark(5 + replay_window::size);
  CHECK_FALSE(window.fresh(5));
  CHECK(window.fresh(6));
}

TEST_CASE("replay window: agrees with a set of everything seen") {
  kadoro::chacha20_random random(11);
  replay_window window;
  std::set<std::uint64_t> seen;
  std::uint64_t highest = 0;
  for (int i = 0; i < 20000; ++i) {
    std::uint64_t const jump = random.below(50) == 0 ? 3000 : 40;
    std::uint64_t const base = highest > 1500 ? highest - 1500 : 0;
    std::uint64_t const counter = random.below(2) == 0 ? base + random.below(1500) : highest + random.below(jump);
    bool const old = highest + 1 > counter + replay_window::size;
    CHECK(window.fresh(counter) == (!seen.contains(counter) && !old));
    if (!window.fresh(counter)) continue;
    window.mark(counter);
    seen.insert(counter);
    highest = std::max(highest, counter);
  }
}
