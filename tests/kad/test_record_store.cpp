#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kadoro/kad/record_store.hpp"
#include "kadoro/transport/message.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using kad::record;
using kad::record_store;
using origin = kad::record_store::origin;

namespace {

crypto::identity const& identity(std::uint8_t number) {
  static std::map<std::uint8_t, crypto::identity> all;
  auto at = all.find(number);
  if (at == all.end()) {
    byte_array<32> seed;
    seed.fill(number);
    at = all.emplace(number, crypto::identity::from_seed(seed)).first;
  }
  return at->second;
}

kad::peer_id peer(std::uint8_t number) { return kad::peer_id::of_ed25519(identity(number).public_key()); }

record make(std::uint8_t publisher, std::string_view key, std::uint64_t sequence, std::string_view value = "value",
            duration lifetime = 100s) {
  return record::make(identity(publisher), as_bytes(key), sequence, lifetime, 0, as_bytes(value));
}

record tombstone(std::uint8_t publisher, std::string_view key, std::uint64_t sequence, duration lifetime = 100s) {
  return record::make(identity(publisher), as_bytes(key), sequence, lifetime, record::flag_tombstone, {});
}

record forged(record r) {
  r.signature[7] ^= 1;
  return r;
}

time_point at(duration since) { return time_point{1h} + since; }

struct fixture {
  kad::verified_cache cache;
  record_store store;

  explicit fixture(kad::store_limits const& limits = {}) : store(limits, cache) {}

  std::optional<errc> put(record const& r, origin from, duration now, duration remaining = 48h,
                          std::optional<std::uint64_t> range = std::nullopt) {
    return store.put(r, from, range, remaining, at(now)).refused;
  }
  /// "1:7 value" for every record under `key`: publisher, sequence, value ("-" for a tombstone).
  std::vector<std::string> get(std::string_view key, duration now) {
    std::vector<record_store::held> found;
    store.get(as_bytes(key), at(now), found);
    std::vector<std::string> out;
    for (auto const& f : found) {
      CHECK(f.value->verify());
      CHECK(f.remaining > duration(0));
      CHECK(f.remaining <= f.value->lifetime_max);
      int who = 0;
      for (std::uint8_t i = 1; i < 20; ++i)
        if (f.value->publisher == peer(i)) who = i;
      out.push_back(std::to_string(who) + ":" + std::to_string(f.value->sequence) + " " +
                    (f.value->tombstone() ? "-" : std::string(as_text(f.value->value))));
    }
    return out;
  }
  duration remaining(std::uint8_t publisher, std::string_view key, duration now) {
    auto const found = store.find(as_bytes(key), peer(publisher), at(now));
    return found ? found->remaining : duration(-1);
  }
  std::optional<errc> renew(std::uint8_t publisher, std::string_view key, std::uint64_t sequence, duration now) {
    return store.renew(as_bytes(key), peer(publisher), sequence, at(now));
  }
};

using texts = std::vector<std::string>;

constexpr std::optional<errc> accepted = std::nullopt;

}  // namespace

TEST_CASE("a record lives as long as was left of it, and at most its lifetime") {
  fixture f;
  CHECK(f.put(make(1, "k", 1), origin::publisher_session, 0s) == accepted);
  CHECK(f.put(make(2, "k", 1), origin::handed_on, 0s, 30s) == accepted);
  CHECK(f.put(make(3, "k", 1), origin::handed_on, 0s, 1000s) == accepted);
  CHECK(f.remaining(1, "k", 0s) == 100s);
  CHECK(f.remaining(2, "k", 10s) == 20s);
  CHECK(f.remaining(3, "k", 10s) == 90s);
  CHECK(f.remaining(2, "k", 30s - 1ns) == 1ns);
  CHECK(f.remaining(2, "k", 30s) == duration(-1));
  CHECK(f.get("k", 99s).size() == 2);
  CHECK(f.get("k", 100s).empty());
  CHECK(f.store.size() == 0);
  CHECK(f.store.counters().expired == 3);
  CHECK(f.put(make(4, "k", 1), origin::handed_on, 100s, 0s) == errc::malformed);
}

TEST_CASE("one slot per key and publisher; the highest sequence counts") {
  fixture f;
  CHECK(f.put(make(1, "k", 5, "five"), origin::publisher_session, 0s) == accepted);
  CHECK(f.put(make(1, "other", 1, "elsewhere"), origin::publisher_session, 0s) == accepted);
  CHECK(f.put(make(1, "k", 7, "seven"), origin::publisher_session, 1s) == accepted);
  CHECK(f.get("k", 1s) == texts{"1:7 seven"});
  CHECK(f.get("other", 1s) == texts{"1:1 elsewhere"});
  CHECK(f.get("nowhere", 1s).empty());

  auto const stale = f.store.put(make(1, "k", 6), origin::publisher_session, {}, 100s, at(2s));
  CHECK(stale.refused == errc::refused_stale);
  CHECK_FALSE(stale.changed);
  REQUIRE(stale.held);
  CHECK(stale.held->sequence == 7);
  CHECK(stale.held->verify());
  CHECK(f.put(make(1, "k", 6), origin::handed_on, 2s) == errc::refused_stale);
  CHECK(f.get("k", 2s) == texts{"1:7 seven"});
  CHECK(f.store.counters().refused_stale == 2);
}

