#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "crypto/hex.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/multiformats/base58.hpp"
#include "kadoro/multiformats/key_protobuf.hpp"
#include "kadoro/multiformats/peer_id.hpp"

using namespace kadoro;
using multiformats::key_type;
using multiformats::peer_id;

namespace {

struct vector {
  key_type type;
  std::string public_key;  ///< protobuf
  std::string id;
  std::string base58;
};

// The keys of the libp2p peer id specification, and the Ed25519 key whose seed is 32 times 02.
std::vector<vector> const vectors = {
    {key_type::ed25519, "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"},
    {key_type::secp256k1, "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
     "002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
     "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY"},
    {key_type::ecdsa,
     "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc90"
     "1"
     "d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62",
     "122068362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7",
     "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"},
    {key_type::rsa,
     "080012a60430820222300d06092a864886f70d01010105000382020f003082020a0282020100e1beab071d08200bde24eef00d049449b077"
     "70ff9910257b2d7d5dda242ce8f0e2f12e1af4b32d9efd2c090f66b0f29986dbb645dae9880089704a94e5066d594162ae6ee8892e6ec707"
     "01db0a6c445c04778eb3de1293aa1a23c3825b85c6620a2bc3f82f9b0c309bc0ab3aeb1873282bebd3da03c33e76c21e9beb172fd44c9e43"
     "be32e2c99827033cf8d0f0c606f4579326c930eb4e854395ad941256542c793902185153c474bed109d6ff5141ebf9cd256cf58893a37f83"
     "729f97e7cb435ec679d2e33901d27bb35aa0d7e20561da08885ef0abbf8e2fb48d6a5487047a9ecb1ad41fa7ed84f6e3e8ecd5d98b3982d2"
     "a901b4454991766da295ab78822add5612a2df83bcee814cf50973e80d7ef38111b1bd87da2ae92438a2c8cbcc70b31ee319939a3b9c761d"
     "bc13b5c086d6b64bf7ae7dacc14622375d92a8ff9af7eb962162bbddebf90acb32adb5e4e4029f1c96019949ecfbfeffd7ac1e3fbcc6b616"
     "8c34be3d5a2e5999fcbb39bba7adbca78eab09b9bc39f7fa4b93411f4cc175e70c0a083e96bfaefb04a9580b4753c1738a6a760ae1afd851"
     "a1a4bdad231cf56e9284d832483df215a46c1c21bdf0c6cfe951c18f1ee4078c79c13d63edb6e14feaeffabc90ad317e4875fe648101b086"
     "4097e998f0ca3025ef9638cd2b0caecd3770ab54a1d9c6ca959b0f5dcbc90caeefc4135baca6fd475224269bbe1b0203010001",
     "1220b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd",
     "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG"},
    {key_type::ed25519, "080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394",
     "0024080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394",
     "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"},
};

}  // namespace

TEST_CASE("key protobuf: public key vectors, both directions") {
  for (auto const& v : vectors) {
    auto const encoded = hex(v.public_key);
    auto const key = multiformats::decode_public_key(encoded);
    REQUIRE(key);
    CHECK(key->type == v.type);
    CHECK(to_hex(multiformats::encode_key(key->type, key->data)) == v.public_key);
  }
}

TEST_CASE("key protobuf: private key vectors, both directions") {
  for (char const* text : {"080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fae2c4a144b8b"
                           "e8fd4b47bf3d3b34b871"
                           "c3cacf6010f0e42d474fce27e",
                           "0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb",
                           "08031279307702010104203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3dfa4a4ca00a0"
                           "6082a8648ce3d030107a1"
                           "4403420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71"
                           "d6851510c098e5c47c646"
                           "a597fb4dcec034e9f77c409e62"}) {
    auto const encoded = hex(text);
    auto const key = multiformats::decode_key(encoded);
    REQUIRE(key);
    CHECK(to_hex(multiformats::encode_key(key->type, key->data)) == text);
  }
}

TEST_CASE("key protobuf: only the one encoding is taken") {
  std::string const data = "12201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
  REQUIRE(multiformats::decode_public_key(hex("0801" + data)));
  for (std::string const& text :
       {data, data + "0801", "0801" + data + "1800", "0801" + data + data, "088100" + data, "0804" + data,
        std::string("0801"), std::string(), std::string("08011200"), "0801" + data.substr(0, 40),
        "0801121f" + data.substr(4, 62), "0802" + data, "0801" + data + "0b", std::string("ff"), "0d01000000" + data}) {
    CAPTURE(text);
    auto const key = multiformats::decode_public_key(hex(text));
    REQUIRE_FALSE(key);
    CHECK(key.error() == errc::malformed);
  }
  auto const large = multiformats::decode_key(bytes(multiformats::max_key_bytes + 1));
  REQUIRE_FALSE(large);
  CHECK(large.error() == errc::too_large);
}

