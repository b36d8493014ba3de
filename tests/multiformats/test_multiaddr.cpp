#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "crypto/hex.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/multiformats/multiaddr.hpp"

using namespace kadoro;
using multiformats::multiaddr;
using multiformats::peer_id;
namespace protocol = kadoro::multiformats::protocol;

namespace {

struct vector {
  std::string text;
  std::string binary;
};

std::string const peer_text = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
std::string const peer_binary = "a503260024080112202ffa35a99d3a3cfbb17bb7c1dc5561b18a8dcca4df38dc613ea859c37eb1336b";
std::string const qm_text = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
std::string const qm_binary = "a5032212209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b9";

std::vector<vector> const vectors = {
    {"/ip4/127.0.0.1/tcp/4001", "047f000001060fa1"},
    {"/ip4/127.0.0.1/udp/1234", "047f000001910204d2"},
    {"/ip4/1.2.3.4/udp/4001/quic-v1", "040102030491020fa1cd03"},
    {"/ip6/::1/tcp/4001", "2900000000000000000000000000000001060fa1"},
    {"/ip6/2001:db8::1/tcp/443", "2920010db80000000000000000000000010601bb"},
    {"/dns/example.com/tcp/443", "350b6578616d706c652e636f6d0601bb"},
    {"/dns4/example.com/tcp/443", "360b6578616d706c652e636f6d0601bb"},
    {"/dns6/example.com/tcp/443", "370b6578616d706c652e636f6d0601bb"},
    {"/dnsaddr/bootstrap.libp2p.io", "3813626f6f7473747261702e6c69627032702e696f"},
    {"/ip4/127.0.0.1/tcp/8080/ws", "047f000001061f90dd03"},
    {"/dns4/example.com/tcp/443/wss", "360b6578616d706c652e636f6d0601bbde03"},
    {"/p2p/" + peer_text, peer_binary},
    {"/p2p/" + qm_text, qm_binary},
    {"/ip4/127.0.0.1/tcp/4001/p2p/" + peer_text, "047f000001060fa1" + peer_binary},
    {"/ip4/192.0.2.0/tcp/5002/p2p/" + peer_text + "/p2p-circuit", "04c000020006138a" + peer_binary + "a202"},
    // One of each remaining protocol.
    {"/ip6zone/3/ip6/fe80::1/udp/1", "2a013329fe80000000000000000000000000000191020001"},
    {"/ip4/10.0.0.0/ipcidr/8", "040a0000002b08"},
    {"/unix/tmp/a.sock", "90030b2f746d702f612e736f636b"},
    {"/ip4/1.2.3.4/tcp/1/tls/sni/a.b/ws", "0401020304060001c003c10303612e62dd03"},
    {"/ip4/1.2.3.4/tcp/1/noise", "0401020304060001c603"},
    {"/ip4/1.2.3.4/udp/1/quic", "040102030491020001cc03"},
    {"/ip4/1.2.3.4/udp/1/quic-v1/webtransport/certhash/uEiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
     "040102030491020001cd03d103d20322"
     "1220" +
         std::string(64, '0')},
    {"/ip4/1.2.3.4/udp/1/webrtc-direct", "0401020304910200019802"},
    {"/ip4/1.2.3.4/udp/1/webrtc", "0401020304910200019902"},
    {"/memory/1234", "890600000000000004d2"},
    {"/memory/18446744073709551615", "8906ffffffffffffffff"},
    {"/ip4/1.2.3.4/udp/4001/kadoro", "040102030491020fa1eb80c001"},
    {"/ip4/1.2.3.4/udp/4001/kadoro/p2p/" + peer_text, "040102030491020fa1eb80c001" + peer_binary},
};

multiaddr parsed(std::string const& text) { return multiaddr::parse(text).value(); }

}  // namespace