TEST_CASE("publishers come in the order of their cursor") {
  fixture f;
  std::vector<kad::peer_id> expected;
  for (std::uint8_t i = 1; i < 20; ++i) {
    f.put(make(i, "k", 1), origin::publisher_session, 0s);
    f.put(make(i, "k\x01", 1), origin::publisher_session, 0s);
    expected.push_back(peer(i));
  }
  std::sort(expected.begin(), expected.end(), [](auto const& a, auto const& b) {
    return std::pair(transport::cursor_of(a.bytes()), a) < std::pair(transport::cursor_of(b.bytes()), b);
  });
  std::vector<record_store::held> found;
  f.store.get(as_bytes("k"), at(0s), found);
  std::vector<kad::peer_id> order;
  for (auto const& each : found) order.push_back(each.value->publisher);
  CHECK(order == expected);
}

TEST_CASE("a page has what fits, and says where the next one begins") {
  fixture f;
  for (std::uint8_t i = 1; i < 20; ++i) {
    CHECK_FALSE(f.put(make(i, "key", 7), origin::handed_on, 0s));
    CHECK_FALSE(f.put(make(i, "kez", 7), origin::handed_on, 0s));
    CHECK_FALSE(
        f.put(record::make(identity(i), as_bytes("key 2"), 7, 100s, record::flag_provider, {}), origin::handed_on, 0s));
  }
  std::vector<record_store::held> all;
  f.store.get(as_bytes("key"), at(1s), all);
  REQUIRE(all.size() == 19);
  std::vector<kad::peer_id> in_pages;
  record_store::page next{0, 400, nullptr};
  std::size_t pages = 0;
  do {
    std::vector<record_store::held> some;
    next.from = f.store.get(as_bytes("key"), at(1s), some, next);
    CHECK(some.size() == (pages < 4 ? 4 : 3));  // each has 5 bytes, 64 of signature, and what names it
    for (auto const& one : some) in_pages.push_back(one.value->publisher);
    ++pages;
  } while (next.from != 0 && pages < 10);
  CHECK(pages == 5);
  REQUIRE(in_pages.size() == all.size());
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(in_pages[i] == all[i].value->publisher);
  // What is not wanted takes no room.
  std::vector<record_store::held> none;
  CHECK(f.store.get(as_bytes("key 2"), at(1s), none, {0, 400, [](record const& r) { return !r.provides(); }}) == 0);
  CHECK(none.empty());
}

TEST_CASE("only the publisher extends the life of a record") {
  fixture f;
  record const r = make(1, "k", 3);
  f.put(r, origin::publisher_session, 0s);

  SUBCASE("not another holder") {
    auto const again = f.store.put(r, origin::handed_on, {}, 100s, at(50s));
    CHECK_FALSE(again.refused);
    CHECK_FALSE(again.changed);
    CHECK(f.remaining(1, "k", 50s) == 50s);
    CHECK(f.store.counters().unchanged == 1);
    CHECK(f.put(r, origin::handed_on, 50s, 1s) == accepted);  // nor does it shorten it
    CHECK(f.remaining(1, "k", 50s) == 50s);
  }
  SUBCASE("by a renewal") {
    CHECK(f.renew(1, "k", 3, 60s) == accepted);
    CHECK(f.remaining(1, "k", 60s) == 100s);
    CHECK(f.store.counters().renewed == 1);
    CHECK(f.get("k", 159s).size() == 1);
    CHECK(f.get("k", 160s).empty());
  }
  SUBCASE("by putting the same again") {
    auto const again = f.store.put(r, origin::publisher_session, {}, 1s, at(60s));
    CHECK_FALSE(again.refused);
    CHECK_FALSE(again.changed);
    CHECK(f.remaining(1, "k", 60s) == 100s);
  }
  SUBCASE("but not with another content under the same sequence") {
    auto const other = f.store.put(make(1, "k", 3, "other"), origin::publisher_session, {}, 100s, at(60s));
    CHECK(other.refused == errc::refused_stale);
    REQUIRE(other.held);
    CHECK(other.held->same_content(r.header()));
    CHECK(f.put(make(1, "k", 3, "other"), origin::handed_on, 60s) == errc::refused_stale);
    CHECK(f.remaining(1, "k", 60s) == 40s);
    CHECK(f.get("k", 60s) == texts{"1:3 value"});
  }
  SUBCASE("renewals of what is not held") {
    CHECK(f.renew(1, "k", 4, 1s) == errc::refused_unknown);
    CHECK(f.renew(1, "k", 2, 1s) == errc::refused_stale);
    CHECK(f.renew(1, "elsewhere", 3, 1s) == errc::refused_unknown);
    CHECK(f.renew(2, "k", 3, 1s) == errc::refused_unknown);
    CHECK(f.renew(1, "k", 3, 100s) == errc::refused_unknown);  // expired
    CHECK(f.remaining(1, "k", 1s) == duration(-1));
  }
}

