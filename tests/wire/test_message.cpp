#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "crypto/hex.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/multiformats/varint.hpp"
#include "kadoro/wire/message.hpp"

using namespace kadoro;
using wire::message;
using wire::message_type;

namespace {

std::string const id_b = "0024080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394";
std::string const address_b = "047f000001060fa1";
std::string const peer_b = "34 0a26" + id_b + "1208" + address_b + "1801";
std::string const key_hex = "2f746573742f68656c6c6f";  // /test/hello
std::string const provided = "12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// Takes the length off a vector: streams put it in front of every message, datagrams do not.
bytes body_of(std::string const& framed) {
  auto const data = hex(framed);
  auto const length = multiformats::decode_varint(data).value();
  REQUIRE(length.value == data.size() - length.size);
  return to_bytes(bytes_view(data).subspan(length.size));
}

std::string encoded(message const& m) {
  bytes out(wire::encoded_size(m));
  auto const size = wire::encode(m, out);
  REQUIRE(size);
  CHECK(*size == out.size());
  return to_hex(out);
}

bool same(bytes_view a, bytes_view b) { return equal(a, b); }

bool same_records(wire::record const& a, wire::record const& b) {
  return same(a.key, b.key) && same(a.value, b.value) && same(a.time_received, b.time_received) &&
         same(a.publisher, b.publisher) && a.ttl_s == b.ttl_s && a.sequence == b.sequence &&
         a.lifetime_ms == b.lifetime_ms && a.flags == b.flags && same(a.signature, b.signature) &&
         a.remaining_ms == b.remaining_ms && same(a.value_hash, b.value_hash);
}

/// `alike` compares two elements.
template <class List, class Alike>
bool same_lists(List const& a, List const& b, Alike alike) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), alike);
}

bool same_peers(wire::peer const& a, wire::peer const& b) {
  return same(a.id, b.id) && same_lists(a.addresses, b.addresses, equal) && a.connection == b.connection;
}

bool same(message const& a, message const& b) {
  if (a.record.has_value() != b.record.has_value() || (a.record && !same_records(*a.record, *b.record))) return false;
  return a.type == b.type && same(a.key, b.key) && same_lists(a.closer, b.closer, same_peers) &&
         same_lists(a.providers, b.providers, same_peers) && same_lists(a.records, b.records, same_records) &&
         a.refusal == b.refusal && a.records_cursor == b.records_cursor && a.contacts_cursor == b.contacts_cursor &&
         a.sequence == b.sequence && a.since == b.since && a.head == b.head && a.brief == b.brief &&
         a.durability == b.durability && same(a.refusal_text, b.refusal_text) && a.retry_after_ms == b.retry_after_ms;
}

/// Random messages, whose bytes all come out of one buffer.
class generator {
 public:
  explicit generator(std::uint64_t seed) : random_(seed), pool_(4096) { random_.fill(pool_); }

  message next() {
    message m;
    static constexpr message_type types[] = {
        message_type::put_value, message_type::get_value, message_type::add_provider, message_type::get_providers,
        message_type::find_node, message_type::ping,      message_type::renew,        message_type::replicate};
    m.type = types[random_.below(std::size(types))];
    m.key = some(80);
    if (half()) m.record = record();
    m.closer = list<wire::peer>(4, [this] { return peer(); });
    m.providers = list<wire::peer>(3, [this] { return peer(); });
    m.records = list<wire::record>(3, [this] { return record(); });
    m.refusal = number32();
    m.records_cursor = number32();
    m.contacts_cursor = number32();
    m.sequence = number64();
    m.since = number64();
    m.head = number64();
    m.brief = half();
    m.durability = static_cast<wire::durability>(random_.below(4));
    m.refusal_text = some(message::max_refusal_text_bytes);
    m.retry_after_ms = number32();
    return m;
  }

  random_source& random() { return random_; }

 private:
  bool half() { return random_.below(2) == 0; }
  std::uint64_t number64() {
    if (half()) return 0;
    std::uint64_t const shift = random_.below(64);
    return random_.next() >> shift;
  }
  std::uint32_t number32() { return static_cast<std::uint32_t>(number64()); }
  bytes_view exactly(std::size_t size) { return bytes_view(pool_).subspan(random_.below(pool_.size() - size), size); }
  bytes_view some(std::size_t most) { return half() ? bytes_view() : exactly(random_.below(most + 1)); }

