#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/io/endpoint.hpp"

using namespace kadoro;
using io::endpoint;

namespace {

endpoint parsed(std::string_view text) {
  auto const made = endpoint::parse(text);
  REQUIRE_MESSAGE(made.has_value(), std::string(text));
  return *made;
}

}  // namespace

TEST_CASE("texts come back in their canonical form (RFC 5952)") {
  std::vector<std::pair<std::string, std::string>> const cases = {
      {"1.2.3.4:5", "1.2.3.4:5"},
      {"255.255.255.255:65535", "255.255.255.255:65535"},
      {"0.0.0.0:0", "0.0.0.0:0"},
      {"[::]:0", "[::]:0"},
      {"[::1]:5", "[::1]:5"},
      {"[1::]:5", "[1::]:5"},
      {"[0:0:0:0:0:0:0:0]:1", "[::]:1"},
      {"[2001:0DB8:0000:0000:0001:0000:0000:0001]:80", "[2001:db8::1:0:0:1]:80"},  // the first of equal runs
      {"[2001:db8:0:0:0:1:0:1]:80", "[2001:db8::1:0:1]:80"},
      {"[1:0:0:2:0:0:0:3]:1", "[1:0:0:2::3]:1"},                 // the longest run
      {"[2001:db8:0:1:1:1:1:1]:1", "[2001:db8:0:1:1:1:1:1]:1"},  // one zero group is not shortened
      {"[1:2:3:4:5:6:7::]:9", "[1:2:3:4:5:6:7:0]:9"},
      {"[::2:3:4:5:6:7:8]:1", "[0:2:3:4:5:6:7:8]:1"},
      {"[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1"},
      {"[::ffff:102:304]:1", "[::ffff:1.2.3.4]:1"},
      {"[64:ff9b::192.0.2.33]:1", "[64:ff9b::c000:221]:1"},
      {"[fe80::1%3]:7", "[fe80::1%3]:7"},
      {"[fe80::1%0]:7", "[fe80::1]:7"},
  };
  for (auto const& [text, canonical] : cases) {
    CHECK(parsed(text).to_string() == canonical);
    CHECK(parsed(canonical) == parsed(text));
  }
}

