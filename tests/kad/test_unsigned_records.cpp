#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "foreign_transport.hpp"
#include "kadoro/transport/message.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;
using origin = record_store::origin;
using transport::message_type;

namespace {

crypto::identity identity(std::uint8_t number) {
  byte_array<32> seed;
  seed.fill(number);
  return crypto::identity::from_seed(seed);
}

peer_id peer(std::uint8_t number) { return peer_id::of_ed25519(identity(number).public_key()); }

record plain(std::uint8_t publisher, std::string_view value, duration life = 1h) {
  record r;
  r.key = to_bytes(as_bytes("k"));
  if (publisher != 0) r.publisher = peer(publisher);
  r.lifetime_max = life;
  r.value = to_bytes(as_bytes(value));
  return r;
}

record signed_one(std::uint8_t publisher, std::uint64_t sequence, std::string_view value, duration life = 100s) {
  return record::make(identity(publisher), as_bytes("k"), sequence, life, 0, as_bytes(value));
}

record tombstone(std::uint8_t publisher, std::uint64_t sequence, duration life = 100s) {
  return record::make(identity(publisher), as_bytes("k"), sequence, life, record::flag_tombstone, {});
}

time_point at(duration since) { return time_point{1h} + since; }

constexpr std::optional<errc> accepted = std::nullopt;

struct fixture {
  verified_cache cache;
  record_store store;

  explicit fixture(store_limits const& limits = {}) : store(limits, cache) {}

  std::optional<errc> bring(std::uint8_t sender, record r, duration now = 0s,
                            std::optional<std::uint64_t> range = std::nullopt) {
    return store.put_unsigned(std::move(r), peer(sender), range, at(now)).refused;
  }
  std::optional<errc> put(record r, origin from, duration now = 0s) {
    return store.put(std::move(r), from, std::nullopt, 48h, at(now)).refused;
  }
  std::string get(duration now = 0s) {
    std::vector<record_store::held> held;
    store.get(as_bytes("k"), at(now), held);
    std::string out;
    for (auto const& h : held) {
      if (!out.empty()) out += ' ';
      out += std::string(as_text(h.value->value)) + (h.value->is_signed() ? "!" : h.relayed ? "?" : "");
    }
    return out;
  }
};

wire::record on_wire(std::string const& value) {
  wire::record w;
  w.value = as_bytes(value);
  return w;
}

}  // namespace

TEST_CASE("unsigned: from the wire comes what libp2p has; its life is capped, and has a default") {
  bytes const publisher = to_bytes(peer(1).bytes());
  std::string const value = "value";
  wire::record w = on_wire(value);
  auto r = unsigned_from_wire(w, as_bytes("k"));
  REQUIRE(r.has_value());
  CHECK(as_text(r->key) == "k");
  CHECK(as_text(r->value) == "value");
  CHECK(r->publisher.empty());
  CHECK(r->lifetime_max == 48h);
  CHECK(r->sequence == 0);
  CHECK_FALSE(r->is_signed());
  CHECK_FALSE(r->tombstone());

  w.publisher = publisher;
  w.ttl_s = 90;
  r = unsigned_from_wire(w, as_bytes("k"));
  REQUIRE(r.has_value());
  CHECK(r->publisher == peer(1));
  CHECK(r->lifetime_max == 90s);
  w.remaining_ms = 1500;  // more exact, from a kadoro holder
  r = unsigned_from_wire(w, as_bytes("k"));
  REQUIRE(r.has_value());
  CHECK(r->lifetime_max == 1500ms);
  w.remaining_ms = 0;
  w.ttl_s = ~std::uint32_t{0};
  r = unsigned_from_wire(w, as_bytes("k"));
  REQUIRE(r.has_value());
  CHECK(r->lifetime_max == 48h);
}

TEST_CASE("unsigned: what was signed once, and what breaks a limit, is malformed") {
  std::string const value = "value";
  record const whole = signed_one(1, 3, value);
  wire::record w = on_wire(value);
  bytes_view key = as_bytes("k");
  bytes const large(record::max_value_bytes + 1);
  bytes const long_key(record::max_key_bytes + 1, 1);
  SUBCASE("with its signature") { w = to_wire(whole, 0, false); }
  SUBCASE("without it") {
    w = to_wire(whole, 0, false);
    w.signature = {};
  }
  SUBCASE("sequence") { w.sequence = 1; }
  SUBCASE("flags") { w.flags = record::flag_tombstone; }
  SUBCASE("lifetime") { w.lifetime_ms = 1; }
  SUBCASE("publisher") { w.publisher = as_bytes("nobody"); }
  SUBCASE("value") { w.value = large; }
  SUBCASE("no key") { key = {}; }
  SUBCASE("key") { key = long_key; }
  auto const r = unsigned_from_wire(w, key);
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error() == errc::malformed);
}