  template <class Element, class Make>
  pooled_vector<Element> list(std::size_t most, Make make) {
    pooled_vector<Element> out;
    for (std::uint64_t n = half() ? 0 : random_.below(most + 1); n > 0; --n) out.push_back(make());
    return out;
  }

  wire::record record() {
    wire::record r;
    if (random_.below(8) == 0) return r;  // a record may be all defaults
    r.key = some(80);
    r.value = some(1500);
    r.time_received = some(30);
    r.publisher = some(44);
    r.ttl_s = number32();
    r.sequence = number64();
    r.lifetime_ms = number32();
    r.flags = number32();
    if (half()) r.signature = exactly(64);
    r.remaining_ms = number32();
    if (half()) r.value_hash = exactly(32);
    return r;
  }

  wire::peer peer() {
    wire::peer p;
    p.id = exactly(1 + random_.below(44));
    p.addresses.assign(list<bytes_view>(wire::peer::max_addresses, [this] { return some(50); }));
    p.connection = static_cast<wire::connection_type>(random_.below(4));
    return p;
  }

  chacha20_random random_;
  bytes pool_;
};

/// Decodes a heap copy of exactly that size, so that a sanitizer sees any read beyond it.
result<message> decode_exact(bytes const& data, bytes& keep) {
  keep = data;
  keep.shrink_to_fit();
  return wire::decode(keep);
}

void add_field(bytes& out, std::uint32_t number, std::uint32_t type) {
  multiformats::append_varint(out, std::uint64_t{number} << 3 | type);
}

void add_bytes(bytes& out, std::uint32_t number, bytes_view value) {
  add_field(out, number, 2);
  multiformats::append_varint(out, value.size());
  out.insert(out.end(), value.begin(), value.end());
}

}  // namespace

TEST_CASE("message: the vectors of libp2p, both directions") {
  auto const id = hex(id_b);
  auto const address = hex(address_b);
  auto const key = hex(key_hex);
  auto const cid = hex(provided);
  wire::peer b;
  b.id = id;
  b.addresses = {address};
  b.connection = wire::connection_type::connected;
  wire::record plain;
  plain.key = key;
  plain.value = as_bytes("world");

  auto const check = [](message const& m, std::string const& framed) {
    auto const body = body_of(framed);
    CHECK(encoded(m) == to_hex(body));
    auto const decoded = wire::decode(body);
    REQUIRE(decoded);
    CHECK(same(*decoded, m));
  };

  message find;
  find.type = message_type::find_node;
  find.key = id;
  check(find, "2a 0804 1226" + id_b);

  auto const as_rust = body_of("2c 0804 500a 1226" + id_b);  // an unknown field, and out of order
  auto const from_rust = wire::decode(as_rust);
  REQUIRE(from_rust);
  CHECK(same(*from_rust, find));

  message found;
  found.type = message_type::find_node;
  found.closer = {b};
  check(found, "38 0804 42" + peer_b);

  message put;
  put.key = key;
  put.record = plain;
  check(put, "23 120b" + key_hex + "1a14 0a0b" + key_hex + "1205 776f726c64");

  message replicated = put;
  replicated.record->publisher = id;
  replicated.record->ttl_s = 129600;
  check(replicated, "51 120b" + key_hex + "1a42 0a0b" + key_hex + "1205 776f726c64 d229 26" + id_b + "c830 c0f407");

  message get;
  get.type = message_type::get_value;
  get.key = key;
  check(get, "0f 0801 120b" + key_hex);

  message hit = get;
  hit.record = plain;
  hit.record->time_received = as_bytes("2026-01-02T03:04:05.678901234Z");
  hit.closer = {b};
  check(hit, "7b 0801 120b" + key_hex + "1a34 0a0b" + key_hex +
                 "1205 776f726c64 2a1e 323032362d30312d30325430333a30343a30352e3637383930313233345a 42" + peer_b);

  message add;
  add.type = message_type::add_provider;
  add.key = cid;
  add.providers = {b};
  check(add, "5c 0802 1222" + provided + "4a" + peer_b);

  message providers;
  providers.type = message_type::get_providers;
  providers.key = cid;
  check(providers, "26 0803 1222" + provided);

  message ping;
  ping.type = message_type::ping;
  check(ping, "02 0805");
}

