#include <doctest/doctest.h>

#include <map>
#include <string>

#include "crypto/hex.hpp"
#include "kadoro/crypto/identity.hpp"

using namespace kadoro;

namespace {

/// Storage in memory that can be told to fail.
class memory_storage final : public io::storage {
 public:
  std::map<std::string, bytes, std::less<>> blobs;
  bool broken = false;
  int writes = 0;

  result<bytes> read(std::string_view name) override {
    if (broken) return fail(errc::io_failure, "the disk is gone");
    auto const found = blobs.find(name);
    if (found == blobs.end()) return fail(errc::not_found);
    return found->second;
  }
  result<void> write(std::string_view name, bytes_view content) override {
    if (broken) return fail(errc::io_failure, "the disk is gone");
    ++writes;
    blobs[std::string(name)] = to_bytes(content);
    return {};
  }
  result<void> remove(std::string_view name) override {
    blobs.erase(std::string(name));
    return {};
  }
};

char const* const spec_private =
    "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";

}  // namespace

TEST_CASE("identity: RFC 8032, section 7.1") {
  struct vector {
    char const *seed, *public_key, *message, *signature;
  };
  vector const vectors[] = {
      {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2"
       "4"
       "655141438e7a100b"},
      {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
       "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302ae"
       "e"
       "b00d291612bb0c00"},
      {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
       "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28"
       "d"
       "c027beceea1ec40a"},
  };
  for (auto const& v : vectors) {
    auto const id = crypto::identity::from_seed(hex_array(v.seed));
    auto const message = hex(v.message);
    CHECK(to_hex(id.public_key()) == v.public_key);
    CHECK(to_hex(id.sign(message)) == v.signature);
    CHECK(crypto::verify(id.public_key(), message, hex(v.signature)));
  }
}

TEST_CASE("identity: a signature that was changed anywhere does not verify") {
  chacha20_random random(3);
  auto const id = crypto::identity::generate(random);
  auto const message = to_bytes(as_bytes("a message"));
  auto const signature = id.sign(message);
  REQUIRE(crypto::verify(id.public_key(), message, signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    auto changed = signature;
    changed[i] ^= 0x10;
    CHECK_FALSE(crypto::verify(id.public_key(), message, changed));
  }
  for (std::size_t i = 0; i < message.size(); ++i) {
    auto changed = message;
    changed[i] ^= 0x01;
    CHECK_FALSE(crypto::verify(id.public_key(), changed, signature));
  }
  CHECK_FALSE(crypto::verify(id.public_key(), message, bytes_view(signature).first(63)));
  CHECK_FALSE(crypto::verify(id.public_key(), message, {}));
  CHECK_FALSE(crypto::verify(crypto::identity::generate(random).public_key(), message, signature));
  CHECK_FALSE(crypto::verify(byte_array<32>{}, message, signature));
}

TEST_CASE("identity: the X25519 key that others derive from the public key is ours") {
  chacha20_random random(4);
  for (int i = 0; i < 20; ++i) {
    auto const id = crypto::identity::generate(random);
    auto const derived = crypto::x25519_of(id.public_key());
    REQUIRE(derived);
    CHECK(*derived == id.x25519().public_key);
    CHECK(crypto::x25519_from_secret(id.x25519().secret).public_key == *derived);
  }
  auto const none = crypto::x25519_of(byte_array<32>{});
  REQUIRE_FALSE(none);
  CHECK(none.error() == errc::malformed);
}

TEST_CASE("identity: the private key vector of libp2p, both directions") {
  auto const id = crypto::identity::decode(hex(spec_private));
  REQUIRE(id);
  CHECK(to_hex(id->public_key()) == "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e");
  CHECK(to_hex(id->encode()) == spec_private);
  CHECK(
      to_hex(id->sign(as_bytes("x"))) ==
      to_hex(crypto::identity::from_seed(hex_array("7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"))
                 .sign(as_bytes("x"))));
}

TEST_CASE("identity: the form with the public key twice is read if both are the same") {
  std::string text = spec_private;
  text.replace(0, 8, "08011260");
  std::string const public_key = text.substr(text.size() - 64);
  auto const good = crypto::identity::decode(hex(text + public_key));
  REQUIRE(good);
  CHECK(to_hex(good->encode()) == spec_private);

  std::string wrong = public_key;
  wrong[10] = wrong[10] == '0' ? '1' : '0';
  CHECK_FALSE(crypto::identity::decode(hex(text + wrong)));
  CHECK_FALSE(crypto::identity::decode(hex(text.substr(0, text.size() - 64) + wrong + public_key)));
  CHECK_FALSE(crypto::identity::decode(hex(text.substr(0, text.size() - 64) + wrong + wrong)));
}

TEST_CASE("identity: what is no Ed25519 private key is malformed") {
  bytes const good = hex(spec_private);
  for (std::size_t size = 0; size < good.size(); ++size) {
    auto const cut = crypto::identity::decode(bytes_view(good).first(size));
    REQUIRE_FALSE(cut);
    CHECK(cut.error() == errc::malformed);
  }
  for (std::size_t i = 0; i < good.size(); ++i) {  // a seed and a public key that do not belong together, too
    bytes changed = good;
    changed[i] ^= 0x01;
    CHECK_FALSE(crypto::identity::decode(changed));
  }
  CHECK_FALSE(
      crypto::identity::decode(hex("0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb")));
}

TEST_CASE("identity: load_or_create makes one once and finds it again") {
  memory_storage storage;
  chacha20_random random(5);
  auto const made = crypto::identity::load_or_create(storage, "identity.key", random);
  REQUIRE(made);
  auto const found = crypto::identity::load_or_create(storage, "identity.key", random);
  REQUIRE(found);
  CHECK(found->public_key() == made->public_key());
  CHECK(storage.writes == 1);
}

TEST_CASE("identity: load_or_create never overwrites what it does not understand") {
  memory_storage storage;
  chacha20_random random(6);
  storage.blobs["identity.key"] = hex("00112233");
  auto const loaded = crypto::identity::load_or_create(storage, "identity.key", random);
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error() == errc::malformed);
  CHECK(loaded.error().message().find("identity.key") != std::string::npos);
  CHECK(loaded.error().message().find("backup") != std::string::npos);
  CHECK(storage.writes == 0);
  CHECK(to_hex(storage.blobs["identity.key"]) == "00112233");
}

TEST_CASE("identity: load_or_create hands on what the disk says") {
  memory_storage storage;
  storage.broken = true;
  chacha20_random random(7);
  auto const loaded = crypto::identity::load_or_create(storage, "identity.key", random);
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error() == errc::io_failure);
}
