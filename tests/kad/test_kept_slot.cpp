#include <doctest/doctest.h>

#include "kadoro/base/random.hpp"
#include "kadoro/kad/record_store.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;
using origin = record_store::origin;

namespace {

chacha20_random dice(3);

time_point const start(1000h);

struct fixture {
  crypto::identity publisher = crypto::identity::generate(dice);
  peer_id who = peer_id::of_ed25519(publisher.public_key());
  verified_cache cache;
  record_store store{store_limits(), cache};

  record made(std::string const& key, std::uint64_t sequence, duration life = 60s, std::string const& value = "value",
              std::uint32_t flags = 0) const {
    return record::make(publisher, as_bytes(key), sequence, life, flags, as_bytes(value));
  }
};

/// Through bytes and into another store, `after` later.
void carry(record_store const& from, record_store& to, time_point now, duration after = 0s) {
  kept_slot::boot_scale const then{now, 10s};
  kept_slot::boot_scale const later{now + after, 10s + after};
  from.for_each_kept([&](kept_slot const& s) {
    auto const name = kept_slot::entry_key(s.key, s.owner, s.relayed, kept_slot::part::records);
    auto back = kept_slot::decode(name, s.encode_records(), s.encode_times(then), later);
    REQUIRE(back);
    REQUIRE(to.restore(std::move(*back)));
  });
}

class notes final : public record_store::listener {
 public:
  void on_slot_changed(bytes_view, peer_id const&, bool, bool times_only) override { ++(times_only ? times : records); }
  int records = 0;
  int times = 0;
};

}  // namespace

TEST_CASE("kept slots: live records go on with what remains, others are remembered") {
  fixture a;
  CHECK_FALSE(a.store.put(a.made("live", 5), origin::publisher_session, 77, 60s, start).refused);
  CHECK_FALSE(a.store.put(a.made("gone", 6, 10s), origin::handed_on, std::nullopt, 3s, start).refused);
  CHECK_FALSE(
      a.store.put(a.made("withdrawn", 7, 60s, "", record::flag_tombstone), origin::own, std::nullopt, 60s, start)
          .refused);
  CHECK(a.store.backlog() == 1);  // not verified yet, and kept as such

  fixture b;
  carry(a.store, b.store, start, 5s);
  b.store.expire(start + 5s);
  CHECK(b.store.backlog() == 1);
  auto const live = b.store.find(as_bytes("live"), a.who, start + 5s);
  REQUIRE(live);
  CHECK(live->value->sequence == 5);
  CHECK(live->remaining > 54s);
  CHECK(live->remaining <= 55s);
  CHECK_FALSE(b.store.find(as_bytes("gone"), a.who, start + 5s));
  CHECK(b.store.put(a.made("gone", 6, 10s), origin::handed_on, std::nullopt, 3s, start + 5s).refused ==
        errc::refused_stale);
  CHECK(b.store.find(as_bytes("withdrawn"), a.who, start + 5s)->value->tombstone());
  CHECK(b.store.kept(as_bytes("live"), a.who, false)->range == 77u);
  CHECK(b.store.kept(as_bytes("withdrawn"), a.who, false)->own);
}

TEST_CASE("kept slots: a record without signature keeps its owner") {
  fixture a;
  fixture b;
  record plain;
  plain.key = to_bytes(as_bytes("key"));
  plain.publisher = b.who;
  plain.value = to_bytes(as_bytes("somebody's word"));
  plain.lifetime_max = 60s;
  CHECK_FALSE(a.store.put_unsigned(plain, a.who, std::nullopt, start).refused);
  carry(a.store, b.store, start, 1s);
  std::vector<record_store::held> held;
  b.store.get(as_bytes("key"), start + 1s, held);
  REQUIRE(held.size() == 1);
  CHECK(held[0].relayed);
  CHECK(held[0].value->publisher == b.who);
  CHECK(held[0].remaining <= 59s);
}

