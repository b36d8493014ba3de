#include <doctest/doctest.h>

#include "kadoro/io/spin_budget.hpp"

using namespace kadoro;
using namespace std::chrono_literals;

TEST_CASE("spin budget: none means none") {
  io::spin_budget budget(duration::zero());
  for (int i = 0; i < 1000; ++i) CHECK(budget.next() == duration::zero());
}

TEST_CASE("spin budget: it stays while looking pays, ends when it does not, and is tried again now and then") {
  io::spin_budget budget(64us);
  CHECK(budget.next() == 64us);
  budget.found();
  CHECK(budget.next() == 64us);
  duration spent{};
  for (int i = 0; i < 10; ++i) {
    spent += budget.next();
    budget.missed();
  }
  CHECK(budget.next() == duration::zero());
  CHECK(spent < 2 * 64us);
  int trials = 0;
  for (int i = 0; i < 640; ++i) {
    if (budget.next() == duration::zero()) continue;
    ++trials;
    budget.missed();
  }
  CHECK(trials > 0);
  CHECK(trials <= 10);
  while (budget.next() == duration::zero()) continue;
  budget.found();
  CHECK(budget.next() > duration::zero());
  budget.found();
  budget.found();
  CHECK(budget.next() == 64us);
}
