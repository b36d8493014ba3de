#include <doctest/doctest.h>

#include "kadoro/directory/holder_book.hpp"

using namespace kadoro;
using namespace kadoro::directory;
using namespace std::chrono_literals;
using kind = directory_event::kind;
using loss = directory_event::loss;

namespace {

struct heard final : directory_observer {
  void on_directory_event(directory_event const& event) override { events.push_back(event); }
  /// The events since the last call, as text.
  std::string take() {
    std::string text;
    for (directory_event const& e : events) {
      if (!text.empty()) text += ' ';
      text += to_string(e.what);
      if (!e.holder.empty()) text += std::to_string(e.shard);
      if (e.reason != loss::none) text += ":" + std::string(to_string(e.reason));
    }
    events.clear();
    return text;
  }
  std::vector<directory_event> events;
};

struct fixture {
  transport::peer_ref peer(std::uint8_t n) {
    byte_array<32> key{};
    key[0] = n;
    return book_of_peers.intern(peer_id::of_ed25519(key));
  }
  static shard_mark mark(std::uint32_t shard, bool loaded = false) {
    shard_mark m;
    m.shard_id = shard;
    m.total_shards = 2;
    m.loaded = loaded;
    return m;
  }
  static shard_announcement announcement(std::uint32_t shard) {
    shard_announcement a;
    a.shard_id = shard;
    a.total_shards = 2;
    return a;
  }
  void contact(std::uint8_t n) {
    auto* const e = book.find(peer(n)->id());
    REQUIRE(e != nullptr);
    book.on_contact(*e);
    book.reconsider();
  }