TEST_CASE("nothing rises from the dead") {
  fixture f;
  record const old = make(1, "k", 1, "old");
  record const last = make(1, "k", 2, "last");
  f.put(old, origin::publisher_session, 0s);
  f.put(last, origin::publisher_session, 10s);

  SUBCASE("while it lives") { CHECK(f.put(old, origin::handed_on, 20s) == errc::refused_stale); }
  SUBCASE("after a renewal") {
    CHECK(f.renew(1, "k", 2, 20s) == accepted);
    CHECK(f.put(old, origin::handed_on, 21s) == errc::refused_stale);
    CHECK(f.put(last, origin::handed_on, 119s) == accepted);  // it is held: no change
    CHECK(f.get("k", 120s).empty());
    CHECK(f.put(last, origin::handed_on, 121s) == errc::refused_stale);
  }
  SUBCASE("after it expired, for 1.05 lifetimes") {
    CHECK(f.get("k", 110s).empty());
    CHECK(f.store.remembered() == 1);
    for (duration const now : {110s, 150s, 214s}) {
      auto const late = f.store.put(last, origin::handed_on, {}, 100s, at(now));
      CHECK(late.refused == errc::refused_stale);
      REQUIRE(late.held);
      CHECK(late.held->same_content(last.header()));
      CHECK(late.held->verify());
      CHECK(f.put(old, origin::handed_on, now) == errc::refused_stale);
      CHECK(f.put(old, origin::publisher_session, now) == errc::refused_stale);
    }
    CHECK(f.get("k", 214s).empty());
    CHECK(f.store.highest(as_bytes("k"), peer(1))->sequence == 2);
    f.store.expire(at(215s));
    CHECK(f.store.remembered() == 0);
    CHECK_FALSE(f.store.highest(as_bytes("k"), peer(1)));
    CHECK(f.store.counters().forgotten == 1);
    CHECK_FALSE(f.store.next_expiry());
  }
  SUBCASE("a higher sequence may come from anybody") {
    CHECK(f.put(make(1, "k", 3, "new"), origin::handed_on, 150s) == accepted);
    CHECK(f.get("k", 150s) == texts{"1:3 new"});
  }
  SUBCASE("the publisher itself may bring the same back") {
    CHECK(f.renew(1, "k", 2, 150s) == errc::refused_unknown);
    CHECK(f.renew(1, "k", 1, 150s) == errc::refused_stale);
    CHECK(f.put(make(1, "k", 2, "other"), origin::publisher_session, 150s) == errc::refused_stale);
    auto const back = f.store.put(forged(last), origin::publisher_session, {}, 100s, at(150s));
    CHECK_FALSE(back.refused);
    CHECK(back.changed);
    CHECK(f.get("k", 150s) == texts{"1:2 last"});  // with the signature that was verified before
    CHECK(f.remaining(1, "k", 150s) == 100s);
  }
}

TEST_CASE("a tombstone withdraws at once and is remembered") {
  fixture f;
  f.put(make(1, "k", 1), origin::publisher_session, 0s);
  f.put(make(2, "k", 1), origin::publisher_session, 0s);
  CHECK(f.put(tombstone(1, "k", 2, 20s), origin::publisher_session, 10s) == accepted);
  auto found = f.get("k", 10s);
  std::sort(found.begin(), found.end());
  CHECK(found == texts{"1:2 -", "2:1 value"});
  CHECK(f.put(make(1, "k", 1), origin::handed_on, 11s) == errc::refused_stale);
  CHECK(f.renew(1, "k", 1, 11s) == errc::refused_stale);
  CHECK(f.get("k", 30s) == texts{"2:1 value"});
  // The tombstone was short, but the record that it withdrew was not: its copies can live until 100 s, and it is
  // remembered as if it had, for 1.05 of its own lifetime.
  CHECK(f.put(make(1, "k", 1), origin::handed_on, 60s) == errc::refused_stale);
  CHECK(f.put(make(1, "k", 1), origin::handed_on, 204s) == errc::refused_stale);
  CHECK(f.store.highest(as_bytes("k"), peer(1))->tombstone());
  f.store.expire(at(205s));
  CHECK_FALSE(f.store.highest(as_bytes("k"), peer(1)));

  record bad = make(3, "k", 1);
  bad.flags = record::flag_tombstone;
  CHECK(f.put(bad, origin::publisher_session, 205s) == errc::malformed);
}

TEST_CASE("the publisher's own session: acknowledged first, verified before anybody sees it") {
  fixture f;
  CHECK(f.put(make(1, "k", 1), origin::publisher_session, 0s) == accepted);
  CHECK(f.store.backlog() == 1);
  CHECK(f.cache.misses() == 0);
  CHECK(f.store.size() == 1);

  SUBCASE("when idle") {
    f.put(make(2, "k", 1), origin::publisher_session, 0s);
    f.put(make(3, "k", 1), origin::publisher_session, 0s);
    CHECK(f.store.verify_some(2));
    CHECK(f.store.backlog() == 1);
    CHECK_FALSE(f.store.verify_some(2));
    CHECK_FALSE(f.store.verify_some(2));
    CHECK(f.store.counters().verified_later == 3);
  }
  SUBCASE("when read") { CHECK(f.get("k", 0s).size() == 1); }
  SUBCASE("when found") { CHECK(f.store.find(as_bytes("k"), peer(1), at(0s))); }
  SUBCASE("when renewed") { CHECK(f.renew(1, "k", 1, 1s) == accepted); }
  SUBCASE("when asked for the highest") { CHECK(f.store.highest(as_bytes("k"), peer(1))->sequence == 1); }
  SUBCASE("when walked over") {
    int seen = 0;
    f.store.for_each(at(0s), [&seen](record_store::held const&) { ++seen; });
    CHECK(seen == 1);
  }
  SUBCASE("when it expires: its sequence is remembered") {
    f.store.expire(at(100s));
    CHECK(f.put(make(1, "k", 1), origin::handed_on, 101s) == errc::refused_stale);
  }
  CHECK(f.store.backlog() == 0);
  CHECK(f.cache.misses() >= 1);
  CHECK(f.store.counters().bad_signature == 0);
}

