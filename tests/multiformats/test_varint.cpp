#include <doctest/doctest.h>

#include "crypto/hex.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/multiformats/varint.hpp"

using namespace kadoro;
namespace mf = kadoro::multiformats;

TEST_CASE("varint: examples of the specification, both directions") {
  struct vector {
    std::uint64_t value;
    char const* encoded;
  };
  vector const vectors[] = {{0, "00"},
                            {1, "01"},
                            {127, "7f"},
                            {128, "8001"},
                            {255, "ff01"},
                            {300, "ac02"},
                            {16384, "808001"},
                            {0x30006b, "eb80c001"},
                            {(std::uint64_t{1} << 63) - 1, "ffffffffffffffff7f"}};
  for (auto const& v : vectors) {
    bytes out;
    mf::append_varint(out, v.value);
    CHECK(to_hex(out) == v.encoded);
    CHECK(mf::varint_size(v.value) == out.size());
    out.push_back(0x55);  // what follows is not its business
    auto const decoded = mf::decode_varint(out);
    REQUIRE(decoded);
    CHECK(decoded->value == v.value);
    CHECK(decoded->size == out.size() - 1);
  }
}

TEST_CASE("varint: what is not minimal, cut short or too long is malformed") {
  for (char const* text : {"", "80", "8080", "8100", "8000", "ff8000", "ffffffffffffffffff01", "808080808080808080",
                           "80808080808080808001", "ffffffffffffffff"}) {
    CAPTURE(text);
    auto const decoded = mf::decode_varint(hex(text));
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error() == errc::malformed);
  }
}

TEST_CASE("varint: round trips") {
  chacha20_random random(1);
  for (int i = 0; i < 10000; ++i) {
    std::uint64_t const bits = random.below(63);
    std::uint64_t const value = random.next() >> (1 + bits);
    byte_array<mf::max_varint_bytes> out;
    std::size_t const size = mf::encode_varint(value, out);
    auto const decoded = mf::decode_varint(bytes_view(out).first(size));
    REQUIRE(decoded);
    CHECK(decoded->value == value);
    CHECK(decoded->size == size);
  }
}
