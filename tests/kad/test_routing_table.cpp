#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include "kadoro/kad/routing_table.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using kad::contact;
using kad::insert_result;
using kad::key;
using kad::routing_table;
using transport::peer_ref;

namespace {

kad::peer_id id_of(std::uint64_t number) {
  byte_array<32> public_key{};
  store_be(public_key.data(), number);
  return kad::peer_id::of_ed25519(public_key);
}

/// Peers with numbers, found by the bucket of node 0 that they fall into.
struct world {
  transport::peer_book book;
  kad::peer_id self = id_of(0);
  std::uint64_t next = 1;
  std::map<int, std::vector<peer_ref>> spare;

  peer_ref any() {
    peer_ref made = book.intern(id_of(next++));
    made->mode = transport::peer_mode::server;
    return made;
  }
  peer_ref in_bucket(int bucket) {
    while (spare[bucket].empty()) {
      peer_ref made = any();
      spare[key::of(self).common_prefix(key::of(made->id()))].push_back(made);
    }
    peer_ref out = spare[bucket].back();
    spare[bucket].pop_back();
    return out;
  }
  peer_ref in_bucket_at(int bucket, byte_array<4> const& address) {
    peer_ref out = in_bucket(bucket);
    out->add_address(multiformats::multiaddr::datagram(io::endpoint::v4(address, 4001)), true);
    return out;
  }
};

std::vector<peer_ref> peers_of(std::vector<contact> const& contacts) {
  std::vector<peer_ref> out;
  for (contact const& c : contacts) out.push_back(c.peer);
  return out;
}

contact const* find(routing_table const& table, peer_ref const& who) {
  contact const* found = nullptr;
  table.for_each([&](contact const& c) {
    if (c.peer == who) found = &c;
  });
  return found;
}

time_point at(int seconds) { return time_point{std::chrono::seconds(seconds)}; }

}  // namespace

TEST_CASE("neither self nor clients come in") {
  world w;
  routing_table table(w.self);
  CHECK(table.insert(w.book.intern(w.self), at(0)) == insert_result::rejected);
  peer_ref const who = w.any();
  who->mode = transport::peer_mode::client;
  CHECK(table.insert(who, at(0)) == insert_result::rejected);
  CHECK(table.size() == 0);
  CHECK(table.counters().rejected_other == 2);

  who->mode = transport::peer_mode::server;
  CHECK(table.insert(who, at(1)) == insert_result::added);
  who->mode = transport::peer_mode::client;  // it was restarted as a client
  CHECK(table.insert(who, at(2)) == insert_result::rejected);
  CHECK_FALSE(table.contains(who));
}

TEST_CASE("a bucket is ordered by who was seen last") {
  world w;
  routing_table table(w.self);
  peer_ref const a = w.in_bucket(0);
  peer_ref const b = w.in_bucket(0);
  peer_ref const c = w.in_bucket(0);
  CHECK(table.insert(a, at(1)) == insert_result::added);
  CHECK(table.insert(b, at(2)) == insert_result::added);
  CHECK(table.insert(c, at(3)) == insert_result::added);
  CHECK(table.insert(a, at(4)) == insert_result::refreshed);
  table.on_alive(b, at(5));
  table.on_alive(w.in_bucket(0), at(6));  // a stranger
  std::vector<contact> seen;
  table.for_each([&](contact const& each) { seen.push_back(each); });
  CHECK(peers_of(seen) == std::vector<peer_ref>{c, a, b});
  CHECK(seen[1].last_seen == at(4));
  CHECK(seen[2].last_seen == at(5));
  CHECK(seen[0].id == key::of(c->id()));
  CHECK(table.size() == 3);
}

