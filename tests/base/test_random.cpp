#include <doctest/doctest.h>

#include <array>

#include "kadoro/base/random.hpp"

using namespace kadoro;

TEST_CASE("random: the ChaCha20 stream of a zero seed is that of RFC 8439's algorithm with a zero key") {
  chacha20_random random(0);
  byte_array<64> first{};
  random.fill(first);
  CHECK(to_hex(first) ==
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
}

TEST_CASE("random: the same seed gives the same bytes, however they are asked for") {
  chacha20_random whole(7);
  chacha20_random parts(7);
  byte_array<3000> a{};
  byte_array<3000> b{};
  whole.fill(a);
  for (std::size_t at = 0; at < b.size();) {
    std::size_t const take = std::min<std::size_t>(b.size() - at, 1 + at % 700);
    parts.fill(bytes_span(b).subspan(at, take));
    at += take;
  }
  CHECK(a == b);
  chacha20_random other(8);
  other.fill(b);
  CHECK(a != b);
}

TEST_CASE("random: below is within its bound and even") {
  chacha20_random random(3);
  CHECK(random.below(0) == 0);
  CHECK(random.below(1) == 0);
  std::array<int, 6> seen{};
  for (int i = 0; i < 60000; ++i) ++seen[random.below(6)];
  for (int const n : seen) {
    CHECK(n > 9500);
    CHECK(n < 10500);
  }
  std::uint64_t const large = (std::uint64_t{1} << 63) + 1;
  for (int i = 0; i < 100; ++i) CHECK(random.below(large) < large);
}

TEST_CASE("random: unit lies in [0, 1)") {
  chacha20_random random(4);
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    double const u = random.unit();
    CHECK(u >= 0);
    CHECK(u < 1);
    sum += u;
  }
  CHECK(sum > 4800);
  CHECK(sum < 5200);
}

TEST_CASE("random: the system's source gives something, and not the same twice") {
  system_random random;
  byte_array<32> a{};
  byte_array<32> b{};
  random.fill(a);
  random.fill(b);
  CHECK(a != b);
}
