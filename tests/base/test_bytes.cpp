#include <doctest/doctest.h>

#include "kadoro/base/bytes.hpp"

using namespace kadoro;

TEST_CASE("bytes: hexadecimal both ways") {
  CHECK(to_hex(bytes{}) == "");
  CHECK(to_hex(bytes{0x00, 0x7f, 0xff}) == "007fff");
  bytes out{1};
  CHECK(from_hex("007fFF", out));
  CHECK(out == bytes{0x00, 0x7f, 0xff});
  CHECK_FALSE(from_hex("0", out));
  CHECK_FALSE(from_hex("0g", out));
  CHECK(out == bytes{0x00, 0x7f, 0xff});  // untouched by a failure
}

TEST_CASE("bytes: order and equality") {
  CHECK(compare(as_bytes("a"), as_bytes("b")) < 0);
  CHECK(compare(as_bytes("ab"), as_bytes("a")) > 0);
  CHECK(compare(as_bytes("a"), as_bytes("a")) == 0);
  CHECK(compare(bytes{0x80}, bytes{0x7f}) > 0);  // unsigned
  CHECK(compare(bytes{}, bytes{0}) < 0);
  CHECK(equal(bytes{}, bytes{}));
  CHECK_FALSE(equal(bytes{1}, bytes{2}));
}

TEST_CASE("bytes: big-endian") {
  byte_array<8> raw{};
  store_be<std::uint64_t>(raw.data(), 0x0102030405060708);
  CHECK(to_hex(raw) == "0102030405060708");
  CHECK(load_be<std::uint64_t>(raw.data()) == 0x0102030405060708);
  CHECK(load_be<std::uint16_t>(raw.data() + 6) == 0x0708);
  CHECK(load_be<std::uint8_t>(raw.data() + 7) == 8);
}