TEST_CASE("multiaddr: vectors, both directions") {
  for (auto const& v : vectors) {
    CAPTURE(v.text);
    auto const from_text = multiaddr::parse(v.text);
    REQUIRE(from_text);
    CHECK(to_hex(from_text->bytes()) == v.binary);
    CHECK(from_text->to_string() == v.text);
    auto const from_binary = multiaddr::from_bytes(hex(v.binary));
    REQUIRE(from_binary);
    CHECK(*from_binary == *from_text);
    CHECK(from_binary->to_string() == v.text);
  }
}

TEST_CASE("multiaddr: other ways to write the same") {
  CHECK(parsed("/ip4/1.2.3.4/udp/1/ipfs/" + peer_text) == parsed("/ip4/1.2.3.4/udp/1/p2p/" + peer_text));
  CHECK(parsed("/ip6/2001:DB8:0:0:0:0:0:1/tcp/443").to_string() == "/ip6/2001:db8::1/tcp/443");
  CHECK(parsed("/p2p/bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe").to_string() == "/p2p/" + qm_text);
}

TEST_CASE("multiaddr: what is no address is malformed, and the error names it") {
  for (char const* text : {"",
                           "/",
                           "//",
                           "ip4/1.2.3.4",
                           "/ip4",
                           "/ip4/",
                           "/ip4/1.2.3",
                           "/ip4/1.2.3.4.5",
                           "/ip4/256.1.1.1",
                           "/ip4/::1",
                           "/ip6/1.2.3.4",
                           "/ip6/:::",
                           "/ip6/fe80::1%3",
                           "/ip6/fe80::1%253",
                           "/ip4/1.2.3.4/",
                           "/ip4/1.2.3.4/tcp",
                           "/ip4/1.2.3.4/tcp/",
                           "/ip4/1.2.3.4/tcp/65536",
                           "/ip4/1.2.3.4/tcp/-1",
                           "/ip4/1.2.3.4/tcp/01",
                           "/ip4/1.2.3.4/tcp/1x",
                           "/ip4/1.2.3.4/tcp/ 1",
                           "/nonsense/1",
                           "/IP4/1.2.3.4",
                           "/p2p/hello",
                           "/p2p",
                           "/dns/",
                           "/dns/a b",
                           "/dns/a\x01",
                           "/dns/\xc3\xa4.example",
                           "/ipcidr/129",
                           "/ipcidr/256",
                           "/unix",
                           "/unix/",
                           "/memory/18446744073709551616",
                           "/certhash/u",
                           "/certhash/uEiA",
                           "/certhash/x",
                           "/quic-v1/1",
                           "/ip4/1.2.3.4:5/udp/1",
                           "/ip4/[::1]/udp/1",
                           "/p2p-circuit/extra"}) {
    CAPTURE(text);
    auto const address = multiaddr::parse(text);
    REQUIRE_FALSE(address);
    CHECK(address.error() == errc::malformed);
    CHECK(address.error().message().find(text) != std::string::npos);
  }
}

TEST_CASE("multiaddr: bytes that are no address are malformed") {
  for (std::string const& text : {std::string(),
                                  std::string("00"),
                                  std::string("04"),
                                  std::string("047f0000"),
                                  std::string("047f00000106"),
                                  std::string("047f000001060f"),
                                  std::string("8400"),
                                  std::string("ff"),
                                  std::string("ffffffffffffffffffff"),
                                  std::string("3500"),
                                  std::string("350b6578"),
                                  std::string("35ffffffffffffffff7f61"),
                                  std::string("3503612f62"),
                                  std::string("3503610062"),
                                  std::string("3503c3a462"),
                                  std::string("a50300"),
                                  std::string("a5030112"),
                                  "a50325" + peer_binary.substr(6),
                                  std::string("2b81"),
                                  std::string("90030161"),
                                  std::string("9003012f"),
                                  std::string("90030b2f746d702f612e736f636bc603"),
                                  std::string("d20300"),
                                  std::string("d203021220"),
                                  std::string("01"),
                                  std::string("047f000001060fa1c60399")}) {
    CAPTURE(text);
    auto const address = multiaddr::from_bytes(hex(text));
    REQUIRE_FALSE(address);
    CHECK(address.error() == errc::malformed);
  }
}

