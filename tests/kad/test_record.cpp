#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "kadoro/kad/record.hpp"
#include "kadoro/kad/verified_cache.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using kad::record;
using kad::record_header;

namespace {

crypto::identity identity(std::uint8_t number) {
  byte_array<32> seed;
  seed.fill(number);
  return crypto::identity::from_seed(seed);
}

record sample() { return record::make(identity(1), as_bytes("/test/hello"), 7, 90s, 0, as_bytes("world")); }

}  // namespace

TEST_CASE("a record is signed over a domain tag and all that it says") {
  record const r = sample();
  CHECK(r.publisher == multiformats::peer_id::of_ed25519(identity(1).public_key()));
  std::string const expected = to_hex(as_bytes(std::string_view("kadoro record 1\0", 16))) +  //
                               "000b" + to_hex(as_bytes("/test/hello")) +                     //
                               "0026" + to_hex(r.publisher.bytes()) +                         //
                               "0000000000000007" + "00015f90" + "00000000" +                 //
                               to_hex(crypto::sha256(as_bytes("world")));
  CHECK(to_hex(r.header().signed_bytes()) == expected);
  CHECK(r.verify());
  CHECK(r.header().verify());
}

TEST_CASE("any change breaks the signature") {
  record const good = sample();
  record bad = good;
  SUBCASE("key") { bad.key.back() ^= 1; }
  SUBCASE("publisher") { bad.publisher = multiformats::peer_id::of_ed25519(identity(2).public_key()); }
  SUBCASE("sequence") { ++bad.sequence; }
  SUBCASE("lifetime") { bad.lifetime_max += 1ms; }
  SUBCASE("flags") { bad.flags = 2; }
  SUBCASE("value") { bad.value.push_back(0); }
  SUBCASE("signature") { bad.signature[0] ^= 1; }
  SUBCASE("a byte moved from the key to the value") {
    bad.value.insert(bad.value.begin(), bad.key.back());
    bad.key.pop_back();
  }
  CHECK_FALSE(bad.verify());
  CHECK(bad.header().same_content(good.header()) == (bad.signature != good.signature));
}

TEST_CASE("a publisher without a key in its id cannot sign") {
  record r = sample();
  bytes multihash{0x12, 0x20};
  multihash.resize(34);
  r.publisher = multiformats::peer_id::from_bytes(multihash).value();
  CHECK_FALSE(r.verify());
  CHECK_FALSE(r.well_formed());
}

TEST_CASE("limits of a record") {
  record r = sample();
  CHECK(r.well_formed());
  SUBCASE("no key") { r.key.clear(); }
  SUBCASE("a long key") { r.key.resize(256); }
  SUBCASE("a long value") { r.value.resize(64 * 1024 + 1); }
  SUBCASE("no lifetime") { r.lifetime_max = 0ms; }
  SUBCASE("a long lifetime") { r.lifetime_max = 48h + 1ms; }
  SUBCASE("half a millisecond") { r.lifetime_max = 1500us; }
  SUBCASE("a tombstone with a value") { r.flags = record::flag_tombstone; }
  CHECK_FALSE(r.well_formed());
}

TEST_CASE("the largest record is well formed, and a lifetime is rounded down") {
  bytes const key(255, 1);
  bytes const value(64 * 1024, 2);
  CHECK(record::make(identity(1), key, 0, 48h, 0, value).well_formed());
  CHECK(record::make(identity(1), key, 0, 1999us, 0, value).lifetime_max == 1ms);
}

TEST_CASE("tombstones") {
  record const t = record::make(identity(1), as_bytes("k"), 8, 1h, record::flag_tombstone, {});
  CHECK(t.tombstone());
  CHECK(t.header().tombstone());
  record const empty = record::make(identity(1), as_bytes("k"), 8, 1h, 0, {});
  CHECK_FALSE(empty.tombstone());
  CHECK_FALSE(empty.header().tombstone());
  CHECK_FALSE(sample().header().tombstone());
}

