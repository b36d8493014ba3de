#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "crypto/hex.hpp"
#include "kadoro/crypto/noise.hpp"

#if !defined(KADORO_TEST_DATA)
#define KADORO_TEST_DATA "tests/data"
#endif

using namespace kadoro;
using crypto::noise_handshake;
using crypto::noise_pattern;

namespace {

std::optional<noise_pattern> pattern_of(std::string const& protocol_name) {
  if (protocol_name == "Noise_IK_25519_ChaChaPoly_SHA256") return noise_pattern::ik;
  if (protocol_name == "Noise_IKpsk1_25519_ChaChaPoly_SHA256") return noise_pattern::ikpsk1;
  if (protocol_name == "Noise_XX_25519_ChaChaPoly_SHA256") return noise_pattern::xx;
  return std::nullopt;
}

/// One side of a vector.
noise_handshake side_of(nlohmann::json const& v, bool initiator, random_source& random) {
  std::string const side = initiator ? "init" : "resp";
  auto const text = [&](char const* field) { return v.at(side + field).get<std::string>(); };
  auto const local = crypto::x25519_from_secret(hex_array(text("_static")));
  std::optional<byte_array<32>> remote;
  if (v.contains(side + "_remote_static")) remote = hex_array(text("_remote_static"));
  std::optional<byte_array<32>> psk;
  if (v.contains(side + "_psks") && !v.at(side + "_psks").empty())
    psk = hex_array(v.at(side + "_psks").at(0).get<std::string>());
  noise_handshake made(*pattern_of(v.at("protocol_name")), initiator, hex(text("_prologue")), local,
                       remote ? &*remote : nullptr, psk ? &*psk : nullptr, random);
  made.fix_ephemeral(crypto::x25519_from_secret(hex_array(text("_ephemeral"))));
  return made;
}

/// Two sides that do not know each other yet, of one pattern.
struct two_sides {
  chacha20_random random;
  crypto::x25519_pair a = crypto::generate_x25519(random);
  crypto::x25519_pair b = crypto::generate_x25519(random);
  byte_array<32> psk{};
  bytes prologue = to_bytes(as_bytes("kadoro test"));
  noise_handshake initiator;
  noise_handshake responder;

  two_sides(noise_pattern pattern, std::uint64_t seed)
      : random(seed), initiator(make(pattern, true)), responder(make(pattern, false)) {}

  noise_handshake make(noise_pattern pattern, bool initiates) {
    bool const known = pattern != noise_pattern::xx;
    return noise_handshake(pattern, initiates, prologue, initiates ? a : b,
                           known && initiates ? &b.public_key : nullptr,
                           pattern == noise_pattern::ikpsk1 ? &psk : nullptr, random);
  }
  noise_handshake& writer() { return initiator.writes_next() ? initiator : responder; }
  noise_handshake& reader() { return initiator.writes_next() ? responder : initiator; }
};

constexpr noise_pattern all_patterns[] = {noise_pattern::ik, noise_pattern::ikpsk1, noise_pattern::xx};

}  // namespace

