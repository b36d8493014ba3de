#include <doctest/doctest.h>

#include "kadoro/multiformats/multihash.hpp"

using namespace kadoro;
using multiformats::multihash;

namespace {

bytes hex(std::string_view text) {
  bytes out;
  REQUIRE(from_hex(text, out));
  return out;
}

}  // namespace

TEST_CASE("multihash: SHA-256 of a content, with its code and length before it") {
  multihash const m = multihash::sha2_256(as_bytes("hello"));
  CHECK(to_hex(m.bytes()) == "12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  CHECK(m.code() == multihash::sha2_256_code);
  CHECK(m.digest().size() == 32);
  CHECK(m.to_string() == "QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5");
  auto const back = multihash::from_bytes(m.bytes());
  REQUIRE(back.has_value());
  CHECK(*back == m);
  CHECK_FALSE(m.empty());
  CHECK(multihash().empty());
}

TEST_CASE("multihash: the identity contains what it names, up to 78 bytes") {
  auto const m = multihash::identity(as_bytes("abc"));
  REQUIRE(m.has_value());
  CHECK(to_hex(m->bytes()) == "0003616263");
  CHECK(m->code() == multihash::identity_code);
  CHECK(as_text(m->digest()) == "abc");
  CHECK(multihash::identity(bytes(78, 1)).has_value());
  auto const over = multihash::identity(bytes(79, 1));
  REQUIRE_FALSE(over.has_value());
  CHECK(over.error() == errc::too_large);
  CHECK_FALSE(multihash::identity({}).has_value());
}

TEST_CASE("multihash: other functions are taken as they are, nonsense is not") {
  CHECK(multihash::from_bytes(hex("1114" + std::string(40, '0'))).has_value());      // SHA-1
  auto const blake = multihash::from_bytes(hex("a0e40220" + std::string(64, '7')));  // blake2b-256, a code of two bytes
  REQUIRE(blake.has_value());
  CHECK(blake->code() == 0xb220);
  CHECK(blake->digest().size() == 32);
  for (char const* wrong :
       {"", "12", "1220", "121f00", "0000", "000361", "00036162630000", "8000", "ffffffffffffffffff01"}) {
    CAPTURE(wrong);
    auto const m = multihash::from_bytes(hex(wrong));
    REQUIRE_FALSE(m.has_value());
    CHECK(m.error() == errc::malformed);
  }
  CHECK(multihash::from_bytes(hex("1201ff")).error() == errc::malformed);  // a SHA-256 of one byte
  CHECK(multihash::from_bytes(bytes(81)).error() == errc::too_large);
}

TEST_CASE("multihash: text is base58btc, or a CID with a multihash in it") {
  auto const whole = multihash::sha2_256(as_bytes("hello"));
  CHECK(multihash::parse(whole.to_string()).value() == whole);
  // CIDv1, raw, base32.
  auto const cid = multihash::parse("bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
  REQUIRE(cid.has_value());
  CHECK(*cid == whole);
  for (char const* wrong : {"", "Qm", "Qm0", "b", "bafk", "hello", "12D3KooW", "z"}) {
    CAPTURE(wrong);
    auto const m = multihash::parse(wrong);
    REQUIRE_FALSE(m.has_value());
    CHECK(m.error() == errc::malformed);
  }
}