TEST_CASE("multiaddr: bounds") {
  std::string text;
  for (std::size_t i = 0; i < multiaddr::max_components; ++i) text += "/noise";
  CHECK(multiaddr::parse(text).has_value());
  text += "/noise";
  auto const many = multiaddr::parse(text);
  REQUIRE_FALSE(many);
  CHECK(many.error() == errc::too_large);

  bytes binary;
  for (std::size_t i = 0; i <= multiaddr::max_components; ++i) binary.insert(binary.end(), {0xc6, 0x03});
  auto const many_binary = multiaddr::from_bytes(binary);
  REQUIRE_FALSE(many_binary);
  CHECK(many_binary.error() == errc::too_large);
  CHECK(multiaddr::from_bytes(bytes_view(binary).first(2 * multiaddr::max_components)).has_value());

  std::string const fits(multiaddr::max_bytes - 3, 'a');
  CHECK(parsed("/dns/" + fits).bytes().size() == multiaddr::max_bytes);
  auto const large = multiaddr::parse("/dns/" + fits + "a");
  REQUIRE_FALSE(large);
  CHECK(large.error() == errc::too_large);
  CHECK_FALSE(multiaddr::parse("/dns/" + std::string(100000, 'a')));
  CHECK_FALSE(multiaddr::from_bytes(bytes(multiaddr::max_bytes + 1, 0x06)));
}

TEST_CASE("multiaddr: components") {
  auto const address = parsed("/ip4/1.2.3.4/udp/4001/kadoro/p2p/" + peer_text);
  std::vector<std::uint32_t> codes;
  std::vector<std::string> values;
  for (auto const& part : address) {
    codes.push_back(part.code);
    values.push_back(to_hex(part.value));
  }
  CHECK(codes == std::vector<std::uint32_t>{protocol::ip4, protocol::udp, protocol::kadoro, protocol::p2p});
  CHECK(values == std::vector<std::string>{"01020304", "0fa1", "", peer_binary.substr(6)});
  multiaddr const empty;
  CHECK(empty.empty());
  CHECK(empty.begin() == empty.end());
  CHECK(empty.to_string().empty());
  CHECK_FALSE(empty.peer());
  CHECK_FALSE(empty.udp_endpoint());
  CHECK_FALSE(empty.is_datagram());
}

TEST_CASE("multiaddr: the peer at the end") {
  auto const id = peer_id::parse(peer_text).value();
  auto const other = peer_id::parse(qm_text).value();
  auto const bare = parsed("/ip4/1.2.3.4/udp/4001/kadoro");
  auto const full = parsed("/ip4/1.2.3.4/udp/4001/kadoro/p2p/" + peer_text);
  CHECK_FALSE(bare.peer());
  REQUIRE(full.peer());
  CHECK(*full.peer() == id);
  CHECK(full.without_peer() == bare);
  CHECK(bare.without_peer() == bare);
  CHECK(bare.with_peer(id) == full);
  CHECK(full.with_peer(id) == full);
  CHECK(*full.with_peer(other).peer() == other);
  CHECK(full.with_peer(other).without_peer() == bare);
  CHECK(parsed("/p2p/" + peer_text).without_peer().empty());
  auto const twice = parsed("/ip4/1.2.3.4/udp/4001/kadoro/p2p/" + peer_text + "/p2p/" + qm_text);
  CHECK(*twice.peer() == other);
  CHECK(twice.without_peer() == bare);
  CHECK(twice.with_peer(id) == full);
  // A relay is not whom one reaches.
  CHECK_FALSE(parsed("/ip4/1.2.3.4/tcp/1/p2p/" + peer_text + "/p2p-circuit").peer());
  auto const relayed = parsed("/ip4/1.2.3.4/tcp/1/p2p/" + peer_text + "/p2p-circuit/p2p/" + qm_text);
  REQUIRE(relayed.peer());
  CHECK(*relayed.peer() == other);
}