TEST_CASE("a full bucket keeps its old contacts, and the newcomer waits") {
  world w;
  kad::table_options options;
  options.k = 3;
  routing_table table(w.self, options);
  peer_ref const a = w.in_bucket(0);
  peer_ref const b = w.in_bucket(0);
  peer_ref const c = w.in_bucket(0);
  peer_ref const d = w.in_bucket(0);
  CHECK_FALSE(table.eviction_candidate(a));
  table.insert(a, at(1));
  table.insert(b, at(2));
  CHECK_FALSE(table.eviction_candidate(d));
  table.insert(c, at(3));
  CHECK(table.insert(d, at(4)) == insert_result::pending);
  CHECK_FALSE(table.contains(d));
  REQUIRE(table.eviction_candidate(d));
  CHECK(*table.eviction_candidate(d) == a);
  CHECK_FALSE(table.eviction_candidate(b));  // it is in already

  SUBCASE("the candidate answers and stays") {
    table.on_alive(a, at(5));
    CHECK(table.contains(a));
    CHECK_FALSE(table.contains(d));
    CHECK(*table.eviction_candidate(d) == b);
  }
  SUBCASE("the candidate fails and goes at once") {
    CHECK(table.on_failed(a));
    CHECK_FALSE(table.contains(a));
    CHECK(table.contains(d));
    CHECK(table.counters().promoted == 1);
  }
  SUBCASE("of several that wait the newest comes in") {
    peer_ref const e = w.in_bucket(0);
    CHECK(table.insert(e, at(5)) == insert_result::pending);
    CHECK(table.insert(d, at(6)) == insert_result::pending);  // heard from again
    table.remove(b);
    CHECK(table.contains(d));
    table.remove(c);
    CHECK(table.contains(e));
  }
  SUBCASE("one that waits can become newer by answering, and is dropped when it fails") {
    peer_ref const e = w.in_bucket(0);
    table.insert(e, at(5));
    table.on_alive(d, at(6));
    CHECK(table.on_failed(e));
    table.remove(a);
    CHECK(table.contains(d));
    table.remove(b);
    CHECK_FALSE(table.contains(e));
    CHECK(table.size() == 2);
  }
  SUBCASE("the replacement cache is bounded: the oldest goes") {
    peer_ref const e = w.in_bucket(0);
    peer_ref const f = w.in_bucket(0);
    peer_ref const g = w.in_bucket(0);
    for (peer_ref const& who : {e, f, g}) CHECK(table.insert(who, at(5)) == insert_result::pending);
    CHECK(table.counters().replacements_dropped == 1);
    for (peer_ref const& who : {a, b, c}) table.remove(who);
    CHECK(table.contains(e));
    CHECK(table.contains(f));
    CHECK(table.contains(g));
    CHECK_FALSE(table.contains(d));
  }
  SUBCASE("another bucket is another matter") {
    CHECK(table.insert(w.in_bucket(1), at(5)) == insert_result::added);
    CHECK(table.size() == 4);
  }
}

TEST_CASE("of several that wait the one with the shortest round trip comes in, if it answered last time") {
  world w;
  kad::table_options options;
  options.k = 4;
  routing_table wide(w.self, options);
  std::vector<peer_ref> inside;
  for (int i = 0; i < 4; ++i) inside.push_back(w.in_bucket(0));
  for (peer_ref const& who : inside) wide.insert(who, at(1));
  peer_ref const slow = w.in_bucket(0);
  peer_ref const quick = w.in_bucket(0);
  peer_ref const failed = w.in_bucket(0);
  peer_ref const unknown = w.in_bucket(0);
  slow->rtt.sample(200ms);
  quick->rtt.sample(20ms);
  failed->rtt.sample(1ms);
  failed->unanswered = 1;
  for (peer_ref const& who : {quick, slow, failed, unknown}) CHECK(wide.insert(who, at(2)) == insert_result::pending);
  for (peer_ref const& who : inside) CHECK(wide.contains(who));  // those that live stay, however slow
  for (peer_ref const& next : {quick, slow, unknown, failed}) {
    wide.remove(inside.back());
    inside.pop_back();
    CHECK(wide.contains(next));
  }
}

TEST_CASE("without a replacement a contact may fail once") {
  world w;
  routing_table table(w.self);
  peer_ref const a = w.in_bucket(2);
  table.insert(a, at(1));
  CHECK_FALSE(table.on_failed(a));
  REQUIRE(find(table, a) != nullptr);
  CHECK(find(table, a)->suspect);
  CHECK(table.status()[0].suspects == 1);

  SUBCASE("an answer clears it") {
    table.on_alive(a, at(2));
    CHECK_FALSE(find(table, a)->suspect);
    CHECK_FALSE(table.on_failed(a));
    CHECK(table.contains(a));
  }
  SUBCASE("the second failure removes it") {
    CHECK(table.on_failed(a));
    CHECK_FALSE(table.contains(a));
    CHECK(table.size() == 0);
    CHECK(table.counters().removed == 1);
  }
  CHECK(table.on_failed(w.in_bucket(5)));  // never was one
}