TEST_CASE("a wrong signature from the publisher's session keeps the last valid copy") {
  fixture f;
  f.put(make(1, "k", 1, "good"), origin::publisher_session, 0s);
  f.store.verify_some(10);
  record const bad = forged(make(1, "k", 2, "bad"));
  CHECK(f.put(bad, origin::publisher_session, 10s) == accepted);

  SUBCASE("found out when idle") {
    CHECK_FALSE(f.store.verify_some(10));
    CHECK(f.store.size() == 1);
  }
  SUBCASE("found out by a reader") {}
  SUBCASE("found out by the next put") {
    CHECK(f.put(forged(make(1, "k", 2, "bad again")), origin::publisher_session, 11s) == accepted);
    CHECK(f.store.counters().bad_signature == 1);
  }
  SUBCASE("found out after the valid copy expired") {
    CHECK(f.get("k", 100s).empty());
    CHECK(f.put(make(1, "k", 1, "good"), origin::handed_on, 101s) == errc::refused_stale);
    CHECK(f.store.counters().bad_signature == 1);
    return;
  }
  SUBCASE("found out when both expired") {
    f.store.expire(at(150s));
    CHECK(f.store.counters().bad_signature == 1);
    CHECK(f.store.highest(as_bytes("k"), peer(1))->sequence == 1);
    CHECK(f.put(make(1, "k", 2, "good two"), origin::publisher_session, 151s) == accepted);
    return;
  }
  CHECK(f.get("k", 20s) == texts{"1:1 good"});
  CHECK(f.remaining(1, "k", 20s) == 80s);  // and its life goes on as before
  CHECK(f.store.counters().bad_signature >= 1);
  CHECK(f.put(make(1, "k", 2, "true"), origin::handed_on, 20s) == accepted);  // that sequence was never used
  CHECK(f.get("k", 20s) == texts{"1:2 true"});
}

TEST_CASE("a wrong signature and nothing else leaves nothing") {
  fixture f;
  f.put(forged(make(1, "k", 1)), origin::publisher_session, 0s);
  CHECK(f.get("k", 0s).empty());
  CHECK(f.store.size() == 0);
  CHECK(f.store.bytes() == 0);
  CHECK(f.store.remembered() == 0);
  CHECK_FALSE(f.store.next_expiry());
  CHECK(f.store.counters().bad_signature == 1);
}

TEST_CASE("what others hand on is verified at once") {
  fixture f;
  CHECK(f.put(forged(make(1, "k", 1)), origin::handed_on, 0s) == errc::refused_signature);
  CHECK(f.store.size() == 0);
  CHECK(f.put(make(1, "k", 1), origin::handed_on, 0s) == accepted);
  CHECK(f.put(forged(make(1, "k", 2)), origin::handed_on, 0s) == errc::refused_signature);
  CHECK(f.store.backlog() == 0);
  CHECK(f.get("k", 0s) == texts{"1:1 value"});
  CHECK(f.store.counters().verified_inline == 3);
  CHECK(f.store.counters().refused_signature == 2);
}

TEST_CASE("a full backlog means inline") {
  kad::store_limits limits;
  limits.verify_backlog = 2;
  fixture f(limits);
  for (std::uint8_t i = 1; i <= 2; ++i) f.put(make(i, "k", 1), origin::publisher_session, 0s);
  CHECK(f.store.backlog() == 2);
  CHECK(f.store.counters().verified_inline == 0);
  CHECK(f.put(make(3, "k", 1), origin::publisher_session, 0s) == accepted);
  CHECK(f.put(forged(make(4, "k", 1)), origin::publisher_session, 0s) == errc::refused_signature);
  CHECK(f.store.backlog() == 2);
  CHECK(f.store.counters().verified_inline == 2);
  f.store.verify_some(1);
  CHECK(f.put(make(5, "k", 1), origin::publisher_session, 0s) == accepted);
  CHECK(f.store.backlog() == 2);
}

