#include <doctest/doctest.h>

#include "crypto/hex.hpp"
#include "kadoro/crypto/x25519.hpp"

using namespace kadoro;

TEST_CASE("x25519: RFC 7748, section 5.2") {
  auto const first = crypto::x25519(hex_array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                                    hex_array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
  REQUIRE(first);
  CHECK(to_hex(*first) == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  auto const second = crypto::x25519(hex_array("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                                     hex_array("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"));
  REQUIRE(second);
  CHECK(to_hex(*second) == "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST_CASE("x25519: RFC 7748, section 6.1") {
  auto const alice =
      crypto::x25519_from_secret(hex_array("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
  auto const bob =
      crypto::x25519_from_secret(hex_array("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  CHECK(to_hex(alice.public_key) == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  CHECK(to_hex(bob.public_key) == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  auto const shared = crypto::x25519(alice.secret, bob.public_key);
  REQUIRE(shared);
  CHECK(to_hex(*shared) == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST_CASE("x25519: two sides share a secret, and the same seed makes the same pair") {
  chacha20_random random(1);
  auto const a = crypto::generate_x25519(random);
  auto const b = crypto::generate_x25519(random);
  CHECK(a.public_key != b.public_key);
  auto const ab = crypto::x25519(a.secret, b.public_key);
  auto const ba = crypto::x25519(b.secret, a.public_key);
  REQUIRE(ab);
  REQUIRE(ba);
  CHECK(*ab == *ba);
  chacha20_random again(1);
  CHECK(crypto::generate_x25519(again).public_key == a.public_key);
}

TEST_CASE("x25519: points of small order are refused") {
  chacha20_random random(2);
  auto const pair = crypto::generate_x25519(random);
  char const* const points[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                                "0100000000000000000000000000000000000000000000000000000000000000",
                                "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"};
  for (char const* point : points) {
    auto const shared = crypto::x25519(pair.secret, hex_array(point));
    REQUIRE_FALSE(shared);
    CHECK(shared.error() == errc::malformed);
  }
}