TEST_CASE("multiaddr: UDP endpoints") {
  auto const v4 = parsed("/ip4/1.2.3.4/udp/4001/quic-v1").udp_endpoint();
  REQUIRE(v4);
  CHECK(*v4 == io::endpoint::v4({1, 2, 3, 4}, 4001));
  byte_array<16> link_local{};
  link_local[0] = 0xfe;
  link_local[1] = 0x80;
  link_local[15] = 1;
  auto const v6 = parsed("/ip6zone/3/ip6/fe80::1/udp/7").udp_endpoint();
  REQUIRE(v6);
  CHECK(*v6 == io::endpoint::v6(link_local, 7, 3));
  for (std::string const& text : {std::string("/ip4/1.2.3.4/tcp/4001"), std::string("/dns/example.com/udp/1"),
                                  std::string("/ip6zone/eth0/ip6/fe80::1/udp/7"), std::string("/ip4/1.2.3.4"),
                                  std::string("/ip6zone/3/ip4/1.2.3.4/udp/1"), std::string("/ip6zone/3"),
                                  std::string("/udp/1"), "/p2p/" + peer_text}) {
    CAPTURE(text);
    CHECK_FALSE(parsed(text).udp_endpoint());
  }
}

TEST_CASE("multiaddr: datagram addresses") {
  auto const id = peer_id::parse(peer_text).value();
  auto const v4 = io::endpoint::v4({1, 2, 3, 4}, 4001);
  CHECK(multiaddr::datagram(v4).to_string() == "/ip4/1.2.3.4/udp/4001/kadoro");
  CHECK(multiaddr::datagram(v4, id).to_string() == "/ip4/1.2.3.4/udp/4001/kadoro/p2p/" + peer_text);
  byte_array<16> address{};
  address[0] = 0xfe;
  address[1] = 0x80;
  address[15] = 9;
  auto const v6 = io::endpoint::v6(address, 5, 2);
  CHECK(multiaddr::datagram(v6).to_string() == "/ip6zone/2/ip6/fe80::9/udp/5/kadoro");
  for (auto const& at : {v4, v6}) {
    for (auto const& made : {multiaddr::datagram(at), multiaddr::datagram(at, id)}) {
      CHECK(made.is_datagram());
      REQUIRE(made.udp_endpoint());
      CHECK(*made.udp_endpoint() == at);
      auto const again = multiaddr::from_bytes(made.bytes());
      REQUIRE(again);
      CHECK(*again == made);
    }
  }
  for (std::string const& text :
       {std::string("/ip4/1.2.3.4/udp/4001"), std::string("/ip4/1.2.3.4/udp/4001/quic-v1"),
        std::string("/ip4/1.2.3.4/tcp/4001"), std::string("/ip4/1.2.3.4/udp/4001/kadoro/kadoro"),
        "/ip4/1.2.3.4/udp/4001/p2p/" + peer_text, "/ip4/1.2.3.4/udp/4001/kadoro/p2p/" + peer_text + "/p2p-circuit",
        "/ip4/1.2.3.4/udp/4001/kadoro/p2p/" + peer_text + "/p2p/" + peer_text, std::string("/kadoro"),
        std::string("/dns4/example.com/udp/1/kadoro")}) {
    CAPTURE(text);
    CHECK_FALSE(parsed(text).is_datagram());
  }
}

TEST_CASE("multiaddr: mutations are refused or round-trip, never worse") {
  chacha20_random random(1);
  std::uint64_t accepted = 0;
  for (int i = 0; i < 100000; ++i) {
    bytes data = hex(vectors[random.below(vectors.size())].binary);
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
      std::uint64_t const at = random.below(data.size());
      data[at] = static_cast<std::uint8_t>(random.next());
    }
    if (random.below(4) == 0) data.resize(random.below(data.size() + 1));
    data.shrink_to_fit();
    auto const address = multiaddr::from_bytes(data);
    if (!address) continue;
    ++accepted;
    auto const again = multiaddr::parse(address->to_string());
    REQUIRE(again);
    CHECK(*again == *address);
  }
  CHECK(accepted > 1000);
}