TEST_CASE("limits refuse, and evict nothing") {
  kad::store_limits limits;
  limits.max_records = 3;
  limits.max_value_bytes = 100;
  limits.max_records_per_publisher = limits.max_records_per_range = 3;
  fixture f(limits);

  SUBCASE("records") {
    for (std::uint8_t i = 1; i <= 3; ++i) CHECK(f.put(make(i, "k", 1), origin::publisher_session, 0s) == accepted);
    CHECK(f.put(make(4, "k", 1), origin::publisher_session, 0s) == errc::refused_full);
    CHECK(f.put(make(4, "k", 1), origin::handed_on, 0s) == errc::refused_full);
    CHECK(f.store.counters().refused_full == 2);
    CHECK(f.put(make(3, "k", 2), origin::publisher_session, 0s) == accepted);  // in its own place
    CHECK(f.put(tombstone(2, "k", 2), origin::handed_on, 0s) == accepted);
    CHECK(f.renew(1, "k", 1, 50s) == accepted);
    CHECK(f.get("k", 50s).size() == 3);
    CHECK(f.put(make(4, "k", 1), origin::publisher_session, 100s) == accepted);  // two have expired
    CHECK(f.store.size() == 2);
    CHECK(f.put(make(5, "k", 1), origin::publisher_session, 100s) == accepted);
    CHECK(f.put(make(3, "k", 2), origin::publisher_session, 100s) == errc::refused_full);  // no revival without room
  }
  SUBCASE("sizes") {
    CHECK(f.put(make(1, "k", 1, std::string(100, 'x')), origin::publisher_session, 0s) == accepted);
    CHECK(f.put(make(1, "k", 2, std::string(101, 'x')), origin::publisher_session, 0s) == errc::refused_too_large);
    record long_key = make(1, "k", 1);
    long_key.key.resize(256);
    CHECK(f.put(long_key, origin::handed_on, 0s) == errc::refused_too_large);
    CHECK(f.store.counters().refused_too_large == 2);
    record no_key = make(1, "k", 1);
    no_key.key.clear();
    CHECK(f.put(no_key, origin::handed_on, 0s) == errc::malformed);
    CHECK(f.store.counters().refused_malformed == 1);
  }
}

TEST_CASE("bytes are limited, and what shrinks always has room") {
  kad::store_limits limits;
  limits.max_bytes = limits.max_bytes_per_publisher = limits.max_bytes_per_range = 100;
  fixture f(limits);
  CHECK(f.put(make(1, "k", 1, std::string(49, 'x')), origin::publisher_session, 0s) == accepted);
  CHECK(f.put(make(2, "k", 1, std::string(50, 'x')), origin::publisher_session, 0s) == errc::refused_full);
  CHECK(f.put(make(2, "k", 1, std::string(49, 'x')), origin::publisher_session, 0s) == accepted);
  CHECK(f.store.bytes() == 100);
  f.store.verify_some(9);
  // There is no room for old and new side by side, so the new one is verified first.
  CHECK(f.put(make(2, "k", 2, std::string(49, 'y')), origin::publisher_session, 0s) == accepted);
  CHECK(f.store.backlog() == 0);
  CHECK(f.put(forged(make(2, "k", 3, std::string(49, 'z'))), origin::publisher_session, 0s) == errc::refused_signature);
  CHECK(f.put(make(2, "k", 3, std::string(50, 'z')), origin::publisher_session, 0s) == errc::refused_full);
  CHECK(f.put(tombstone(2, "k", 3), origin::publisher_session, 0s) == accepted);
  CHECK(f.store.bytes() == 51);
}

TEST_CASE("one publisher cannot fill the store, nor one address range") {
  kad::store_limits limits;
  limits.max_records_per_publisher = 2;
  limits.max_records_per_range = 3;
  fixture f(limits);
  auto const put = [&](std::uint8_t publisher, std::string_view key, std::optional<std::uint64_t> range) {
    return f.put(make(publisher, key, 1), origin::publisher_session, 0s, 100s, range);
  };
  SUBCASE("publisher") {
    CHECK(put(1, "a", 1) == accepted);
    CHECK(put(1, "b", 2) == accepted);
    CHECK(put(1, "c", 3) == errc::refused_full);
    CHECK(put(1, "c", {}) == errc::refused_full);
    CHECK(put(2, "c", 3) == accepted);
    CHECK(f.store.counters().refused_full_publisher == 2);
  }
  SUBCASE("range") {
    for (std::uint8_t i = 1; i <= 3; ++i) CHECK(put(i, "a", 9) == accepted);
    CHECK(put(4, "a", 9) == errc::refused_full);
    CHECK(f.store.counters().refused_full_range == 1);
    CHECK(put(4, "a", 8) == accepted);
    CHECK(put(5, "a", {}) == accepted);  // a private range is not limited
    CHECK(f.put(make(4, "a", 2), origin::publisher_session, 0s, 100s, 9) == accepted);  // stays where it was counted
    f.store.expire(at(1000s));
    CHECK(f.put(make(4, "b", 1), origin::publisher_session, 1000s, 100s, 9) == accepted);
  }
  SUBCASE("a record that grows is counted where it was counted first") {
    limits.max_bytes_per_range = 20;
    fixture g(limits);
    CHECK(g.put(make(1, "a", 1, std::string(18, 'x')), origin::handed_on, 0s, 100s, 1) == accepted);
    CHECK(g.put(make(1, "a", 2, std::string(20, 'x')), origin::handed_on, 0s, 100s, 2) == errc::refused_full);
    CHECK(g.put(make(1, "a", 2, std::string(19, 'x')), origin::handed_on, 0s, 100s, 2) == accepted);
    CHECK(g.put(make(2, "a", 1, "xx"), origin::handed_on, 0s, 100s, 1) == errc::refused_full);
    CHECK(g.put(make(2, "a", 1, "xx"), origin::handed_on, 0s, 100s, 2) == accepted);
  }
  SUBCASE("bytes of a publisher") {
    limits.max_records_per_publisher = 100;
    limits.max_bytes_per_publisher = 20;
    fixture g(limits);
    CHECK(g.put(make(1, "a", 1, std::string(18, 'x')), origin::publisher_session, 0s) == accepted);
    CHECK(g.put(make(1, "b", 1, "x"), origin::publisher_session, 0s) == errc::refused_full);
    CHECK(g.put(make(2, "b", 1, "x"), origin::publisher_session, 0s) == accepted);
  }
}