TEST_CASE("message: random messages round-trip, and their size is exact") {
  generator make(1);
  for (int i = 0; i < 3000; ++i) {
    message const m = make.next();
    std::size_t const size = wire::encoded_size(m);
    bytes out(size);
    auto const written = wire::encode(m, out);
    REQUIRE(written);
    CHECK(*written == size);
    auto const decoded = wire::decode(out);
    REQUIRE(decoded);
    CHECK(same(*decoded, m));
    if (size > 0) {
      bytes shorter(size - 1);
      auto const refused = wire::encode(m, shorter);
      REQUIRE_FALSE(refused);
      CHECK(refused.error() == errc::too_large);
    }
    bytes larger(size + 10);
    CHECK(wire::encode(m, larger).value() == size);
  }
}

TEST_CASE("message: the size of an element is what it adds") {
  generator make(2);
  int elements = 0;
  for (int i = 0; i < 500; ++i) {
    message const m = make.next();
    message with_one;
    std::size_t const before = wire::encoded_size(with_one);
    for (auto const& r : m.records) {
      with_one.records = {r};
      CHECK(wire::encoded_size(with_one) == before + wire::encoded_size(r));
      ++elements;
    }
    with_one.records.clear();
    for (auto const& p : m.closer) {
      with_one.closer = {p};
      CHECK(wire::encoded_size(with_one) == before + wire::encoded_size(p));
      ++elements;
    }
  }
  CHECK(elements > 100);
}

TEST_CASE("message: truncations and mutations end in a value or an error") {
  generator make(3);
  bytes keep;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  auto const attempt = [&](bytes const& data) {
    auto const decoded = decode_exact(data, keep);
    if (!decoded) {
      ++refused;
      CHECK((decoded.error() == errc::malformed || decoded.error() == errc::too_large));
      return;
    }
    ++accepted;
    // What was accepted can be written, and reads as the same again; it touches every view, too.
    bytes out(wire::encoded_size(*decoded));
    REQUIRE(wire::encode(*decoded, out));
    auto const again = wire::decode(out);
    REQUIRE(again);
    CHECK(same(*again, *decoded));
  };
  for (int i = 0; i < 100; ++i) {
    auto const data = hex(encoded(make.next()));
    for (std::size_t size = 0; size < std::min<std::size_t>(data.size(), 400); ++size)
      attempt(to_bytes(bytes_view(data).first(size)));
  }
  for (int i = 0; i < 100000;) {
    auto const original = hex(encoded(make.next()));
    for (int j = 0; j < 100 && !original.empty(); ++j, ++i) {
      bytes data = original;
      for (std::uint64_t n = 1 + make.random().below(4); n > 0; --n) {
        // Most of a message is a few long values: hit its beginning, where the structure is, more often.
        std::uint64_t const within =
            make.random().below(2) == 0 ? std::min<std::uint64_t>(data.size(), 48) : data.size();
        std::uint64_t const at = make.random().below(within);
        data[at] = static_cast<std::uint8_t>(make.random().next());
      }
      attempt(data);
    }
  }
  CHECK(accepted > 1000);
  CHECK(refused > 1000);
}

TEST_CASE("message: noise is no protobuf, or an empty one") {
  chacha20_random random(4);
  bytes keep;
  for (int i = 0; i < 20000; ++i) {
    bytes data(random.below(64));
    random.fill(data);
    auto const decoded = decode_exact(data, keep);
    if (!decoded) CHECK(decoded.error() == condition::malformed);
  }
  CHECK(wire::decode({}).has_value());  // every field at its default
}

TEST_CASE("message: a field that comes twice counts once, the last time") {
  auto const data = hex("0801 0804 1201aa 1201bb 1a030a0101 1a03120102");
  auto const decoded = wire::decode(data);
  REQUIRE(decoded);
  CHECK(decoded->type == message_type::find_node);
  CHECK(to_hex(decoded->key) == "bb");
  REQUIRE(decoded->record);
  CHECK(decoded->record->key.empty());
  CHECK(to_hex(decoded->record->value) == "02");
}