TEST_CASE("noise: published vectors, both sides, transport messages and handshake hash") {
  std::ifstream file(std::string(KADORO_TEST_DATA) + "/noise-vectors.json");
  REQUIRE(file);
  auto const all = nlohmann::json::parse(file);
  int seen[3] = {0, 0, 0};
  for (auto const& v : all.at("vectors")) {
    CAPTURE(v.at("protocol_name").get<std::string>());
    auto const pattern = pattern_of(v.at("protocol_name"));
    REQUIRE(pattern);
    ++seen[static_cast<int>(*pattern)];
    chacha20_random random(1);
    noise_handshake sides[2] = {side_of(v, true, random), side_of(v, false, random)};
    std::uint64_t nonces[2] = {0, 0};
    std::size_t index = 0;
    for (auto const& message : v.at("messages")) {
      auto const payload = hex(message.at("payload").get<std::string>());
      auto const expected = message.at("ciphertext").get<std::string>();
      std::size_t const from = index++ % 2;
      auto& writer = sides[from];
      auto& reader = sides[1 - from];
      if (!writer.finished()) {
        CHECK(writer.writes_next());
        CHECK_FALSE(reader.writes_next());
        bytes sealed(payload.size() + writer.overhead());
        CHECK(reader.overhead() == writer.overhead());
        auto const written = writer.write(payload, sealed);
        REQUIRE(written);
        CHECK(*written == sealed.size());
        CHECK(to_hex(sealed) == expected);
        bytes opened(payload.size());
        auto const read = reader.read(sealed, opened);
        REQUIRE(read);
        CHECK(*read == payload.size());
        CHECK(to_hex(opened) == to_hex(payload));
        CHECK(writer.hash() == reader.hash());
        continue;
      }
      REQUIRE(reader.finished());
      std::uint64_t const nonce = nonces[from]++;
      bytes sealed(payload.size() + crypto::tag_bytes);
      crypto::seal(writer.split().send, nonce, {}, payload, sealed);
      CHECK(to_hex(sealed) == expected);
      bytes opened(payload.size());
      CHECK(crypto::open(reader.split().receive, nonce, {}, sealed, opened));
      CHECK(to_hex(opened) == to_hex(payload));
    }
    CHECK(sides[0].finished());
    CHECK(sides[1].finished());
    if (v.contains("handshake_hash")) {
      CHECK(to_hex(sides[0].hash()) == v.at("handshake_hash").get<std::string>());
      CHECK(to_hex(sides[1].hash()) == v.at("handshake_hash").get<std::string>());
    }
    REQUIRE(sides[0].remote_static() != nullptr);
    REQUIRE(sides[1].remote_static() != nullptr);
    auto const static_of = [&](char const* field) {
      return crypto::x25519_from_secret(hex_array(v.at(field).get<std::string>())).public_key;
    };
    CHECK(*sides[0].remote_static() == static_of("resp_static"));
    CHECK(*sides[1].remote_static() == static_of("init_static"));
  }
  for (int const count : seen) CHECK(count > 0);
}

