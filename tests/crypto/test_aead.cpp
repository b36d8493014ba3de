#include <doctest/doctest.h>

#include "crypto/hex.hpp"
#include "kadoro/crypto/aead.hpp"

using namespace kadoro;

namespace {

// RFC 8439, appendix A.5. Its nonce is 00000000 0102030405060708, which is the counter 0x0807060504030201.
auto const key = hex_array("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
constexpr std::uint64_t nonce = 0x0807060504030201;
auto const ad = hex("f33388860000000000004e91");
auto const plain =
    hex("496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f722061206d6178696d756d"
        "206f6620736978206d6f6e74687320616e64206d617920626520757064617465642c207265706c616365642c206f72206f62736f6c6574"
        "6564206279206f7468657220646f63756d656e747320617420616e792074696d652e20497420697320696e617070726f70726961746520"
        "746f2075736520496e7465726e65742d447261667473206173207265666572656e6365206d6174657269616c206f7220746f2063697465"
        "207468656d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67726573732e2fe2809d");
auto const sealed =
    hex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b01"
        "00d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b35"
        "06383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f8"
        "3fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a67276"
        "27097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b"
        "eead9d67890cbb22392336fea1851f38");

}  // namespace

TEST_CASE("aead: RFC 8439 A.5, both directions") {
  bytes out(plain.size() + crypto::tag_bytes);
  crypto::seal(key, nonce, ad, plain, out);
  CHECK(to_hex(out) == to_hex(sealed));
  bytes opened(plain.size());
  CHECK(crypto::open(key, nonce, ad, sealed, opened));
  CHECK(to_hex(opened) == to_hex(plain));
}

TEST_CASE("aead: in place") {
  bytes buffer = plain;
  buffer.resize(plain.size() + crypto::tag_bytes);
  crypto::seal(key, nonce, ad, bytes_view(buffer).first(plain.size()), buffer);
  CHECK(to_hex(buffer) == to_hex(sealed));
  CHECK(crypto::open(key, nonce, ad, buffer, bytes_span(buffer).first(plain.size())));
  buffer.resize(plain.size());
  CHECK(to_hex(buffer) == to_hex(plain));
}

TEST_CASE("aead: nothing that was changed opens") {
  bytes opened(plain.size());
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    bytes changed = sealed;
    changed[i] ^= 0x01;
    CHECK_FALSE(crypto::open(key, nonce, ad, changed, opened));
  }
  for (std::size_t i = 0; i < ad.size(); ++i) {
    bytes changed = ad;
    changed[i] ^= 0x80;
    CHECK_FALSE(crypto::open(key, nonce, changed, sealed, opened));
  }
  CHECK_FALSE(crypto::open(key, nonce + 1, ad, sealed, opened));
  auto other_key = key;
  other_key[31] ^= 1;
  CHECK_FALSE(crypto::open(other_key, nonce, ad, sealed, opened));
}

TEST_CASE("aead: every length that is cut short fails, an empty plaintext works") {
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    bytes opened(size < crypto::tag_bytes ? 0 : size - crypto::tag_bytes);
    CHECK_FALSE(crypto::open(key, nonce, ad, bytes_view(sealed).first(size), opened));
  }
  byte_array<crypto::tag_bytes> only_tag;
  crypto::seal(key, 0, {}, {}, only_tag);
  CHECK(crypto::open(key, 0, {}, only_tag, {}));
}
