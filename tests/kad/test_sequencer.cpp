#include <doctest/doctest.h>

#include "kadoro/io/sim/storage.hpp"
#include "kadoro/kad/sequencer.hpp"

using namespace kadoro;
using kadoro::kad::sequencer;

TEST_CASE("sequencer: without storage it counts from 1, and catches up with what others remember") {
  sequencer s;
  CHECK(s.next().value() == 1);
  CHECK(s.next().value() == 2);
  s.adopt(10);
  CHECK(s.next().value() == 11);
  s.adopt(5);
  CHECK(s.next().value() == 12);
  s.adopt(~std::uint64_t{0});  // nothing could follow it
  CHECK(s.next().value() == 13);
}

TEST_CASE("sequencer: higher than ever before after every restart") {
  io::sim::storage disk;
  std::uint64_t highest = 0;
  for (int restart = 0; restart < 3; ++restart) {
    auto s = sequencer::open(disk, "sequence");
    REQUIRE(s.has_value());
    for (std::uint64_t i = 0; i < sequencer::block + 10; ++i) {
      auto const n = s->next();
      REQUIRE(n.has_value());
      CHECK(*n > highest);
      highest = *n;
    }
    if (restart == 1) {
      s->adopt(1000000);
      CHECK(s->next().value() == 1000001);
      highest = 1000001;
    }
  }
}

TEST_CASE("sequencer: what is no number is not overwritten") {
  io::sim::storage disk;
  REQUIRE(disk.write("sequence", as_bytes("twelve")).has_value());
  auto const s = sequencer::open(disk, "sequence");
  REQUIRE_FALSE(s.has_value());
  CHECK(s.error() == errc::malformed);
  CHECK(s.error().message().find("sequence") == 0);
}