  transport::peer_book book_of_peers;
  heard observer;
  holder_book book{2, holder_book::limits{2, 2}, &observer};
  time_point now = time_point() + 100s;
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "holder book: complete counts records and the own shard, ready counts contacts") {
  book.set_own(0, true, now);
  book.reconsider();
  CHECK_FALSE(book.complete());
  CHECK(book.on_mark(peer(1), mark(1), 5, now));
  book.reconsider();
  CHECK(observer.take() == "found1 complete");
  CHECK(book.complete());
  CHECK(book.on_mark(peer(1), mark(1, true), 6, now));
  book.reconsider();
  CHECK_FALSE(book.ready());
  CHECK(observer.take() == "");
  contact(1);
  CHECK(observer.take() == "ready");
  book.clear_own();
  book.reconsider();
  CHECK(observer.take() == "not_ready incomplete");
}

TEST_CASE_FIXTURE(fixture, "holder book: a suspect does not count until it answers") {
  book.set_own(0, true, now);
  book.on_mark(peer(1), mark(1, true), 5, now);
  contact(1);
  CHECK(observer.take() == "found1 complete ready");
  CHECK(book.on_failure(*book.find(peer(1)->id()), now));
  CHECK_FALSE(book.on_failure(*book.find(peer(1)->id()), now));
  book.reconsider();
  CHECK(observer.take() == "suspect1 not_ready incomplete");
  contact(1);
  CHECK(observer.take() == "recovered1 complete ready");
}

TEST_CASE_FIXTURE(fixture, "holder book: an announcement lives for what remained of it, on this node's clock") {
  book.on_announcement(peer(1), announcement(1), 5, 10s, now);
  book.on_announcement(peer(1), announcement(1), 5, 4s, now + 1s);  // a holder that lags takes nothing away
  CHECK_FALSE(book.expire(now + 9s));
  book.on_announcement(peer(1), announcement(1), 5, 10s, now + 9s);  // renewed
  CHECK_FALSE(book.expire(now + 18s));
  CHECK(book.expire(now + 19s));
  CHECK(observer.take() == "found1 lost1:expired");
  CHECK(book.entries().empty());
  CHECK(book.on_announcement(peer(1), announcement(1), 5, 10s, now + 20s));  // unreachable for a while
  CHECK(observer.take() == "found1");
}

TEST_CASE_FIXTURE(fixture, "holder book: a mark lives until word comes that it has ended") {
  book.on_mark(peer(1), mark(1), 5, now);
  CHECK_FALSE(book.expire(now + 1h));
  CHECK_FALSE(book.on_mark_ended(peer(1)->id(), 4));  // an older one
  CHECK(book.on_mark_ended(peer(1)->id(), 5));
  CHECK_FALSE(book.on_mark_ended(peer(1)->id(), 5));
  CHECK(observer.take() == "found1 lost1:expired");
  CHECK(book.on_mark(peer(1), mark(1), 5, now));  // its publisher was unreachable, and has renewed the same record
  book.on_announcement(peer(1), announcement(1), 4, 10s, now);
  CHECK_FALSE(book.on_mark_ended(peer(1)->id(), 5));  // the announcement still lives
  CHECK(observer.take() == "found1");
}

TEST_CASE_FIXTURE(fixture, "holder book: a tombstone ends both records, and old copies do not bring them back") {
  book.on_announcement(peer(1), announcement(1), 4, 10s, now);
  book.on_mark(peer(1), mark(1), 5, now);
  CHECK(observer.take() == "found1");
  CHECK_FALSE(book.on_tombstone(peer(1), holder_book::record_kind::mark, 3, 10s, now));
  CHECK(book.on_tombstone(peer(1), holder_book::record_kind::mark, 7, 10s, now));
  CHECK(observer.take() == "lost1:withdrawn");
  CHECK_FALSE(book.on_mark(peer(1), mark(1), 5, now));
  CHECK_FALSE(book.on_announcement(peer(1), announcement(1), 4, 9s, now));
  CHECK(observer.take() == "");
  CHECK(book.on_mark(peer(1), mark(1), 9, now));  // it came back
  CHECK(observer.take() == "found1");
}

TEST_CASE_FIXTURE(fixture, "holder book: a tombstone that came first is remembered, and forgotten in time") {
  book.on_tombstone(peer(1), holder_book::record_kind::announcement, 7, 10s, now);
  CHECK_FALSE(book.on_mark(peer(1), mark(1), 5, now));
  book.expire(now + 11s);
  CHECK(book.entries().empty());
  book.on_tombstone(peer(1), holder_book::record_kind::mark, 7, 10s, now);
  book.on_tombstone(peer(2), holder_book::record_kind::mark, 7, 10s, now);
  book.on_tombstone(peer(3), holder_book::record_kind::mark, 7, 10s, now);
  CHECK(book.entries().size() == 2);
  CHECK(book.counts().forgotten_early == 1);
}

TEST_CASE_FIXTURE(fixture, "holder book: who says goodbye is a suspect, and has left when its record runs out") {
  book.on_mark(peer(1), mark(1), 5, now);
  contact(1);
  book.on_goodbye(*book.find(peer(1)->id()), now);
  CHECK(observer.take() == "found1 suspect1");
  book.on_mark_ended(peer(1)->id(), 5);
  CHECK(observer.take() == "lost1:left");
}

TEST_CASE_FIXTURE(fixture, "holder book: replicas are all listed, up to the limit") {
  CHECK(book.on_mark(peer(1), mark(1), 5, now));
  CHECK(book.on_mark(peer(2), mark(1), 5, now));
  CHECK_FALSE(book.on_mark(peer(3), mark(1), 5, now));
  CHECK(book.counts().refused_full == 1);
  book.set_own(1, false, now);
  auto const holders = book.holders(1, peer(9)->id(), now);
  REQUIRE(holders.size() == 3);
  CHECK(std::is_sorted(holders.begin(), holders.end(), [](auto const& a, auto const& b) { return a.peer < b.peer; }));
}

TEST_CASE_FIXTURE(fixture, "holder book: a holder that changes its shard leaves the old one") {
  book.on_mark(peer(1), mark(1), 5, now);
  book.on_mark(peer(1), mark(0), 6, now);
  CHECK(observer.take() == "found1 lost1:withdrawn found0");
  CHECK_FALSE(book.known(1));
  CHECK(book.known(0));
  CHECK_FALSE(book.on_announcement(peer(1), announcement(1), 4, 10s, now));  // an older word about the old shard
  CHECK(observer.take() == "");
}

TEST_CASE_FIXTURE(fixture, "holder book: records without sequence count after a contact, and give way to signed ones") {
  book.set_own(0, true, now);
  CHECK(book.on_mark(peer(1), mark(1), 0, now));
  CHECK(book.on_announcement(peer(1), announcement(1), 0, 20s, now));
  contact(1);
  CHECK(book.complete());
  CHECK(observer.take() == "found1 complete");
  auto* const e = book.find(peer(1)->id());
  REQUIRE(e != nullptr);
  CHECK_FALSE(e->details_stale);

  // It has changed: no sequence says so, but the mark does.
  CHECK(book.on_mark(peer(1), mark(1, true), 0, now));
  book.reconsider();
  CHECK(observer.take() == "ready");
  CHECK(e->details_stale);
  CHECK_FALSE(book.on_announcement(peer(1), announcement(1), 0, 30s, now));  // the same as before
  CHECK_FALSE(e->details_stale);
  now += 25s;  // a later copy has extended it
  CHECK_FALSE(book.expire(now));

  CHECK(book.on_tombstone(peer(1), holder_book::record_kind::mark, 4, 60s, now));
  CHECK_FALSE(book.on_mark(peer(1), mark(1, true), 0, now));
  CHECK_FALSE(book.on_announcement(peer(1), announcement(1), 0, 30s, now));
  book.reconsider();
  CHECK_FALSE(book.complete());
}