TEST_CASE("own records are counted against no limit") {
  kad::store_limits limits;
  limits.max_records = limits.max_records_per_publisher = limits.max_records_per_range = 1;
  fixture f(limits);
  CHECK(f.put(make(1, "a", 1), origin::own, 0s) == accepted);
  CHECK(f.put(make(1, "b", 1), origin::own, 0s) == accepted);
  CHECK(f.store.backlog() == 0);
  CHECK(f.cache.misses() == 0);
  CHECK(f.put(make(2, "a", 1), origin::publisher_session, 0s) == accepted);
  CHECK(f.put(make(3, "a", 1), origin::publisher_session, 0s) == errc::refused_full);
  CHECK(f.store.size() == 3);
  CHECK(f.put(make(1, "a", 1), origin::own, 50s) == accepted);
  CHECK(f.remaining(1, "a", 50s) == 100s);
  auto const stale = f.store.put(make(1, "a", 0), origin::own, {}, 100s, at(50s));
  CHECK(stale.refused == errc::refused_stale);
  CHECK(stale.held->sequence == 1);

  // Another holder brought one of ours first: from then on it is ours, and makes room.
  fixture g(limits);
  CHECK(g.put(make(1, "a", 1), origin::handed_on, 0s) == accepted);
  CHECK(g.put(make(2, "a", 1), origin::handed_on, 0s) == errc::refused_full);
  CHECK(g.put(make(1, "a", 2), origin::own, 0s) == accepted);
  CHECK(g.put(make(2, "a", 1), origin::handed_on, 0s) == accepted);
  CHECK(g.put(make(1, "a", 3), origin::handed_on, 0s) == accepted);
  CHECK(g.store.size() == 2);
}

TEST_CASE("when the memory of sequences is full, new records are refused and old ones are not forgotten") {
  kad::store_limits limits;
  limits.max_remembered = 8;  // a publisher gets two
  fixture f(limits);
  for (std::uint8_t i = 1; i <= 8; ++i) f.put(make(i, "k", 1), origin::handed_on, 0s, 1s);
  CHECK(f.store.size() == 8);
  CHECK(f.put(make(9, "k", 1), origin::handed_on, 2s) == errc::refused_full);
  CHECK(f.store.size() == 0);
  CHECK(f.store.remembered() == 8);
  CHECK(f.store.counters().refused_full == 1);
  CHECK(f.put(make(1, "k", 1), origin::handed_on, 2s) == errc::refused_stale);
  CHECK(f.put(make(1, "k", 2), origin::handed_on, 2s) == accepted);  // has its place already
  CHECK(f.put(make(9, "k", 1), origin::handed_on, 106s) == accepted);

  fixture g(limits);
  CHECK(g.put(make(1, "a", 1), origin::handed_on, 0s, 1s) == accepted);
  CHECK(g.put(make(1, "b", 1), origin::handed_on, 0s, 1s) == accepted);
  CHECK(g.put(make(1, "c", 1), origin::handed_on, 2s, 1s) == errc::refused_full);
  CHECK(g.store.counters().refused_full_publisher == 1);
}

TEST_CASE("next_expiry is when something happens next") {
  fixture f;
  CHECK_FALSE(f.store.next_expiry());
  f.put(make(1, "k", 1), origin::handed_on, 0s, 30s);
  f.put(make(2, "k", 1), origin::handed_on, 0s, 20s);
  CHECK(f.store.next_expiry() == at(20s));
  f.put(make(2, "k", 2, "v", 15s), origin::publisher_session, 0s);
  CHECK(f.store.next_expiry() == at(15s));  // pending, but it counts
  f.store.verify_some(1);
  CHECK(f.store.next_expiry() == at(15s));
  f.renew(2, "k", 2, 10s);
  CHECK(f.store.next_expiry() == at(25s));
  f.store.expire(at(25s));
  CHECK(f.store.next_expiry() == at(30s));
  f.store.expire(at(30s));
  CHECK(f.store.next_expiry() == at(125s));  // the memory of publisher 2: sequence 1 would have ended at 20 s
  f.store.expire(at(125s));
  CHECK(f.store.next_expiry() == at(135s));
  f.store.expire(at(135s));
  CHECK_FALSE(f.store.next_expiry());
}