TEST_CASE("kept slots: after another boot a record sleeps until its publisher renews it") {
  fixture a;
  CHECK_FALSE(a.store.put(a.made("key", 5), origin::handed_on, std::nullopt, 60s, start).refused);
  auto slept = a.store.kept(as_bytes("key"), a.who, false);
  REQUIRE(slept);
  time_point const now = start + 1000h;
  CHECK(slept->put_to_sleep(start + 20s, now));
  fixture b;
  REQUIRE(b.store.restore(*slept));
  CHECK(b.store.size() == 0);
  CHECK(b.store.bytes() > 0);
  CHECK_FALSE(b.store.find(as_bytes("key"), a.who, now));
  CHECK(b.store.put(a.made("key", 4), origin::publisher_session, std::nullopt, 60s, now).refused ==
        errc::refused_stale);
  CHECK(b.store.put(a.made("key", 5), origin::handed_on, std::nullopt, 60s, now).refused == errc::refused_stale);
  CHECK(b.store.renew(as_bytes("key"), a.who, 4, now) == errc::refused_stale);
  CHECK(b.store.renew(as_bytes("key"), a.who, 6, now) == errc::refused_unknown);
  CHECK_FALSE(b.store.renew(as_bytes("key"), a.who, 5, now));
  auto const live = b.store.find(as_bytes("key"), a.who, now);
  REQUIRE(live);
  CHECK(live->remaining == 60s);
  CHECK(live->value->value == to_bytes(as_bytes("value")));

  // Put again with the same sequence: the same. Nobody comes: it goes, and its sequence stays for a while.
  fixture c;
  REQUIRE(c.store.restore(*slept));
  CHECK_FALSE(c.store.put(a.made("key", 5), origin::publisher_session, std::nullopt, 60s, now).refused);
  CHECK(c.store.find(as_bytes("key"), a.who, now));
  fixture d;
  REQUIRE(d.store.restore(*slept));
  d.store.expire(now + 41s);  // 40 s of its life were left
  CHECK(d.store.bytes() == 0);
  CHECK(d.store.remembered() == 1);
  CHECK(d.store.renew(as_bytes("key"), a.who, 5, now + 41s) == errc::refused_unknown);
  d.store.expire(now + 200s);
  CHECK(d.store.remembered() == 0);
}

TEST_CASE("kept slots: what cannot be is not restored") {
  fixture a;
  CHECK_FALSE(a.store.put(a.made("key", 5), origin::handed_on, std::nullopt, 60s, start).refused);
  auto const good = a.store.kept(as_bytes("key"), a.who, false);
  REQUIRE(good);
  CHECK_FALSE(a.store.restore(*good));  // it is there already
  fixture b;
  kept_slot odd = *good;
  odd.relayed = true;
  odd.pending = odd.valid;
  CHECK_FALSE(b.store.restore(odd));
  odd = *good;
  odd.dormant = odd.valid;
  CHECK_FALSE(b.store.restore(odd));

  verified_cache cache;
  store_limits none;
  none.max_records = 0;
  record_store full(none, cache);
  CHECK_FALSE(full.restore(*good));

  kept_slot::boot_scale const scale{start, 10s};
  auto const name = kept_slot::entry_key(good->key, good->owner, false, kept_slot::part::records);
  auto const records = good->encode_records();
  auto const times = good->encode_times(scale);
  CHECK(kept_slot::decode(name, records, times, scale));
  CHECK(kept_slot::decode(name, records, {}, scale).error() == errc::corrupt);
  CHECK(kept_slot::decode(name, {}, times, scale).error() == errc::corrupt);
  CHECK(kept_slot::decode(bytes_view(name).first(3), records, times, scale).error() == errc::corrupt);
  for (std::size_t cut = 1; cut < records.size(); ++cut)
    CHECK_FALSE(kept_slot::decode(name, bytes_view(records).first(cut), times, scale));
}

TEST_CASE("kept slots: a renewal changes times only") {
  fixture a;
  notes heard;
  a.store.set_listener(&heard);
  CHECK_FALSE(a.store.put(a.made("key", 5), origin::handed_on, std::nullopt, 60s, start).refused);
  CHECK(heard.records == 1);
  CHECK_FALSE(a.store.renew(as_bytes("key"), a.who, 5, start + 1s));
  CHECK(heard.records == 1);
  CHECK(heard.times == 1);
  a.store.expire(start + 100s);
  CHECK(heard.records == 2);
  a.store.expire(start + 300s);
  CHECK(heard.records == 3);
  CHECK_FALSE(a.store.kept(as_bytes("key"), a.who, false));
}