TEST_CASE("noise: the libp2p handshake vector") {
  chacha20_random random(1);
  auto const pair = [](char const* secret) { return crypto::x25519_from_secret(hex_array(secret)); };
  noise_handshake a(noise_pattern::xx, true, {},
                    pair("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"), nullptr, nullptr, random);
  noise_handshake b(noise_pattern::xx, false, {},
                    pair("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"), nullptr, nullptr, random);
  a.fix_ephemeral(pair("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"));
  b.fix_ephemeral(pair("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"));
  CHECK(to_hex(a.hash()) == "f3d15e6108ed9556171207baa58f97d29a13c6be40595166066e2e0958dc002d");

  auto const payload_b =
      hex("0a24080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3941240f4d3de63788f81fd2a4fae93ef2f"
          "3662925bf5065b64027d7996e43de3aa2784022d5b88fa180b1c60c5ce0ba9f55de30b624364e83550127c18b3855f57b706");
  auto const payload_a =
      hex("0a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1240e292a4b36dcd264cb79335515674"
          "62bf4b6bdc79bcc37af23ea723110cf8cfde08000f9e95441ba4fd4b82844305554004fc4be681ce33c277510b6332588c09");
  bytes message(300);
  bytes payload(200);
  auto const m1 = a.write({}, message);
  REQUIRE(m1);
  CHECK(to_hex(bytes_view(message).first(*m1)) == "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944");
  CHECK(b.read(bytes_view(message).first(*m1), payload).has_value());
  CHECK(to_hex(b.hash()) == "4353c8bdcd2b308bbdc80f18332315cdc636dc30a907b76758cdcb012f42977a");
  auto const m2 = b.write(payload_b, message);
  REQUIRE(m2);
  CHECK(
      to_hex(bytes_view(message).first(*m2)) ==
      "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a"
      "5a8639392490e5b90b20f024c6abdc05d618c61c13a3fe07127982eb5ca7a8d583268130fc208700b9e65fbfc8768edd28b06edbfc39f84f"
      "2e977aba75fbc92b31498b0ac1ed723987b496be5a71f74e6491d26dbe2d2a550865854c9994f2b7019d879175f7026bb4a51a545695c6fc"
      "8650b1a1b7fd9adce5fa7e76ca98ebba16da1b6b68394b1b0e26abfe25060867");
  auto const p2 = a.read(bytes_view(message).first(*m2), payload);
  REQUIRE(p2);
  CHECK(to_hex(bytes_view(payload).first(*p2)) == to_hex(payload_b));
  CHECK(to_hex(a.hash()) == "a12504ce97c6d923487cc5eb08fcf7f942bf8a254746c5af3fbbb68fb742a1a4");
  auto const m3 = a.write(payload_a, message);
  REQUIRE(m3);
  CHECK(
      to_hex(bytes_view(message).first(*m3)) ==
      "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a86bef4d87936184dad8925f1fa4d272c614c3d6e0e8ecd412"
      "17ddfdf0afb41507a1be308a2142c5bd7aa4533305677b3e694b63076f9d2df0fe4d73b419771080a6cf96b373850176596856cd9886b5cc"
      "f7b92fd0b13c9d40153da17beeda35f1631e57da5fabbc42aaeea8ff1a68839842fe9190823c6eb09caae69bf6235cacf34eb8f9cdee101"
      "c");
  REQUIRE(b.read(bytes_view(message).first(*m3), payload));
  for (auto const* side : {&a, &b})
    CHECK(to_hex(side->hash()) == "41a8fda536be117f8700b25923beda66ac272a2e4ad45891f0286070ff6ad17e");
  CHECK(to_hex(a.split().send) == "3062fff068d0abd171b4b4603c5b7633bf5ee4e79da311370c2eba7f1ed6c69a");
  CHECK(to_hex(b.split().receive) == "3062fff068d0abd171b4b4603c5b7633bf5ee4e79da311370c2eba7f1ed6c69a");
  CHECK(to_hex(b.split().send) == "cbabb3f5e4529fc0e93efda9b4b70169270c04b05c5be25f71e9c55f7955c86a");
  CHECK(to_hex(a.split().receive) == "cbabb3f5e4529fc0e93efda9b4b70169270c04b05c5be25f71e9c55f7955c86a");
}

TEST_CASE("noise: no changed message passes, and none ends the handshake") {
  auto const payload = to_bytes(as_bytes("the payload"));
  for (noise_pattern const pattern : all_patterns) {
    two_sides sides(pattern, 7);
    while (!sides.initiator.finished() || !sides.responder.finished()) {
      auto& writer = sides.writer();
      auto& reader = sides.reader();
      bytes message(payload.size() + writer.overhead());
      REQUIRE(writer.write(payload, message));
      auto const before = reader.hash();
      bytes out(payload.size());
      // The first message of xx is plain text: a change in it shows in the second. Every other one shows at once.
      bool const plain = message.size() == 32 + payload.size();
      for (std::size_t i = 0; i < message.size() && !plain; ++i) {
        for (std::uint8_t const bit : {std::uint8_t{0x01}, std::uint8_t{0x80}}) {
          // X25519 ignores the highest bit of a public key, but the hash of the handshake does not.
          bytes changed = message;
          changed[i] ^= bit;
          auto const read = reader.read(changed, out);
          CHECK_FALSE(read);
          CHECK(read.error() == errc::malformed);
          CHECK(reader.hash() == before);
        }
      }
      for (std::size_t size = 0; size < message.size() && !plain; ++size)
        CHECK_FALSE(reader.read(bytes_view(message).first(size), out));
      bytes longer = message;
      longer.push_back(0);
      bytes longer_out(payload.size() + 1);
      if (!plain) CHECK_FALSE(reader.read(longer, longer_out));
      auto const read = reader.read(message, out);
      REQUIRE(read);
      CHECK(to_hex(out) == to_hex(payload));
    }
    CHECK(sides.initiator.hash() == sides.responder.hash());
    CHECK(sides.initiator.split().send == sides.responder.split().receive);
    CHECK(sides.initiator.split().receive == sides.responder.split().send);
    CHECK(sides.initiator.split().send != sides.initiator.split().receive);
  }
}