TEST_CASE("for_each goes through all live records, those of one key together, and twice in the same order") {
  fixture f;
  for (std::string_view const key : {"b", "a", "c", "ab"})
    for (std::uint8_t i = 1; i <= 3; ++i) f.put(make(i, key, 1), origin::publisher_session, 0s);
  f.put(forged(make(4, "a", 1)), origin::publisher_session, 0s);
  f.put(make(5, "a", 1), origin::handed_on, 0s, 1s);
  auto const keys = [&f] {
    texts out;
    f.store.for_each(at(1s), [&out](record_store::held const& h) {
      CHECK(h.remaining == 99s);
      out.emplace_back(as_text(h.value->key));
    });
    return out;
  };
  texts seen = keys();
  CHECK(keys() == seen);
  CHECK(seen.size() == 12);
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  std::sort(seen.begin(), seen.end());
  CHECK(seen == texts{"a", "ab", "b", "c"});
}

TEST_CASE("many keys that share a prefix come and go: each is found as long as it lives") {
  static constexpr std::size_t count = 3000;
  chacha20_random random(5);
  fixture f;
  std::vector<record> all;
  std::vector<std::uint64_t> until(count, 0);  // in seconds
  for (std::size_t i = 0; i < count; ++i) {
    record content;
    content.flags = record::flag_content;
    content.key.assign(32, 7);
    store_be(content.key.data() + 28, static_cast<std::uint32_t>(i));
    content.value.assign(1 + i % 7, 1);
    content.lifetime_max = 1h;
    all.push_back(std::move(content));
  }
  for (std::uint64_t now = 1; now <= 400; ++now) {
    // Many come, then few: more and more, and at the end nothing.
    for (std::uint64_t n = now < 200 ? random.below(100) : now < 300 ? random.below(3) : 0; n > 0; --n) {
      auto const i = static_cast<std::size_t>(random.below(count));
      std::uint64_t const life = 10 + random.below(90);
      REQUIRE(f.put(all[i], origin::own, std::chrono::seconds(now), std::chrono::seconds(life)) == accepted);
      until[i] = std::max(until[i] > now ? until[i] : 0, now + life);
    }
    f.store.expire(at(std::chrono::seconds(now)));
    std::uint64_t next = 0;
    std::size_t live = 0;
    for (std::size_t i = 0; i < count; ++i) {
      bool const lives = until[i] > now;
      if (lives) next = next == 0 ? until[i] : std::min(next, until[i]);
      live += lives ? 1 : 0;
      if (i % 16 != now % 16) continue;
      auto const found = f.store.find_content(all[i].key, at(std::chrono::seconds(now)));
      REQUIRE(found.has_value() == lives);
      if (lives) REQUIRE(found->remaining == std::chrono::seconds(until[i] - now));
    }
    REQUIRE(f.store.size() == live);
    REQUIRE(f.store.next_expiry() == (live == 0 ? std::nullopt : std::optional(at(std::chrono::seconds(next)))));
  }
  CHECK(f.store.size() == 0);
  CHECK(f.store.counters().expired > 3000);
}

namespace {

/// What the store should do, said as plainly as possible: everything is verified at once, nothing is counted.
struct model {
  struct slot {
    record const* valid = nullptr;
    record const* remembered = nullptr;
    time_point expires{};
    time_point remember_until{};
  };
  std::map<std::pair<bytes, kad::peer_id>, slot> slots;

  static bool same(record const& a, record const& b) { return a.header().same_content(b.header()); }

  void advance(time_point now) {
    for (auto s = slots.begin(); s != slots.end();) {
      slot& in = s->second;
      if (in.valid != nullptr && in.expires <= now) {
        leave(in);
        in.remembered = in.valid;
        in.valid = nullptr;
      }
      s = in.valid == nullptr && in.remember_until <= now ? slots.erase(s) : std::next(s);
    }
  }
  static void leave(slot& in) {
    if (in.valid == nullptr) return;
    in.remember_until = std::max(in.remember_until, in.expires + in.valid->lifetime_max * 21 / 20);
  }
  std::optional<errc> put(record const& r, bool good, origin from, duration remaining, time_point now) {
    advance(now);
    bool const publisher = from != origin::handed_on;
    auto const known = slots.find({r.key, r.publisher});
    if (known != slots.end()) {
      slot& in = known->second;
      record const& top = in.valid != nullptr ? *in.valid : *in.remembered;
      if (r.sequence < top.sequence) return errc::refused_stale;
      if (r.sequence == top.sequence) {
        if (!same(r, top) || (in.valid == nullptr && !publisher)) return errc::refused_stale;
        if (publisher) in.expires = std::max(in.valid != nullptr ? in.expires : now, now + r.lifetime_max);
        in.valid = &top;
        in.remembered = nullptr;
        return std::nullopt;
      }
    }
    if (!good) return errc::refused_signature;
    slot& in = slots[{r.key, r.publisher}];
    leave(in);
    in.valid = &r;
    in.remembered = nullptr;
    in.expires = now + std::min(remaining, r.lifetime_max);
    return std::nullopt;
  }
  std::optional<errc> renew(bytes const& key, kad::peer_id const& who, std::uint64_t sequence, time_point now) {
    advance(now);
    auto const known = slots.find({key, who});
    if (known == slots.end()) return errc::refused_unknown;
    slot& in = known->second;
    record const& top = in.valid != nullptr ? *in.valid : *in.remembered;
    if (top.sequence > sequence) return errc::refused_stale;
    if (top.sequence < sequence || in.valid == nullptr) return errc::refused_unknown;
    in.expires = std::max(in.expires, now + top.lifetime_max);
    return std::nullopt;
  }
};

}  // namespace

