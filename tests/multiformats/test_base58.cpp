#include <doctest/doctest.h>

#include <string>

#include "crypto/hex.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/multiformats/base58.hpp"
#include "kadoro/multiformats/multibase.hpp"

using namespace kadoro;
namespace mf = kadoro::multiformats;

TEST_CASE("base58: known values, both directions") {
  struct vector {
    char const *data, *text;
  };
  vector const vectors[] = {{"", ""},
                            {"00", "1"},
                            {"0000", "11"},
                            {"61", "2g"},
                            {"626262", "a3gV"},
                            {"636363", "aPEr"},
                            {"48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U"},
                            {"00000000000000000000", "1111111111"},
                            {"000000287fb4cd", "111233QC4"}};
  for (auto const& v : vectors) {
    CHECK(mf::encode_base58(hex(v.data)) == v.text);
    auto const decoded = mf::decode_base58(v.text);
    REQUIRE(decoded);
    CHECK(to_hex(*decoded) == v.data);
  }
}

TEST_CASE("base58: round trips") {
  chacha20_random random(1);
  for (std::size_t size = 0; size <= mf::max_base58_bytes; ++size) {
    bytes data(size);
    random.fill(data);
    if (size > 3 && size % 3 == 0) data[0] = data[1] = 0;
    auto const decoded = mf::decode_base58(mf::encode_base58(data));
    REQUIRE(decoded);
    CHECK(to_hex(*decoded) == to_hex(data));
  }
}

TEST_CASE("base58: what is outside the alphabet or the bound is refused") {
  for (char const* text : {"0", "O", "I", "l", "abc ", "a\xc3\xa4", "+", "-"}) CHECK_FALSE(mf::decode_base58(text));
  auto const large = mf::decode_base58(std::string(1000, '2'));
  REQUIRE_FALSE(large);
  CHECK(large.error() == errc::too_large);
}

TEST_CASE("multibase: the same bytes in every base that we take") {
  for (char const* text : {"bpfsxgidnmfxgsibb", "k2lcpzo5yikidynfl", "z7paNL19xttacUY", "ueWVzIG1hbmkgIQ"}) {
    CAPTURE(text);
    auto const decoded = mf::decode_multibase(text);
    REQUIRE(decoded);
    CHECK(as_text(*decoded) == "yes mani !");
  }
  CHECK(mf::encode_multibase_base64url(as_bytes("yes mani !")) == "ueWVzIG1hbmkgIQ");
}

TEST_CASE("multibase: wrong prefixes and digits are refused") {
  for (char const* text :
       {"", "a", "f00", "B", "ba1", "baa=", "b0", "bA", "ba", "bab", "kA", "k-", "z0", "u+", "u=", "ueW=="}) {
    CAPTURE(text);
    CHECK_FALSE(mf::decode_multibase(text));
  }
  CHECK_FALSE(mf::decode_multibase("b" + std::string(5000, 'a')));
  CHECK_FALSE(mf::decode_multibase("k" + std::string(500, 'a')));
}