TEST_CASE("a newcomer takes the place of a suspect in a full bucket") {
  world w;
  kad::table_options options;
  options.k = 2;
  routing_table table(w.self, options);
  peer_ref const a = w.in_bucket(0);
  peer_ref const b = w.in_bucket(0);
  peer_ref const c = w.in_bucket(0);
  table.insert(a, at(1));
  table.insert(b, at(2));
  CHECK_FALSE(table.on_failed(b));
  CHECK(table.insert(c, at(3)) == insert_result::added);
  CHECK(table.contains(a));
  CHECK_FALSE(table.contains(b));
  CHECK(table.contains(c));
}

TEST_CASE("one address range fills neither a bucket nor the table") {
  world w;
  kad::table_options options;
  options.k = 4;
  options.max_per_range_in_table = 3;
  routing_table table(w.self, options);
  auto const from = [&](int bucket, std::uint8_t host) { return w.in_bucket_at(bucket, {203, 0, 113, host}); };

  SUBCASE("in a bucket") {
    peer_ref const first = from(0, 1);
    CHECK(table.insert(first, at(1)) == insert_result::added);
    CHECK(table.insert(from(0, 2), at(1)) == insert_result::added);
    CHECK(table.insert(from(0, 3), at(1)) == insert_result::rejected);
    CHECK(table.counters().rejected_range == 1);
    CHECK(table.insert(w.in_bucket_at(0, {203, 0, 114, 1}), at(1)) == insert_result::added);
    table.remove(first);
    CHECK(table.insert(from(0, 4), at(1)) == insert_result::added);
  }
  SUBCASE("in the table") {
    CHECK(table.insert(from(0, 1), at(1)) == insert_result::added);
    CHECK(table.insert(from(1, 2), at(1)) == insert_result::added);
    peer_ref const third = from(2, 3);
    CHECK(table.insert(third, at(1)) == insert_result::added);
    CHECK(table.insert(from(3, 4), at(1)) == insert_result::rejected);
    CHECK_FALSE(table.on_failed(third));
    CHECK(table.on_failed(third));
    CHECK(table.insert(from(3, 5), at(1)) == insert_result::added);
  }
  SUBCASE("private ranges and hearsay are not limited") {
    for (std::uint8_t host = 1; host <= 4; ++host)
      CHECK(table.insert(w.in_bucket_at(0, {192, 168, 1, host}), at(1)) == insert_result::added);
    for (std::uint8_t host = 1; host <= 4; ++host) {
      peer_ref const who = w.in_bucket(1);
      who->add_address(multiformats::multiaddr::datagram(io::endpoint::v4({203, 0, 113, host}, 4001)), false);
      CHECK(table.insert(who, at(1)) == insert_result::added);
    }
  }
  SUBCASE("the replacement cache neither, and a promotion respects the limit") {
    peer_ref const first = from(0, 1);
    table.insert(first, at(1));
    for (int i = 0; i < 3; ++i) table.insert(w.in_bucket(0), at(2));
    peer_ref const waiting = from(0, 2);
    CHECK(table.insert(waiting, at(3)) == insert_result::pending);
    CHECK(table.insert(from(0, 3), at(3)) == insert_result::pending);
    CHECK(table.insert(from(0, 4), at(3)) == insert_result::rejected);
    // Two others fill what the range may have in the table, so neither that waits can come in for a third.
    table.insert(from(1, 5), at(4));
    table.insert(from(2, 6), at(4));
    std::vector<contact> contacts;
    table.closest(table.self(), 99, contacts);
    peer_ref stranger;
    for (contact const& c : contacts)
      if (!c.range) stranger = c.peer;
    CHECK_FALSE(table.on_failed(stranger));  // nobody may replace it
    CHECK(table.on_failed(first));           // but one of its own range may replace this one
    CHECK(table.size() == 6);
    table.remove(stranger);
    CHECK(table.size() == 5);  // and nobody came in for it
  }
}

TEST_CASE("closest is exactly what sorting everything gives") {
  chacha20_random random(7);
  for (std::size_t const k : {std::size_t{3}, std::size_t{20}}) {
    world w;
    kad::table_options options;
    options.k = k;
    routing_table table(w.self, options);
    for (int i = 0; i < 400; ++i) table.insert(w.any(), at(i));
    std::vector<contact> all;
    table.for_each([&](contact const& c) { all.push_back(c); });
    REQUIRE(all.size() == table.size());
    REQUIRE(all.size() > k);

    std::vector<contact> out;
    for (int round = 0; round < 300; ++round) {
      key target = key::random_in_bucket(table.self(), static_cast<int>(random.below(12)), random);
      if (round == 0) target = table.self();
      if (round == 1) target = all[3].id;
      if (round == 2) target = key::random_in_bucket(table.self(), 255, random);
      std::size_t const n = round % 3 == 0 ? 1000 : static_cast<std::size_t>(random.below(2 * k));
      table.closest(target, n, out);
      std::vector<contact> expected = all;
      std::sort(expected.begin(), expected.end(),
                [&](contact const& a, contact const& b) { return target.closer(a.id, b.id); });
      if (expected.size() > n) expected.resize(n);
      REQUIRE(peers_of(out) == peers_of(expected));
    }
  }
}