TEST_CASE("unsigned: to libp2p go key, value, publisher and seconds; a signature of zeros is none") {
  record const r = signed_one(1, 3, "value");
  wire::record const w = to_wire_unsigned(r, 2500ms);
  CHECK(as_text(w.key) == "k");
  CHECK(as_text(w.value) == "value");
  CHECK(equal(w.publisher, peer(1).bytes()));
  CHECK(w.ttl_s == 2);
  CHECK(to_wire_unsigned(r, 1ms).ttl_s == 1);
  CHECK(w.sequence == 0);
  CHECK(w.lifetime_ms == 0);
  CHECK(w.remaining_ms == 0);
  CHECK(w.flags == 0);
  CHECK(w.signature.empty());
  CHECK(w.value_hash.empty());

  CHECK(to_wire(plain(1, "value"), 1000, false).signature.empty());
  bytes const zeros(64);
  wire::record forged = to_wire(r, 0, true);
  forged.signature = zeros;
  auto const read = from_wire(forged, {});
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error() == errc::malformed);
}

TEST_CASE("unsigned: a publisher's slot is filled over its own connection, all else stands in one slot per sender") {
  fixture f;
  CHECK(f.bring(1, plain(1, "own")) == accepted);
  CHECK(f.get() == "own");
  CHECK(f.bring(2, plain(1, "hearsay", 40h)) == accepted);
  CHECK(f.store.size() == 2);
  CHECK(f.get() == "own");  // of one publisher, what it said itself
  auto const found = f.store.find(as_bytes("k"), peer(1), at(0s));
  REQUIRE(found.has_value());
  CHECK_FALSE(found->relayed);
  CHECK_FALSE(f.store.find(as_bytes("k"), peer(2), at(0s)).has_value());

  // The sender's slot: the last that it brought, whoever is named.
  CHECK(f.bring(2, plain(3, "three")) == accepted);
  CHECK(f.store.size() == 2);
  CHECK(f.store.counters().stored == 3);
  auto const text = f.get();
  CHECK((text == "own three?" || text == "three? own"));
  CHECK(f.bring(2, plain(2, "two")) == accepted);  // its own word is another slot
  CHECK(f.store.size() == 3);
}

TEST_CASE("unsigned: of what several relay, the one that lives longest is shown; nobody named is one publisher more") {
  fixture f;
  CHECK(f.bring(2, plain(1, "short", 1min)) == accepted);
  CHECK(f.bring(3, plain(1, "long", 2min)) == accepted);
  CHECK(f.bring(4, plain(1, "shorter", 30s)) == accepted);
  CHECK(f.get() == "long?");
  CHECK(f.bring(3, plain(1, "long", 50s)) == accepted);  // what it says last counts, in both directions
  CHECK(f.store.counters().renewed == 1);
  CHECK(f.get() == "short?");
  CHECK(f.get(59s) == "short?");
  CHECK(f.get(60s).empty());
  CHECK(f.store.size() == 0);
  CHECK(f.store.remembered() == 0);
  CHECK(f.store.counters().expired == 3);

  CHECK(f.bring(2, plain(0, "anybody"), 60s) == accepted);
  CHECK(f.bring(3, plain(0, "somebody", 2h), 60s) == accepted);
  CHECK(f.get(60s) == "somebody?");
}

TEST_CASE("unsigned: records come in the order of the pages, relayed ones too") {
  fixture f;
  for (std::uint8_t i = 1; i < 12; ++i) {
    bool const first_hand = i % 3 == 0;
    if (i % 3 == 1)
      CHECK(f.put(signed_one(i, 1, "s"), origin::publisher_session) == accepted);
    else
      CHECK(f.bring(first_hand ? i : static_cast<std::uint8_t>(40 - i), plain(i, "u")) == accepted);
  }
  std::vector<record_store::held> held;
  f.store.get(as_bytes("k"), at(0s), held);
  CHECK(held.size() == 11);
  CHECK(std::is_sorted(held.begin(), held.end(), [](auto const& a, auto const& b) {
    return transport::cursor_of(a.value->publisher.bytes()) < transport::cursor_of(b.value->publisher.bytes());
  }));
}

