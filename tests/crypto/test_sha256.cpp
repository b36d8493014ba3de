#include <doctest/doctest.h>

#include "crypto/hex.hpp"
#include "kadoro/crypto/sha256.hpp"

using namespace kadoro;

TEST_CASE("sha256: FIPS 180-4 examples") {
  CHECK(to_hex(crypto::sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(crypto::sha256(as_bytes("abc"))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(crypto::sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("sha256: the Kademlia keys of the libp2p vectors") {
  CHECK(to_hex(crypto::sha256(as_bytes("/test/hello"))) ==
        "0c721dc1c3a1a1f8b2b3659b5db18746ad70e1815fd590eaccb6efb731cf339b");
}

TEST_CASE("sha256: pieces hash like the whole, however it is cut") {
  bytes data(200);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 7);
  auto const whole = crypto::sha256(data);
  for (std::size_t cut = 0; cut <= data.size(); ++cut) {
    bytes_view const view(data);
    CHECK(crypto::sha256_hasher().update(view.first(cut)).update(view.subspan(cut)).finish() == whole);
  }
}

TEST_CASE("hmac_sha256: RFC 4231") {
  struct vector {
    bytes key, data;
    char const* mac;
  };
  vector const vectors[] = {
      {bytes(20, 0x0b), to_bytes(as_bytes("Hi There")),
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {to_bytes(as_bytes("Jefe")), to_bytes(as_bytes("what do ya want for nothing?")),
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {bytes(20, 0xaa), bytes(50, 0xdd), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {bytes(131, 0xaa), to_bytes(as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")),
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
  };
  for (auto const& v : vectors) CHECK(to_hex(crypto::hmac_sha256(v.key, v.data)) == v.mac);
}

TEST_CASE("hmac_sha256: an empty key and empty data") {
  CHECK(to_hex(crypto::hmac_sha256({}, {})) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