TEST_CASE("the table is right after any sequence of events") {
  chacha20_random random(11);
  world w;
  kad::table_options options;
  options.k = 4;
  routing_table table(w.self, options);
  std::vector<peer_ref> peers;
  for (int i = 0; i < 120; ++i) {
    peers.push_back(w.any());
    auto const net = static_cast<std::uint8_t>(random.below(30));
    peers.back()->add_address(multiformats::multiaddr::datagram(io::endpoint::v4({198, 51, net, 1}, 1)), true);
  }
  std::vector<contact> out;
  for (int step = 0; step < 4000; ++step) {
    peer_ref const& who = peers[static_cast<std::size_t>(random.below(peers.size()))];
    bool const was_in = table.contains(who);
    switch (random.below(5)) {
      case 0:
      case 1: {
        auto const result = table.insert(who, at(step));
        CHECK(table.contains(who) == (result == insert_result::added || result == insert_result::refreshed));
        CHECK(was_in == (result == insert_result::refreshed));
        break;
      }
      case 2: {
        bool const gone = table.on_failed(who);
        CHECK(gone == !table.contains(who));
        break;
      }
      case 3:
        table.on_alive(who, at(step));
        CHECK(table.contains(who) == was_in);
        break;
      default: table.remove(who); CHECK_FALSE(table.contains(who));
    }
    std::map<int, int> per_bucket;
    std::map<std::uint64_t, std::size_t> per_range;
    std::map<std::pair<int, std::uint64_t>, std::size_t> per_range_in_bucket;
    std::size_t count = 0;
    table.for_each([&](contact const& c) {
      int const bucket = table.bucket_of(c.id);
      ++count;
      ++per_bucket[bucket];
      ++per_range[*c.range];
      ++per_range_in_bucket[{bucket, *c.range}];
    });
    REQUIRE(count == table.size());
    for (auto const& [bucket, n] : per_bucket) REQUIRE(n <= 4);
    for (auto const& [range, n] : per_range) REQUIRE(n <= 10);
    for (auto const& [place, n] : per_range_in_bucket) REQUIRE(n <= 2);
  }
  CHECK(table.counters().promoted > 0);
  CHECK(table.counters().rejected_range > 0);
  for (peer_ref const& who : peers) table.remove(who);
  CHECK(table.size() == 0);
  CHECK(table.status().empty());
}

TEST_CASE("buckets that no lookup went through are due for a refresh") {
  world w;
  routing_table table(w.self);
  CHECK(table.buckets_to_refresh(at(0), 1h).empty());  // nobody to ask
  peer_ref const deep = w.in_bucket(3);
  table.insert(deep, at(0));
  CHECK(table.buckets_to_refresh(at(0), 1h) == std::vector<int>{0, 1, 2, 3});
  table.touch(1, at(0));
  table.touch(3, at(1800));
  table.touch(9, at(0));
  table.touch(256, at(0));  // a lookup of this node itself goes through no bucket
  CHECK(table.buckets_to_refresh(at(3599), 1h) == std::vector<int>{0, 2});
  CHECK(table.buckets_to_refresh(at(3600), 1h) == std::vector<int>{0, 1, 2});
  CHECK(table.buckets_to_refresh(at(5400), 1h) == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("status says how full each bucket is") {
  world w;
  kad::table_options options;
  options.k = 2;
  routing_table table(w.self, options);
  for (int i = 0; i < 3; ++i) table.insert(w.in_bucket(0), at(i));
  table.insert(w.in_bucket(4), at(3));
  table.touch(4, at(9));
  auto const status = table.status();
  REQUIRE(status.size() == 2);
  CHECK(status[0].index == 0);
  CHECK(status[0].contacts == 2);
  CHECK(status[0].replacements == 1);
  CHECK_FALSE(status[0].last_lookup);
  CHECK(status[1].index == 4);
  CHECK(status[1].contacts == 1);
  CHECK(status[1].last_lookup == at(9));
}
