#include <doctest/doctest.h>

#include <memory>
#include <thread>

#include "kadoro/base/block_pool.hpp"

using namespace kadoro;

TEST_CASE("block pool: containers take their memory from it, and leave it for the next one") {
  block_pool::trim();
  auto const make = [] {
    pooled_vector<int> numbers(100, 7);
    pooled_map<int, int> squares;
    for (int i = 0; i < 5; ++i) squares.emplace(i, i * i);
    auto const shared = std::allocate_shared<int>(pooled_allocator<int>(), 1);
    return numbers[99] + squares.at(4) + *shared;
  };
  CHECK(make() == 7 + 16 + 1);
  auto const before = block_pool::statistics();
  CHECK(make() == 7 + 16 + 1);
  auto const after = block_pool::statistics();
  CHECK(after.released - before.released == 7);
  if (block_pool::enabled) {
    CHECK(after.allocated == before.allocated);
    CHECK(after.reused - before.reused == 7);
  } else {
    CHECK(after.allocated - before.allocated == 7);
  }
}

TEST_CASE("block pool: a block of nothing is a block") {
  void* const nothing = block_pool::allocate(0);
  CHECK(nothing != nullptr);
  block_pool::release(nothing, 0);
}

TEST_CASE("block pool: what one thread has taken, another one may give back") {
  void* const block = block_pool::allocate(200);
  std::uint64_t there = 0;
  std::thread other([block, &there] {
    block_pool::release(block, 200);
    there = block_pool::statistics().released;
  });
  other.join();
  CHECK(there == 1);
}
