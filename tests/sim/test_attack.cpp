#include <doctest/doctest.h>

#include "../../tools/kadoro-sim/attack.hpp"
#include "kadoro/coro/frame_pool.hpp"

using namespace kadoro_sim;

namespace {

attack_settings around_a_key(std::size_t ranges, bool defended) {
  attack_settings how;
  how.nodes = 80;
  how.sybils = 24;
  how.ranges = ranges;
  how.limit_ranges = how.use_region = defended;
  return how;
}

}  // namespace

TEST_CASE("attack: who grinds identities around a key captures it, unless ranges are limited and regions looked at") {
  if (!kadoro::coro::frame_pool::enabled) {  // all of it takes a sanitizer minutes
    attack_settings small = around_a_key(4, true);
    small.nodes = 40;
    CHECK(run_attack(small, 1).puts_captured == 0);
    return;
  }
  auto const off = run_attack(around_a_key(0, false), 1);
  CHECK(off.puts == 20);
  CHECK(off.gets == 200);
  CHECK(off.puts_captured + off.gets_captured > 60);
  CHECK(off.asked_to_store == 20 * off.puts);

  SUBCASE("in few ranges") {
    auto const on = run_attack(around_a_key(4, true), 1);
    CHECK(on.puts_captured == 0);
    CHECK(on.gets_captured <= 2);
    CHECK(on.sybils_known < off.sybils_known);
  }
  SUBCASE("in as many ranges as identities") {
    auto const on = run_attack(around_a_key(0, true), 1);
    CHECK(on.puts_captured == 0);
    CHECK(on.gets_captured <= 10);
    CHECK(on.honest_copies > 8 * on.puts);
  }
}

TEST_CASE("attack: a node that joins by one seed of the attacker's and two honest ones is not eclipsed") {
  attack_settings how = around_a_key(4, true);
  how.what = attack_settings::aim::eclipse;
  auto const on = run_attack(how, 2);
  CHECK(on.gets == 20);
  CHECK(on.gets_captured == 0);
  CHECK(on.honest_contacts >= 20);
  CHECK(2 * on.honest_contacts >= on.contacts);
}
