#include <doctest/doctest.h>

#include <algorithm>

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

TEST_CASE("bytes: copies assigned and appended, within the room there is and beyond it") {
  bytes pattern(1000);
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::uint8_t>(i * 7);
  auto const part = [&pattern](std::size_t first, std::size_t size) {
    return bytes_view(pattern).subspan(first, size);
  };

  bytes all;
  all.append({});
  CHECK(all.empty());
  for (std::size_t at = 0, size = 1; at + size <= pattern.size(); at += size, ++size) {
    all.append(part(at, size));
    REQUIRE(equal(all, part(0, at + size)));
  }
  std::size_t const room = std::min(all.capacity(), pattern.size());
  std::uint8_t const* const where = all.data();
  all.clear();
  all.append(part(0, room));
  CHECK(all.data() == where);
  CHECK(equal(all, part(0, room)));

  for (std::size_t const size : {10u, 300u, 20u, 0u, 500u}) {
    all.assign(part(size, size));
    CHECK(equal(all, part(size, size)));
  }
  all.assign(pattern);
  all.assign(bytes_view(all).subspan(5, 900));  // of itself
  CHECK(equal(all, part(5, 900)));
  bytes const& same = all;
  all = same;
  CHECK(equal(all, part(5, 900)));
}
