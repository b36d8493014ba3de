#include <doctest/doctest.h>

#include <set>

#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

std::string value_of(std::size_t size, std::uint64_t seed) {
  bytes out(size);
  chacha20_random random(seed);
  random.fill(out);
  return std::string(as_text(out));
}

get_options all_of_them() {
  get_options how;
  how.quorum = quorum::all();
  return how;
}

}  // namespace

TEST_CASE("large values: 64 KiB put by each of five nodes at 2 % loss are read by every other one") {
  simulated_swarm swarm(1);
  io::sim::link_policy link;
  link.delay = 10ms;
  link.loss = 0.02;
  swarm.world.set_link(link);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  for (std::size_t i = 0; i < 5; ++i) {
    put_options how;
    how.quorum = quorum::all();
    auto const receipt = swarm.put(i, "key " + std::to_string(i), value_of(record::max_value_bytes, i), how);
    CHECK(receipt.ok());
    CHECK(receipt.stored() == 4);
  }
  for (std::size_t reader = 0; reader < 5; ++reader) {
    for (std::size_t i = 0; i < 5; ++i) {
      auto const found = swarm.get(reader, "key " + std::to_string(i), all_of_them());
      REQUIRE(found.records().size() == 1);
      CHECK(equal(found.records()[0].value.value, as_bytes(value_of(record::max_value_bytes, i))));
    }
  }
  std::string const key(record::max_key_bytes, 'k');  // the largest of all
  CHECK(swarm.put(0, key, value_of(record::max_value_bytes, 9)).ok());
  CHECK(swarm.get(3, key).records().size() == 1);
  auto const over = swarm.hosts[0]->run(
      swarm.nodes[0]->put(as_bytes("key"), as_bytes(std::string(record::max_value_bytes + 1, 'x'))));
  REQUIRE_FALSE(over.has_value());
  CHECK(over.error() == condition::over_limit);
}

TEST_CASE("large values: a get that meets the holder for the first time finds one too") {
  simulated_swarm swarm(2);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  REQUIRE(swarm.put(1, "key", value_of(record::max_value_bytes, 1)).ok());
  swarm.add();  // knows nobody but the first, and that not yet
  auto const found = swarm.get(3, "key");
  REQUIRE(found.records().size() == 1);
  CHECK(equal(found.records()[0].value.value, as_bytes(value_of(record::max_value_bytes, 1))));
}

namespace {

/// A client puts 64 KiB and another one gets them, time and again.
struct cost {
  std::uint64_t bytes = 0;
  std::size_t failed = 0;
  std::size_t asked = 0;  ///< how many peers, for all gets together
};

cost of_puts_and_gets(std::size_t count, double loss) {
  simulated_swarm swarm(4, 20ms);
  node_options options;
  options.replicas = 3;
  for (int i = 0; i < 8; ++i) swarm.add(options);
  options.mode = peer_mode::client;
  for (int i = 0; i < 2; ++i) swarm.add(options);
  swarm.join_all();
  io::sim::link_policy link;
  link.delay = 20ms;
  link.loss = loss;
  swarm.world.set_link(link);
  cost out;
  swarm.world.set_filter([&out](io::endpoint const&, io::endpoint const&, bytes& data) {
    out.bytes += data.size();
    return true;
  });
  for (std::size_t i = 0; i < count; ++i) {
    std::string const key = "key " + std::to_string(i % 100);
    std::string const value = value_of(record::max_value_bytes, i);
    put_options all;  // else a get may find the value before
    all.quorum = quorum::all();
    out.failed += swarm.put(8, key, value, all).ok() ? 0u : 1u;
    auto const got = swarm.get(9, key);
    bool const same = got.records().size() == 1 && equal(got.records()[0].value.value, as_bytes(value));
    out.failed += same ? 0u : 1u;
    out.asked += got.steps().size();
  }
  swarm.world.set_filter({});
  return out;
}

}  // namespace

TEST_CASE("large values: between nodes 2 % loss costs at most 1.3 times the bytes; who is still telling is not late") {
  static constexpr std::size_t many = 250;
  cost const clean = of_puts_and_gets(many, 0);
  cost const lossy = of_puts_and_gets(many, 0.02);
  MESSAGE("2 % loss: ", static_cast<double>(lossy.bytes) / static_cast<double>(clean.bytes));
  CHECK(clean.failed == 0);
  CHECK(lossy.failed == 0);
  CHECK(clean.bytes < many * record::max_value_bytes * 9 / 2);  // three copies and one answer, and now and then all
  CHECK(lossy.bytes * 10 <= clean.bytes * 13);
  CHECK(lossy.asked < 2 * clean.asked);
}

TEST_CASE("large values: all publishers of a key are found, however many, and whatever their size") {
  for (std::size_t const size : {std::size_t{1100}, std::size_t{8000}}) {
    CAPTURE(size);
    simulated_swarm swarm(3, 2ms);
    std::size_t const publishers = 100;
    for (std::size_t i = 0; i < 3; ++i) swarm.add();
    swarm.join_all();
    node_options visitor;
    visitor.mode = peer_mode::client;
    for (std::size_t i = 0; i < publishers; ++i) {
      kad::node& one = swarm.add(visitor);
      static_cast<void>(one);
      CHECK(swarm.put(3 + i, "key", value_of(size, i)).ok());
    }
    swarm.add(visitor);  // its first flight asks: the answer to that is small
    for (bool const fast : {true, false}) {
      auto const found = swarm.get(3 + publishers, "key", fast ? get_options() : all_of_them());
      std::set<peer_id> seen;
      for (found_record const& r : found.records()) {
        seen.insert(r.value.publisher);
        CHECK(r.value.value.size() == size);
      }
      CHECK(seen.size() == publishers);
    }
  }
}