TEST_CASE("unsigned: never displaces a signed record, and is refused while that or its sequence is known") {
  fixture f;
  CHECK(f.put(signed_one(1, 7, "signed"), origin::publisher_session) == accepted);
  auto const own = f.store.put_unsigned(plain(1, "own"), peer(1), {}, at(0s));
  CHECK(own.refused == errc::refused_stale);
  REQUIRE(own.held.has_value());
  CHECK(own.held->sequence == 7);
  CHECK(f.bring(2, plain(1, "hearsay")) == errc::refused_stale);
  CHECK(f.get() == "signed!");
  CHECK(f.bring(2, plain(3, "another")) == accepted);

  CHECK(f.get(100s) == "another?");  // expired, remembered for 105 s
  CHECK(f.bring(1, plain(1, "own"), 150s) == errc::refused_stale);
  CHECK(f.bring(2, plain(1, "hearsay"), 150s) == errc::refused_stale);
  CHECK(f.store.counters().refused_stale == 4);
  CHECK(f.bring(1, plain(1, "own"), 206s) == accepted);
}

TEST_CASE("unsigned: a tombstone stands above it") {
  fixture f;
  CHECK(f.bring(2, plain(1, "hearsay")) == accepted);
  CHECK(f.bring(1, plain(1, "own")) == accepted);
  CHECK(f.put(tombstone(1, 3), origin::handed_on) == accepted);
  CHECK(f.get() == "!");  // the tombstone
  CHECK(f.store.size() == 1);
  CHECK(f.store.counters().displaced == 1);
  CHECK(f.bring(2, plain(1, "hearsay"), 1s) == errc::refused_stale);
  CHECK(f.get(104s).empty());
}

TEST_CASE("unsigned: the signed word drops what stood for it, and nothing else") {
  fixture f;
  CHECK(f.bring(2, plain(1, "hearsay")) == accepted);
  CHECK(f.bring(3, plain(1, "more")) == accepted);
  CHECK(f.bring(4, plain(5, "other")) == accepted);
  CHECK(f.bring(1, plain(1, "own")) == accepted);
  CHECK(f.store.size() == 4);
  record forged = signed_one(1, 1, "forged");
  forged.signature[1] ^= 1;
  CHECK(f.put(forged, origin::handed_on) == errc::refused_signature);
  CHECK(f.store.size() == 4);
  CHECK(f.put(signed_one(1, 1, "signed"), origin::publisher_session) == accepted);
  CHECK(f.store.counters().displaced == 2);
  CHECK(f.store.size() == 2);
  auto const text = f.get();
  CHECK((text == "signed! other?" || text == "other? signed!"));
  CHECK(f.store.sequence_of(as_bytes("k"), peer(1)) == 1);

  // A wrong signature over the publisher's own session loses it nothing but what others said about it.
  CHECK(f.bring(6, plain(6, "own six")) == accepted);
  record bad = signed_one(6, 1, "bad");
  bad.signature[1] ^= 1;
  CHECK(f.put(bad, origin::publisher_session) == accepted);
  f.store.verify_some(10);
  CHECK(f.store.counters().bad_signature == 1);
  CHECK(as_text(f.store.find(as_bytes("k"), peer(6), at(0s))->value->value) == "own six");
}

TEST_CASE("unsigned: it has no sequence, and nobody renews it") {
  fixture f;
  CHECK(f.bring(1, plain(1, "own", 10s)) == accepted);
  CHECK(f.store.renew(as_bytes("k"), peer(1), 0, at(1s)) == errc::refused_unknown);
  CHECK(f.store.sequence_of(as_bytes("k"), peer(1)) == 0u);
  CHECK_FALSE(f.store.highest(as_bytes("k"), peer(1)).has_value());
  f.store.remember_until(as_bytes("k"), peer(1), at(1h));  // means nothing
  CHECK(f.get(10s).empty());
  CHECK(f.store.remembered() == 0);
  CHECK_FALSE(f.store.next_expiry().has_value());
}

TEST_CASE("unsigned: what is no unsigned record is malformed") {
  fixture f;
  CHECK(f.bring(1, signed_one(1, 1, "signed")) == errc::malformed);
  record r = plain(1, "v");
  SUBCASE("sequence") { r.sequence = 1; }
  SUBCASE("flags") { r.flags = record::flag_tombstone; }
  SUBCASE("lifetime") { r.lifetime_max = 49h; }
  SUBCASE("no life") { r.lifetime_max = duration(0); }
  CHECK(f.bring(1, r) == errc::malformed);
  CHECK(f.store.size() == 0);
}