TEST_CASE("message: unknown fields and types are let through") {
  auto const data = hex("0807 500a 2d01020304 31 0102030405060708 2a00 1201aa");
  auto const decoded = wire::decode(data);
  REQUIRE(decoded);
  CHECK(static_cast<std::uint32_t>(decoded->type) == 7);  // whoever serves it answers that it does not know it
  CHECK(to_hex(decoded->key) == "aa");
  auto const strange_connection = hex("4205 0a0101 1809");
  auto const peer = wire::decode(strange_connection);
  REQUIRE(peer);
  REQUIRE(peer->closer.size() == 1);
  CHECK(peer->closer[0].connection == wire::connection_type::not_connected);
}

TEST_CASE("message: wrong wire types, a peer without id, wrong sizes are malformed") {
  auto const malformed = [](bytes const& data) {
    auto const decoded = wire::decode(data);
    return !decoded && decoded.error() == errc::malformed;
  };
  for (char const* text : {"0a00",        "0d00000000", "1000", "1800",       "4000",
                           "4800",        "42021201",   "4200", "42031201aa", "42020a00",
                           "1a0208 01",   "1a021001",   "08",   "12",         "1205aa",
                           "0b",          "0c",         "07",   "00",         "08ffffffffffffffffffff01",
                           "12ffffffff0f"})
    CHECK_MESSAGE(malformed(hex(text)), text);
  for (std::size_t const size : {1u, 63u, 65u}) {
    bytes record;
    add_bytes(record, 1003, bytes(size));
    bytes data;
    add_bytes(data, 3, record);
    CHECK(malformed(data));
  }
  for (std::size_t const size : {1u, 31u, 33u}) {
    bytes record;
    add_bytes(record, 1005, bytes(size));
    bytes data;
    add_bytes(data, 1010, record);
    CHECK(malformed(data));
  }
  for (std::uint32_t const number : {1000u, 1001u, 1002u, 1004u, 777u}) {
    bytes record;
    add_bytes(record, number, bytes(1));
    bytes data;
    add_bytes(data, 3, record);
    CHECK(malformed(data));
  }
  for (std::uint32_t const number : {1011u, 1012u, 1013u, 1014u}) {
    bytes data;
    add_bytes(data, number, bytes(1));
    CHECK(malformed(data));
  }
}

TEST_CASE("message: lists are bounded") {
  bytes peer;
  add_bytes(peer, 1, bytes(1, 9));
  struct limit {
    std::uint32_t number;
    std::size_t most;
    bytes_view element;
  };
  for (auto const& l : {limit{8, message::max_peers, peer}, limit{9, message::max_peers, peer},
                        limit{1010, message::max_records, {}}}) {
    bytes data;
    for (std::size_t i = 0; i < l.most; ++i) add_bytes(data, l.number, l.element);
    CHECK(wire::decode(data).has_value());
    add_bytes(data, l.number, l.element);
    auto const refused = wire::decode(data);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == errc::too_large);
  }
  for (int i = 0; i < 20; ++i) add_bytes(peer, 2, bytes(1, static_cast<std::uint8_t>(i)));
  bytes data;
  add_bytes(data, 8, peer);
  auto const decoded = wire::decode(data);
  REQUIRE(decoded);
  REQUIRE(decoded->closer[0].addresses.size() == wire::peer::max_addresses);
  CHECK(decoded->closer[0].addresses[7][0] == 7);
}

TEST_CASE("message: durability is a field of its own, and a number that nobody knows says nothing") {
  wire::message m;
  m.type = wire::message_type::renew;
  std::size_t const without = wire::encoded_size(m);
  m.durability = wire::durability::on_disk;
  CHECK(wire::encoded_size(m) == without + 3);
  bytes encoded(wire::encoded_size(m));
  REQUIRE(wire::encode(m, encoded));
  auto const back = wire::decode(encoded);
  REQUIRE(back);
  CHECK(back->durability == wire::durability::on_disk);
  encoded.back() = 9;
  auto const unknown = wire::decode(encoded);
  REQUIRE(unknown);
  CHECK(unknown->durability == wire::durability::not_said);
}