TEST_CASE("noise: a change in the plain first message of xx shows in the second") {
  for (std::size_t i = 0; i < 40; ++i) {
    two_sides sides(noise_pattern::xx, 8);
    byte_array<40> message;
    REQUIRE(sides.initiator.write(as_bytes("12345678"), message));
    message[i] ^= 0x01;
    byte_array<100> out;
    auto const first = sides.responder.read(message, out);
    REQUIRE(first);
    byte_array<200> answer;
    auto const size = sides.responder.write({}, answer);
    REQUIRE(size);
    CHECK_FALSE(sides.initiator.read(bytes_view(answer).first(*size), out));
  }
}

TEST_CASE("noise: another psk, prologue, or responder cannot read") {
  byte_array<300> message;
  byte_array<300> out;
  SUBCASE("psk") {
    two_sides sides(noise_pattern::ikpsk1, 9);
    auto const size = sides.initiator.write(as_bytes("hello"), message);
    REQUIRE(size);
    sides.psk[0] ^= 1;
    auto stranger = sides.make(noise_pattern::ikpsk1, false);
    CHECK_FALSE(stranger.read(bytes_view(message).first(*size), out));
    CHECK(stranger.remote_static() == nullptr);
    CHECK(sides.responder.read(bytes_view(message).first(*size), out).has_value());
  }
  SUBCASE("prologue") {
    two_sides sides(noise_pattern::ik, 10);
    auto const size = sides.initiator.write(as_bytes("hello"), message);
    REQUIRE(size);
    sides.prologue[0] ^= 1;
    auto other = sides.make(noise_pattern::ik, false);
    CHECK_FALSE(other.read(bytes_view(message).first(*size), out));
  }
  SUBCASE("responder") {
    two_sides sides(noise_pattern::ik, 11);
    auto const size = sides.initiator.write(as_bytes("hello"), message);
    REQUIRE(size);
    sides.b = crypto::generate_x25519(sides.random);
    auto other = sides.make(noise_pattern::ik, false);
    CHECK_FALSE(other.read(bytes_view(message).first(*size), out));
  }
}

TEST_CASE("noise: messages that do not fit are refused and may be repeated") {
  two_sides sides(noise_pattern::ik, 12);
  auto const payload = to_bytes(as_bytes("hello"));
  CHECK(sides.initiator.overhead() == 96);
  bytes small(payload.size() + 95);
  auto const refused = sides.initiator.write(payload, small);
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == errc::too_large);
  bytes huge_payload(noise_handshake::max_message_bytes - 95);
  bytes huge(noise_handshake::max_message_bytes + 100);
  CHECK_FALSE(sides.initiator.write(huge_payload, huge));
  bytes message(payload.size() + 96);
  REQUIRE(sides.initiator.write(payload, message));
  bytes out(payload.size());
  auto const too_small = sides.responder.read(message, bytes_span(out).first(4));
  REQUIRE_FALSE(too_small);
  CHECK(too_small.error() == errc::too_large);
  REQUIRE(sides.responder.read(message, out));
  CHECK(sides.responder.overhead() == 48);
  CHECK(*sides.responder.remote_static() == sides.a.public_key);
}

TEST_CASE("noise: a remote key of small order is refused") {
  two_sides sides(noise_pattern::ik, 13);
  byte_array<32> const zero{};
  noise_handshake lost(noise_pattern::ik, true, {}, sides.a, &zero, nullptr, sides.random);
  byte_array<200> message;
  auto const written = lost.write({}, message);
  REQUIRE_FALSE(written);
  CHECK(written.error() == errc::malformed);
}