TEST_CASE("what is no address is refused, and named") {
  std::vector<std::string> const texts = {"",
                                          ":",
                                          "1.2.3.4",
                                          "1.2.3.4:",
                                          ":5",
                                          "1.2.3:4",
                                          "1.2.3.4.5:6",
                                          "1.2.3.:5",
                                          ".1.2.3:5",
                                          "1..2.3:5",
                                          "256.1.1.1:5",
                                          "01.2.3.4:5",
                                          "1.2.3.4:05",
                                          "1.2.3.4:65536",
                                          "1.2.3.4:+5",
                                          "1.2.3.4:-1",
                                          "1.2.3.4: 5",
                                          " 1.2.3.4:5",
                                          "1.2.3.4:5 ",
                                          "0x1.2.3.4:5",
                                          "localhost:80",
                                          "::1:5",
                                          "[::1]",
                                          "[::1]5",
                                          "[::1:5",
                                          "::1]:5",
                                          "[]:1",
                                          "[:]:1",
                                          "[:::]:1",
                                          "[1::2::3]:1",
                                          "[1:]:3",
                                          "[:1]:3",
                                          "[1:2:3:4:5:6:7]:1",
                                          "[1:2:3:4:5:6:7:8:9]:1",
                                          "[1:2:3:4:5:6:7:8::]:1",
                                          "[1::2:3:4:5:6:7:8]:1",
                                          "[12345::]:2",
                                          "[g::]:2",
                                          "[-1::]:1",
                                          "[::1.2.3]:1",
                                          "[::1.2.3.4:5]:1",
                                          "[1:2:3:4:5:6:7:1.2.3.4]:1",
                                          "[fe80::1%]:7",
                                          "[fe80::1%eth0]:7",
                                          "[fe80::1%4294967296]:7",
                                          "[1.2.3.4]:5",
                                          std::string("1.2.3.4:5\0", 10)};
  for (std::string const& text : texts) {
    auto const made = endpoint::parse(text);
    CAPTURE(text);
    CHECK_FALSE(made.has_value());
    if (made) continue;
    CHECK(made.error() == errc::invalid_argument);
    CHECK(made.error().message().find("'" + text + "'") != std::string::npos);
  }
  auto const hostile = endpoint::parse(std::string(100'000, ':'));
  REQUIRE_FALSE(hostile.has_value());
  CHECK(hostile.error().message().size() < 200);
}

TEST_CASE("every address survives its own text") {
  chacha20_random random(1);
  for (int i = 0; i < 20'000; ++i) {
    byte_array<16> address{};
    random.fill(address);
    for (std::uint8_t& byte : address)
      if (random.below(3) != 0) byte = 0;
    auto const port = static_cast<std::uint16_t>(random.below(65536));
    auto const scope = static_cast<std::uint32_t>(random.below(3));
    auto const v6 = endpoint::v6(address, port, scope);
    REQUIRE(parsed(v6.to_string()) == v6);
    auto const v4 = endpoint::v4({address[0], address[1], address[2], address[3]}, port);
    REQUIRE(parsed(v4.to_string()) == v4);
  }
}

TEST_CASE("random bytes never confuse the parser") {
  chacha20_random random(2);
  std::string const alphabet = "0123456789abcdef:::...[[]]%";
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (std::uint64_t size = random.below(14); size > 0; --size) text += alphabet[random.below(alphabet.size())];
    auto const made = endpoint::parse(text);
    if (!made) continue;
    ++accepted;
    REQUIRE(parsed(made->to_string()) == *made);
  }
  CHECK(accepted > 0);
}

TEST_CASE("addresses are classified") {
  for (char const* text : {"127.0.0.1:1", "127.255.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}) {
    CAPTURE(text);
    CHECK(parsed(text).is_loopback());
    CHECK(parsed(text).is_private());
  }
  for (char const* text :
       {"10.0.0.1:1", "172.16.0.1:1", "172.31.255.255:1", "192.168.1.1:1", "100.64.0.1:1", "100.127.255.255:1",
        "169.254.1.1:1", "[fe80::1]:1", "[febf::1]:1", "[fc00::1]:1", "[fdff::1]:1", "[::ffff:10.1.1.1]:1"}) {
    CAPTURE(text);
    CHECK_FALSE(parsed(text).is_loopback());
    CHECK(parsed(text).is_private());
  }
  for (char const* text : {"8.8.8.8:1", "11.0.0.1:1", "172.15.0.1:1", "172.32.0.1:1", "192.167.1.1:1", "100.63.0.1:1",
                           "100.128.0.1:1", "169.253.1.1:1", "126.0.0.1:1", "[2001:db8::1]:1", "[fec0::1]:1",
                           "[fe00::1]:1", "[::2]:1", "[::ffff:8.8.8.8]:1"}) {
    CAPTURE(text);
    CHECK_FALSE(parsed(text).is_loopback());
    CHECK_FALSE(parsed(text).is_private());
  }
  CHECK(parsed("0.0.0.0:5").is_unspecified());
  CHECK(parsed("[::]:5").is_unspecified());
  CHECK_FALSE(parsed("0.0.0.1:5").is_unspecified());
  CHECK_FALSE(parsed("[::1]:5").is_unspecified());
}

TEST_CASE("ranges and order") {
  CHECK(parsed("1.2.3.4:5").range() == parsed("1.2.3.200:9").range());
  CHECK(parsed("1.2.3.4:5").range() != parsed("1.2.4.4:5").range());
  CHECK(parsed("[2001:db8:1:2::3]:5").range() == parsed("[2001:db8:1:ffff::4]:6").range());
  CHECK(parsed("[2001:db8:1::]:5").range() != parsed("[2001:db8:2::]:5").range());
  CHECK(parsed("0.0.0.0:0").range() != parsed("[::]:0").range());

  CHECK(parsed("1.2.3.4:5") == parsed("1.2.3.4:5"));
  CHECK(parsed("1.2.3.4:5") != parsed("1.2.3.4:6"));
  CHECK(parsed("1.2.3.4:9") < parsed("1.2.3.5:1"));
  CHECK(parsed("1.2.3.4:5") < parsed("1.2.3.4:6"));
  CHECK(parsed("0.0.0.0:0") != parsed("[::]:0"));
  CHECK(parsed("[fe80::1%1]:5") != parsed("[fe80::1%2]:5"));
  CHECK(sizeof(endpoint) == 24);
}
