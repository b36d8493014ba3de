#include <doctest/doctest.h>

#include "kadoro/kad/quorum.hpp"

using namespace kadoro;
using kadoro::kad::quorum;

TEST_CASE("quorum: relative to those that there are, and at least one") {
  CHECK(quorum::one().needed(8) == 1);
  CHECK(quorum::majority().needed(8) == 5);
  CHECK(quorum::majority().needed(7) == 4);
  CHECK(quorum::all().needed(8) == 8);
  CHECK(quorum::of(3).needed(8) == 3);
  CHECK(quorum::of(20).needed(8) == 8);
  for (quorum const q : {quorum::one(), quorum::majority(), quorum::all(), quorum::of(3)}) CHECK(q.needed(0) == 1);
}

TEST_CASE("quorum: read from text") {
  CHECK(quorum::parse("one").value().needed(8) == 1);
  CHECK(quorum::parse("majority").value().needed(8) == 5);
  CHECK(quorum::parse("all").value().needed(8) == 8);
  CHECK(quorum::parse("3").value().needed(8) == 3);
  for (char const* wrong : {"", "0", "-1", "3x", "most", "99999999999999999999"}) {
    auto const q = quorum::parse(wrong);
    REQUIRE_FALSE(q.has_value());
    CHECK(q.error() == errc::invalid_argument);
    CHECK(q.error().message().find(std::string("'") + wrong + "'") != std::string::npos);
  }
}