TEST_CASE("unsigned: counts against the same limits, and against its sender's share") {
  store_limits limits;
  limits.max_records = 3;
  limits.max_records_per_publisher = 2;
  limits.max_records_per_range = 2;
  limits.max_value_bytes = 100;
  fixture f(limits);
  auto const under = [](std::string_view key, std::uint8_t publisher) {
    record r = plain(publisher, "v");
    r.key = to_bytes(as_bytes(key));
    return r;
  };
  CHECK(f.bring(9, under("a", 1), 0s, 5) == accepted);
  CHECK(f.bring(9, under("b", 2), 0s, 5) == accepted);
  CHECK(f.bring(9, under("c", 3), 0s, 6) == errc::refused_full);
  CHECK(f.store.counters().refused_full_publisher == 1);
  CHECK(f.bring(9, under("a", 4), 0s, 5) == accepted);  // the same slot
  CHECK(f.bring(8, under("c", 3), 0s, 5) == errc::refused_full);
  CHECK(f.store.counters().refused_full_range == 1);
  CHECK(f.bring(8, under("c", 3), 0s, 6) == accepted);
  CHECK(f.bring(7, under("c", 3), 0s, 7) == errc::refused_full);
  CHECK(f.store.counters().refused_full == 1);
  CHECK(f.bring(9, plain(1, std::string(101, 'x'))) == errc::refused_too_large);
  CHECK(f.store.size() == 3);
  CHECK(f.store.bytes() == 6);
}

TEST_CASE("unsigned: a sequence that went where it cannot be withdrawn is remembered longer") {
  fixture f;
  CHECK(f.put(signed_one(1, 7, "signed"), origin::publisher_session) == accepted);
  f.store.remember_until(as_bytes("k"), peer(1), at(1h));
  f.store.remember_until(as_bytes("elsewhere"), peer(1), at(1h));
  CHECK(f.store.remembered() == 0);
  CHECK(f.get(100s).empty());
  CHECK(f.bring(2, plain(1, "old"), 1h - 1s) == errc::refused_stale);
  CHECK(f.store.highest(as_bytes("k"), peer(1))->sequence == 7);
  CHECK(f.bring(2, plain(1, "old"), 1h) == accepted);
}

// ---- between nodes --------------------------------------------------------------------------------------------------

namespace {

node_options among(foreign_nodes& foreign) {
  node_options o;
  o.transport = foreign_transport::factory(foreign);
  return o;
}

put_options lasting(duration lifetime, quorum q = quorum::all()) {
  put_options how;
  how.lifetime = lifetime;
  how.quorum = q;
  return how;
}

get_options from(quorum q) {
  get_options how;
  how.quorum = q;
  return how;
}

/// `count` nodes, the last `foreigners` of which are foreign to everybody.
void fill(simulated_swarm& swarm, foreign_nodes& foreign, std::size_t count, std::size_t foreigners) {
  for (std::size_t i = 0; i < count; ++i) {
    node const& n = swarm.add(among(foreign));
    if (i + foreigners >= count) foreign.ids.insert(n.id());
  }
  swarm.join_all();
}

std::string all_of(get_result const& got) {
  std::string out;
  for (found_record const& r : got.records())
    out += (out.empty() ? "" : " ") + std::string(as_text(r.value.value)) + (r.value.is_signed() ? "!" : "");
  return out;
}

}  // namespace

TEST_CASE("foreign peers: a put is plain, a renewal is a full put, and the receipt says who stored it") {
  foreign_nodes foreign;
  simulated_swarm swarm(71);
  fill(swarm, foreign, 5, 2);
  auto const receipt = swarm.put(1, "key", "value", lasting(20s));
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 4);
  for (std::size_t i = 0; i < 5; ++i) CHECK(swarm.holds(i, "key", 1));
  CHECK(foreign.asked[message_type::put_value] == 2);
  swarm.world.run_for(60s);
  for (std::size_t i = 0; i < 5; ++i) CHECK(swarm.holds(i, "key", 1));
  CHECK(foreign.asked[message_type::put_value] >= 8);  // every half of its life
  CHECK(foreign.asked[message_type::renew] == 0);
  CHECK(foreign.asked[message_type::replicate] == 0);
  CHECK(foreign.foreign_fields == 0);
  auto const there = swarm.nodes[4]->store().find(as_bytes("key"), swarm.nodes[1]->id(), swarm.world.now());
  REQUIRE(there.has_value());
  CHECK_FALSE(there->value->is_signed());
  CHECK(there->remaining <= 20s);
}