TEST_CASE("random operations do what a plain model does") {
  std::vector<bytes> const keys{to_bytes(as_bytes("a")), to_bytes(as_bytes("ab")), to_bytes(as_bytes("b"))};
  struct sample {
    record r;
    bool good;
  };
  chacha20_random random(42);
  std::vector<sample> pool;
  for (std::uint8_t who = 1; who <= 3; ++who)
    for (bytes const& key : keys)
      for (std::uint64_t sequence = 1; sequence <= 40; ++sequence)
        for (int variant = 0; variant < 2; ++variant) {
          duration const lifetime = std::chrono::milliseconds(20 + random.below(3) * 40);
          bool const dead = random.below(4) == 0;
          record r = dead ? tombstone(who, as_text(key), sequence, lifetime)
                          : make(who, as_text(key), sequence, std::string(random.below(30), 'v'), lifetime);
          bool const good = random.below(5) != 0;
          pool.push_back({good ? r : forged(r), good});
        }

  kad::store_limits limits;
  limits.verify_backlog = 3;
  fixture f(limits);
  model m;
  duration now{};
  std::map<int, int> outcomes;
  for (int step = 0; step < 30000; ++step) {
    now += std::chrono::milliseconds(random.below(4));
    // Sequences grow as time goes on, so that there is always a mix of old, current and new ones.
    auto const newest = static_cast<std::uint64_t>(step) * 40 / 30000 + 1;
    sample const* s = nullptr;
    do s = &pool[static_cast<std::size_t>(random.below(pool.size()))];
    while (s->r.sequence > newest || s->r.sequence + 4 < newest);

    switch (random.below(8)) {
      case 0:
      case 1:
      case 2: {
        duration const remaining = std::chrono::milliseconds(1 + random.below(150));
        std::uint64_t const who_brings = random.below(3);
        origin const from = who_brings == 0 ? origin::handed_on : origin::publisher_session;
        auto const got = f.store.put(s->r, from, step % 5, remaining, at(now));
        auto const expected = m.put(s->r, s->good, from, remaining, at(now));
        bool const later = from == origin::publisher_session && expected == errc::refused_signature && !got.refused;
        if (!later) REQUIRE(got.refused == expected);
        REQUIRE(got.held.has_value() == (got.refused == errc::refused_stale));
        ++outcomes[got.refused ? static_cast<int>(*got.refused) : 0];
        break;
      }
      case 3: {
        auto const got = f.store.renew(s->r.key, s->r.publisher, s->r.sequence, at(now));
        REQUIRE(got == m.renew(s->r.key, s->r.publisher, s->r.sequence, at(now)));
        break;
      }
      case 4: f.store.verify_some(2); break;
      case 5: {
        f.store.expire(at(now));
        m.advance(at(now));
        auto const next = f.store.next_expiry();
        REQUIRE((!next || *next > at(now)));
        auto const got = f.store.highest(s->r.key, s->r.publisher);
        auto const expected = m.slots.find({s->r.key, s->r.publisher});
        REQUIRE(got.has_value() == (expected != m.slots.end()));
        if (got) {
          auto const& in = expected->second;
          REQUIRE(got->same_content((in.valid != nullptr ? in.valid : in.remembered)->header()));
          REQUIRE(got->verify());
        }
        break;
      }
      case 6: {
        m.advance(at(now));
        auto const got = f.store.find(s->r.key, s->r.publisher, at(now));
        auto const expected = m.slots.find({s->r.key, s->r.publisher});
        bool const live = expected != m.slots.end() && expected->second.valid != nullptr;
        REQUIRE(got.has_value() == live);
        if (live) {
          REQUIRE(got->remaining == expected->second.expires - at(now));
          REQUIRE(model::same(*got->value, *expected->second.valid));
        }
        break;
      }
      default: {
        m.advance(at(now));
        std::size_t live = 0;
        std::size_t size_bytes = 0;
        f.store.for_each(at(now), [&](record_store::held const& h) {
          ++live;
          size_bytes += h.value->key.size() + h.value->value.size();
        });
        std::size_t expected = 0;
        for (auto const& [name, in] : m.slots) expected += in.valid != nullptr ? 1 : 0;
        REQUIRE(live == expected);
        REQUIRE(f.store.size() == live);
        REQUIRE(f.store.bytes() == size_bytes);
        REQUIRE(f.store.backlog() == 0);
        REQUIRE(f.store.remembered() == m.slots.size() - live);
      }
    }
  }
  // The mix has met every rule.
  for (int const outcome : {0, static_cast<int>(errc::refused_stale), static_cast<int>(errc::refused_signature)})
    CHECK(outcomes[outcome] > 100);
  auto const& counters = f.store.counters();
  CHECK(counters.bad_signature > 100);
  CHECK(counters.verified_inline > 100);
  CHECK(counters.renewed > 100);
  CHECK(counters.unchanged > 10);
  CHECK(counters.expired > 100);
  CHECK(counters.forgotten > 0);
  f.store.expire(at(now + 1h));
  CHECK(f.store.size() == 0);
  CHECK(f.store.bytes() == 0);
  CHECK(f.store.remembered() == 0);
}