TEST_CASE("records travel") {
  record const r = sample();
  SUBCASE("with their key") {
    auto const on_wire = kad::to_wire(r, 1234, true);
    CHECK(on_wire.remaining_ms == 1234);
    CHECK(on_wire.lifetime_ms == 90'000);
    auto const back = kad::from_wire(on_wire, as_bytes("another key"));
    REQUIRE(back);
    CHECK(back->header().same_content(r.header()));
    CHECK(back->value == r.value);
    CHECK(back->verify());
  }
  SUBCASE("without it") {
    auto const on_wire = kad::to_wire(r, 0, false);
    CHECK(on_wire.key.empty());
    auto const back = kad::from_wire(on_wire, as_bytes("/test/hello"));
    REQUIRE(back);
    CHECK(back->verify());
    auto const nameless = kad::from_wire(on_wire, {});
    REQUIRE_FALSE(nameless);
    CHECK(nameless.error() == errc::malformed);
  }
  SUBCASE("as a header") {
    record_header const header = r.header();
    auto const on_wire = kad::to_wire(header, true);
    CHECK(on_wire.value.empty());
    auto const back = kad::header_from_wire(on_wire, {});
    REQUIRE(back);
    CHECK(back->same_content(header));
    CHECK(back->verify());
  }
}

TEST_CASE("what is no signed record is refused") {
  record const r = sample();
  auto on_wire = kad::to_wire(r, 0, true);
  errc expected = errc::malformed;
  bytes const long_key(256, 1);
  bytes const long_value(64 * 1024 + 1, 1);
  bytes const digest_id = [] {
    bytes id{0x12, 0x20};
    id.resize(34);
    return id;
  }();
  SUBCASE("unsigned") {
    on_wire.signature = {};
    expected = errc::refused_unsupported;
  }
  SUBCASE("half a signature") { on_wire.signature = on_wire.signature.first(32); }
  SUBCASE("no publisher") { on_wire.publisher = {}; }
  SUBCASE("a publisher without key") { on_wire.publisher = digest_id; }
  SUBCASE("a long key") { on_wire.key = long_key; }
  SUBCASE("a long value") { on_wire.value = long_value; }
  SUBCASE("no lifetime") { on_wire.lifetime_ms = 0; }
  SUBCASE("a long lifetime") { on_wire.lifetime_ms = 48u * 3600 * 1000 + 1; }
  SUBCASE("a tombstone with a value") { on_wire.flags = record::flag_tombstone; }
  auto const back = kad::from_wire(on_wire, {});
  REQUIRE_FALSE(back);
  CHECK(back.error() == expected);
}

TEST_CASE("what is no header is refused") {
  record_header const header = sample().header();
  auto on_wire = kad::to_wire(header, true);
  SUBCASE("no hash") { on_wire.value_hash = {}; }
  SUBCASE("a short hash") { on_wire.value_hash = on_wire.value_hash.first(31); }
  SUBCASE("a tombstone with the hash of a value") { on_wire.flags = record::flag_tombstone; }
  auto const back = kad::header_from_wire(on_wire, {});
  REQUIRE_FALSE(back);
  CHECK(back.error() == errc::malformed);
}

TEST_CASE("durations for the wire") {
  CHECK(kad::to_wire_ms(-1s) == 0);
  CHECK(kad::to_wire_ms(1999us) == 1);
  CHECK(kad::to_wire_ms(48h) == 172'800'000);
  CHECK(kad::to_wire_ms(1000h) == 172'800'000);
}

TEST_CASE("the cache of verified signatures") {
  kad::verified_cache cache;
  record const good = sample();
  record bad = good;
  bad.signature[5] ^= 1;

  CHECK_FALSE(cache.contains(good.header()));
  CHECK(cache.verify(good));
  CHECK(cache.contains(good.header()));
  CHECK(cache.verify(good));
  CHECK(cache.hits() == 1);
  CHECK(cache.misses() == 1);

  // A failure is never remembered, and what is remembered is bound to the signature and to every signed byte.
  CHECK_FALSE(cache.verify(bad));
  CHECK_FALSE(cache.verify(bad));
  CHECK_FALSE(cache.contains(bad.header()));
  CHECK(cache.misses() == 3);
  record other = good;
  other.value[0] ^= 1;
  CHECK_FALSE(cache.verify(other));
}

TEST_CASE("a full cache forgets, but the answers stay right") {
  kad::verified_cache cache(2);  // one set of two
  record const a = record::make(identity(1), as_bytes("a"), 1, 1h, 0, {});
  record const b = record::make(identity(1), as_bytes("b"), 1, 1h, 0, {});
  record const c = record::make(identity(1), as_bytes("c"), 1, 1h, 0, {});
  CHECK(cache.verify(a));
  CHECK(cache.verify(b));
  CHECK(cache.verify(a));  // used last, so it is b that goes
  CHECK(cache.verify(c));
  CHECK(cache.contains(a.header()));
  CHECK_FALSE(cache.contains(b.header()));
  CHECK(cache.contains(c.header()));
  CHECK(cache.verify(b));
}