TEST_CASE("foreign peers: a withdrawal is refused there, without asking, and nowhere else") {
  foreign_nodes foreign;
  simulated_swarm swarm(72);
  fill(swarm, foreign, 5, 2);
  CHECK(swarm.put(1, "key", "value", lasting(20s)).ok());
  std::size_t const puts = foreign.asked[message_type::put_value];
  auto const receipt = swarm.withdraw(1, "key", lasting(20s, quorum::one()));
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 2);
  REQUIRE(receipt.refused() == 2);
  for (replica const& r : receipt.replicas()) {
    if (!foreign.ids.contains(r.peer)) continue;
    CHECK(r.now == replica::state::refused);
    CHECK(r.refusal == errc::refused_unsupported);
    CHECK(r.why.find("withdrawn") != std::string::npos);
  }
  CHECK(foreign.asked[message_type::put_value] == puts);
  CHECK(swarm.holds(4, "key", 1));

  // Its copy counts nowhere where the tombstone is seen.
  auto const got = swarm.get(2, "key", from(quorum::all()));
  CHECK(got.outcome() == get_outcome::not_found);
  CHECK(got.withdrawn().size() == 1);
  swarm.world.run_for(21s);
  CHECK_FALSE(swarm.holds(4, "key", 1));
}

TEST_CASE("foreign peers: what they put is kept and served unsigned, and lives as long as they said") {
  foreign_nodes foreign;
  simulated_swarm swarm(73);
  fill(swarm, foreign, 5, 1);
  auto const receipt = swarm.put(4, "key", "from abroad", lasting(20s));
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(swarm.holds(i, "key", 4));
  for (auto const& how : {get_options(), from(quorum::all())}) {
    auto const got = swarm.get(1, "key", how);
    REQUIRE(got.found());
    REQUIRE(got.records().size() == 1);
    found_record const& r = got.records()[0];
    CHECK(as_text(r.value.value) == "from abroad");
    CHECK_FALSE(r.value.is_signed());
    CHECK(r.value.publisher == swarm.nodes[4]->id());
    CHECK(r.value.sequence == 0);
    CHECK(r.remaining <= 20s);
    CHECK(got.explain().find("none of it signed") != std::string::npos);
  }
  swarm.crash(4);
  swarm.world.run_for(21s);
  CHECK(swarm.get(1, "key", from(quorum::majority())).outcome() == get_outcome::not_found);
}

TEST_CASE(
    "foreign peers: signed copies stand above unsigned ones, whichever came first, and are not repaired by them") {
  foreign_nodes foreign;
  simulated_swarm swarm(74);
  fill(swarm, foreign, 6, 2);
  CHECK(swarm.put(1, "key", "old", lasting(10min)).ok());
  // The publisher's newer word reaches kadoro nodes only: the foreign ones still have the old value.
  auto const cut = [&swarm](bool off) {
    for (std::size_t i = 4; i < 6; ++i)
      swarm.world.set_blocked(simulated_swarm::address(2), simulated_swarm::address(i + 1), off);
  };
  cut(true);
  CHECK(swarm.put(1, "key", "new", lasting(10min, quorum::of(3))).stored() >= 3);
  swarm.world.run_for(10s);
  cut(false);
  REQUIRE(
      as_text(swarm.nodes[5]->store().find(as_bytes("key"), swarm.nodes[1]->id(), swarm.world.now())->value->value) ==
      "old");
  for (std::size_t reader : {0u, 2u, 3u}) {
    auto const got = swarm.get(reader, "key", from(quorum::all()));
    CHECK(all_of(got) == "new!");
  }
  swarm.world.run_for(5s);
  for (std::size_t i : {0u, 2u, 3u}) {
    auto const held = swarm.nodes[i]->store().find(as_bytes("key"), swarm.nodes[1]->id(), swarm.world.now());
    REQUIRE(held.has_value());
    CHECK(held->value->is_signed());
    CHECK(as_text(held->value->value) == "new");
  }
  CHECK(foreign.foreign_fields == 0);
}