TEST_CASE("peer_id: vectors, both directions") {
  for (auto const& v : vectors) {
    auto const id = peer_id::of_public_key_protobuf(hex(v.public_key));
    CHECK(to_hex(id.bytes()) == v.id);
    CHECK(id.to_string() == v.base58);
    auto const parsed = peer_id::parse(v.base58);
    REQUIRE(parsed);
    CHECK(*parsed == id);
    auto const read = peer_id::from_bytes(hex(v.id));
    REQUIRE(read);
    CHECK(*read == id);
    CHECK(id.ed25519_key().has_value() == (v.type == key_type::ed25519));
    CHECK_FALSE(id.empty());
  }
}

TEST_CASE("peer_id: the texts of the specification") {
  struct text_vector {
    char const *text, *id;
  };
  char const* const ed25519 = "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
  char const* const secp256k1 = "002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99";
  char const* const rsa = "12209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b9";
  text_vector const texts[] = {
      {"bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6", ed25519},
      {"k51qzi5uqu5dgy8qsq67hbz73jqkw87l3fgf4a91qb0d9b5173tir7n4vxk1oe", ed25519},
      {"bafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6kte", secp256k1},
      {"bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", rsa},
      {"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", rsa},
      {"12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
       "0024080112202ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b"},
  };
  for (auto const& t : texts) {
    CAPTURE(t.text);
    auto const id = peer_id::parse(t.text);
    REQUIRE(id);
    CHECK(to_hex(id->bytes()) == t.id);
  }
  bytes cid = hex("0172");
  auto const multihash = hex(ed25519);
  cid.insert(cid.end(), multihash.begin(), multihash.end());
  auto const base58_cid = peer_id::parse("z" + multiformats::encode_base58(cid));
  REQUIRE(base58_cid);
  CHECK(to_hex(base58_cid->bytes()) == ed25519);
}

TEST_CASE("peer_id: the key inside, and the Kademlia keys") {
  byte_array<32> seed;
  seed.fill(0x02);
  auto const id = crypto::identity::from_seed(seed);
  auto const b = peer_id::of_ed25519(id.public_key());
  CHECK(to_hex(b.bytes()) == vectors[4].id);
  REQUIRE(b.ed25519_key());
  CHECK(*b.ed25519_key() == id.public_key());
  CHECK(to_hex(crypto::sha256(b.bytes())) == "75f5c871a3d51c00ce144d800304f53a7cba4c17af1c3e7f4d61777d46dc6e72");
  CHECK(to_hex(crypto::sha256(hex(vectors[0].id))) ==
        "dfd53212a4bd2beda3ea8e82d08285370c70a70cfe9c588e28754b23c8033121");
}

TEST_CASE("peer_id: an identity multihash need not be a key") {
  auto const target = peer_id::from_bytes(hex("0020" + std::string(64, 'a')));
  REQUIRE(target);
  CHECK_FALSE(target->ed25519_key());
  auto const again = peer_id::parse(target->to_string());
  REQUIRE(again);
  CHECK(*again == *target);
  // 42 bytes are inlined, 43 are hashed.
  CHECK(peer_id::of_public_key_protobuf(bytes(42, 7)).bytes().size() == 44);
  CHECK(peer_id::of_public_key_protobuf(bytes(43, 7)).bytes().size() == 34);
  CHECK(peer_id::from_bytes(hex("002a" + std::string(84, '1'))).has_value());
}

TEST_CASE("peer_id: what is no multihash of ours is malformed") {
  std::string const good = vectors[0].id;
  for (std::string const& text :
       {std::string(), std::string("00"), "002b" + std::string(86, '1'), good + "00", good.substr(0, good.size() - 2),
        "1220" + std::string(62, '1'), "1220" + std::string(66, '1'), "1320" + std::string(64, '1'),
        "121f" + std::string(62, '1'), "0172" + good, "00a400" + good.substr(4), std::string(2000, 'a')}) {
    auto const id = peer_id::from_bytes(hex(text));
    REQUIRE_FALSE(id);
    CHECK(id.error() == errc::malformed);
  }
  for (std::string const& text :
       {std::string(), std::string("1"), std::string("Qm"), std::string("12D3KooW"), std::string("hello"),
        std::string("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3p0"),
        std::string("12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pqq"), std::string("zzz"), std::string("b"),
        std::string("bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt"), std::string(10000, '1'),
        std::string(10000, 'b')}) {
    CAPTURE(text);
    auto const id = peer_id::parse(text);
    REQUIRE_FALSE(id);
    CHECK(id.error() == errc::malformed);
  }
}

TEST_CASE("peer_id: short text, order, hash") {
  auto const a = peer_id::parse(vectors[0].base58).value();
  auto const b = peer_id::parse(vectors[4].base58).value();
  CHECK(a.short_string() == "12D3..o7R3pq");
  CHECK(peer_id().short_string().empty());
  CHECK(peer_id().empty());
  CHECK(a < b);
  CHECK(peer_id() < a);
  CHECK(a != b);
  CHECK(std::hash<peer_id>()(a) == a.hash());
  CHECK(a.hash() != b.hash());
  CHECK(peer_id().hash() == static_cast<std::size_t>(0xcbf29ce484222325));
  CHECK(sizeof(peer_id) == 45);
}
