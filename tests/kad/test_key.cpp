#include <doctest/doctest.h>

#include <string>

#include "kadoro/crypto/identity.hpp"
#include "kadoro/kad/key.hpp"

using namespace kadoro;
using kad::key;

namespace {

key random_key(random_source& random) {
  crypto::digest at;
  random.fill(at);
  return key(at);
}

/// XOR distance, one byte after the other: orders as the number does.
crypto::digest distance(key const& a, key const& b) {
  crypto::digest out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(a.bytes()[i] ^ b.bytes()[i]);
  return out;
}

int slow_common_prefix(key const& a, key const& b) {
  int shared = 0;
  while (shared < key::bits && a.bit(shared) == b.bit(shared)) ++shared;
  return shared;
}

std::string key_of_id(std::string_view hex) {
  bytes id;
  REQUIRE(from_hex(hex, id));
  auto const parsed = multiformats::peer_id::from_bytes(id);
  REQUIRE(parsed);
  return key::of(*parsed).to_hex(64);
}

}  // namespace

TEST_CASE("a key is the SHA-256 of a record key or of a peer id, as in libp2p") {
  CHECK(key::of(as_bytes("/test/hello")).to_hex(64) ==
        "0c721dc1c3a1a1f8b2b3659b5db18746ad70e1815fd590eaccb6efb731cf339b");
  CHECK(key_of_id("0024080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394") ==
        "75f5c871a3d51c00ce144d800304f53a7cba4c17af1c3e7f4d61777d46dc6e72");

  byte_array<32> seed;
  seed.fill(2);
  auto const b = multiformats::peer_id::of_ed25519(crypto::identity::from_seed(seed).public_key());
  CHECK(key::of(b).to_hex() == "75f5c871");
  CHECK(key_of_id("0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e") ==
        "dfd53212a4bd2beda3ea8e82d08285370c70a70cfe9c588e28754b23c8033121");
}

TEST_CASE("common_prefix counts shared leading bits") {
  chacha20_random random(1);
  key const self = random_key(random);
  CHECK(self.common_prefix(self) == 256);
  CHECK(key().common_prefix(key()) == 256);
  for (int prefix = 0; prefix < key::bits; ++prefix) {
    key const other = key::random_in_bucket(self, prefix, random);
    CHECK(self.common_prefix(other) == prefix);
    CHECK(other.common_prefix(self) == prefix);
    CHECK(slow_common_prefix(self, other) == prefix);
  }
}

TEST_CASE("random_in_bucket fills the bits behind the prefix") {
  chacha20_random random(2);
  key const self = random_key(random);
  key const one = key::random_in_bucket(self, 3, random);
  key const two = key::random_in_bucket(self, 3, random);
  CHECK(one != two);
  // The only key of the last bucket differs in the last bit.
  crypto::digest last = self.bytes();
  last[31] ^= 1;
  CHECK(key::random_in_bucket(self, 255, random) == key(last));
}

TEST_CASE("closer compares XOR distances") {
  chacha20_random random(3);
  for (int i = 0; i < 2000; ++i) {
    key const self = random_key(random);
    // Mostly deep in the key space, where the keys differ late.
    int const prefix = static_cast<int>(random.below(256));
    key const a = key::random_in_bucket(self, prefix, random);
    key const b = key::random_in_bucket(a, prefix < 250 ? prefix + 5 : 255, random);
    CHECK(self.closer(a, b) == (distance(self, a) < distance(self, b)));
    CHECK(self.closer(b, a) == (distance(self, b) < distance(self, a)));
    CHECK_FALSE(self.closer(a, a));
    CHECK(self.closer(self, a));
  }
}

TEST_CASE("keys order as big-endian numbers and print as hexadecimal") {
  crypto::digest low{};
  crypto::digest high{};
  low[31] = 0xff;
  high[0] = 1;
  CHECK(key(low) < key(high));
  CHECK(key(high).to_hex() == "01000000");
  CHECK(key(high).to_hex(4) == "0100");
  CHECK(key(high).to_hex(99).size() == 64);
}