TEST_CASE("foreign readers see one record: a signed one before unsigned ones") {
  foreign_nodes foreign;
  simulated_swarm swarm(75);
  fill(swarm, foreign, 2, 1);
  auto& store = swarm.nodes[0]->store();
  auto const now = swarm.world.now();
  record const longest = plain(3, "unsigned", 40h);
  CHECK(store.put_unsigned(longest, peer(3), {}, now).refused == accepted);
  CHECK(all_of(swarm.get(1, "k", from(quorum::all()))) == "unsigned");
  CHECK(store.put(signed_one(1, 1, "short", 50s), origin::handed_on, {}, 50s, now).refused == accepted);
  CHECK(store.put(signed_one(2, 1, "long", 60s), origin::handed_on, {}, 60s, now).refused == accepted);
  CHECK(store.put(tombstone(4, 1, 90s), origin::handed_on, {}, 90s, now).refused == accepted);
  auto const got = swarm.get(1, "k", from(quorum::all()));
  CHECK(all_of(got) == "long");
  CHECK(got.withdrawn().empty());
  // What a foreign reader has may come back: the sequence is remembered as long as libp2p keeps records.
  swarm.world.run_for(5min);
  CHECK(store.highest(as_bytes("k"), peer(2)).has_value());
  CHECK_FALSE(store.highest(as_bytes("k"), peer(1)).has_value());
}

TEST_CASE("foreign peers: a newcomer is handed one record per key, from us, and never a tombstone or an unsigned one") {
  foreign_nodes foreign;
  simulated_swarm swarm(76);
  fill(swarm, foreign, 3, 0);
  CHECK(swarm.put(1, "key", "one", lasting(10min)).ok());
  CHECK(swarm.put(2, "key", "two", lasting(10min)).ok());
  CHECK(swarm.put(1, "gone", "value", lasting(10min)).ok());
  CHECK(swarm.withdraw(1, "gone", lasting(10min)).ok());
  CHECK(swarm.nodes[0]->store().put_unsigned(plain(9, "plain", 1h), peer(9), {}, swarm.world.now()).refused ==
        accepted);
  node& late = swarm.add(among(foreign));
  foreign.ids.insert(late.id());
  auto const joined = swarm.hosts[3]->run(late.join());
  CHECK(joined.has_value());
  swarm.world.run_for(5s);
  std::map<std::string, std::size_t> held;
  late.store().for_each(swarm.world.now(), [&held](record_store::held const& h) {
    CHECK_FALSE(h.value->is_signed());
    CHECK_FALSE(h.value->tombstone());
    ++held[std::string(as_text(h.value->key))];
  });
  CHECK(held["key"] >= 2);  // both publishers put their own
  CHECK(held.count("gone") == 0);
  CHECK(held.count("k") == 0);
  CHECK(foreign.asked[message_type::replicate] == 0);
  CHECK(foreign.foreign_fields == 0);
}

TEST_CASE("unsigned records are taken from foreign peers only, by put only, and never about the node itself") {
  foreign_nodes foreign;
  simulated_swarm swarm(77);
  node const& victim = swarm.add(among(foreign));
  for (bool const is_foreign : {false, true}) {
    auto const address = io::endpoint::v4({10, 9, 9, static_cast<std::uint8_t>(is_foreign)}, 7);
    io::sim::context host(swarm.world, address);
    crypto::identity const stranger = crypto::identity::generate(host.random());
    peer_id const id = peer_id::of_ed25519(stranger.public_key());
    if (is_foreign) foreign.ids.insert(id);
    transport::peer_book book;
    transport::datagram::options how;
    how.listen = address;
    auto const wire = transport::datagram::datagram_transport::open(host, book, stranger, how).value();
    auto const to = book.intern(victim.id());
    to->add_address(multiaddr::datagram(simulated_swarm::address(1), std::nullopt), false);
    auto const ask = [&](message_type type, peer_id const& publisher) {
      record r = plain(0, "value");
      r.publisher = publisher;
      transport::message m;
      m.type = type;
      m.key = r.key;
      m.record = to_wire_unsigned(r, r.lifetime_max);
      auto const answer = host.run(wire->request(to, m));
      REQUIRE(answer.has_value());
      return answer->refusal;
    };
    if (is_foreign) {
      CHECK(ask(message_type::put_value, id) == accepted);
      CHECK(ask(message_type::put_value, peer(3)) == accepted);
      CHECK(ask(message_type::put_value, victim.id()) == errc::refused_publisher);
      CHECK(ask(message_type::replicate, id) == errc::refused_unsupported);
    } else {
      CHECK(ask(message_type::put_value, id) == errc::refused_unsupported);  // it can sign, so it must
    }
    host.run(wire->close());
  }
  CHECK(swarm.nodes[0]->store().size() == 2);
}
