#include <doctest/doctest.h>

#include "kadoro/crypto/identity.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/world.hpp"
#include "kadoro/kad/watcher_table.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

struct fixture {
  fixture() {
    for (int i = 0; i < 6; ++i)
      peers.push_back(book.intern(peer_id::of_ed25519(crypto::identity::generate(random).public_key())));
  }
  std::string told(std::size_t watcher, std::size_t max = 10) {
    auto const next = table.next(as_bytes("key"), peers[watcher]->id(), max);
    if (!next) return "-";
    std::string out = std::to_string(next->since) + ":";
    for (auto const& [number, publisher] : next->publishers) {
      for (std::size_t i = 0; i < peers.size(); ++i)
        if (peers[i]->id() == publisher) out += " " + std::to_string(number) + "=" + std::to_string(i);
    }
    std::uint64_t const upto = next->publishers.size() < max ? next->head : next->publishers.back().first;
    table.told(as_bytes("key"), peers[watcher]->id(), upto);
    return out;
  }
  std::optional<errc> watch(std::size_t who, std::uint64_t known, std::vector<peer_id> const& there = {}) {
    return table.watch(as_bytes("key"), peers[who], known, there, 100, now);
  }
  void change(std::size_t publisher, bool live = true) {
    table.on_change(as_bytes("key"), peers[publisher]->id(), live);
  }

  io::sim::world world{1};
  io::sim::context host{world, io::endpoint::v4({10, 0, 0, 1}, 0)};
  random_source& random = host.random();
  transport::peer_book book;
  std::vector<peer_ref> peers;
  watch_limits limits{3, 2, 2, 1};
  watcher_table table{limits};
  time_point now{};
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "watcher table: everything first, then what has changed, the last word of each publisher") {
  CHECK_FALSE(watch(0, 0, {peers[3]->id(), peers[4]->id()}));
  CHECK(told(0) == "0: 101=3 102=4");
  CHECK(told(0) == "-");
  change(4);
  change(3);
  change(4);
  CHECK(told(0) == "102: 104=3 105=4");
  CHECK_FALSE(watch(1, 0));
  CHECK(told(1, 1) == "0: 104=3");  // in parts
  CHECK(told(1, 1) == "104: 105=4");
  CHECK(told(1) == "-");
}

TEST_CASE_FIXTURE(fixture, "watcher table: who comes back goes on where it was, unless that is not known here") {
  watch(0, 0, {peers[3]->id()});
  CHECK(told(0) == "0: 101=3");
  change(4);
  CHECK_FALSE(watch(0, 101));
  CHECK(told(0) == "101: 102=4");
  CHECK_FALSE(watch(0, 7));  // of another life
  CHECK(told(0) == "0: 101=3 102=4");
  CHECK_FALSE(watch(0, 999));
  CHECK(told(0) == "0: 101=3 102=4");
}

TEST_CASE_FIXTURE(fixture, "watcher table: what has ended is told, and forgotten beyond the limit") {
  watch(0, 0, {peers[3]->id(), peers[4]->id(), peers[5]->id()});
  told(0);
  change(3, false);
  CHECK(told(0) == "103: 104=3");
  watch(1, 0);
  CHECK(told(1) == "0: 102=4 103=5 104=3");
  change(4, false);  // one more than are kept: whoever was not told of the first one gets everything
  CHECK(told(0) == "104: 105=4");
  watch(1, 103);
  CHECK(told(1) == "0: 103=5 105=4");
}

TEST_CASE_FIXTURE(fixture, "watcher table: a watch that is not renewed is over, and limits hold") {
  CHECK_FALSE(watch(0, 0));
  CHECK_FALSE(watch(1, 0));
  CHECK_FALSE(table.watch(as_bytes("other"), peers[0], 0, {}, 1, now));
  CHECK(table.watch(as_bytes("third"), peers[2], 0, {}, 1, now) == errc::refused_full);  // watches, and keys
  CHECK(table.counters().refused_full == 1);
  now += watcher_table::life - 1s;
  CHECK_FALSE(watch(1, 0));
  table.expire(now + 1s);
  CHECK(table.size() == 1);
  CHECK(table.counters().lapsed == 2);
  CHECK_FALSE(table.watched(as_bytes("other")));
  CHECK_FALSE(watch(2, 0));
  table.drop_all(peers[1]->id());
  CHECK(table.size() == 1);
  change(3);
  auto const pushes = table.take_due();
  REQUIRE_FALSE(pushes.empty());
  table.push_failed(pushes.front());
  table.push_failed(pushes.front());
  CHECK(table.size() == 0);
  CHECK_FALSE(table.watched(as_bytes("key")));
}

TEST_CASE_FIXTURE(fixture, "watcher table: a few pushes are on their way at once, then changes gather") {
  watch(0, 0, {peers[3]->id()});
  watcher_table::push first;
  for (std::size_t i = 0; i < watcher_table::max_pushes; ++i) {
    auto const due = table.take_due();
    REQUIRE(due.size() == 1);
    if (i == 0) first = due.front();
    CHECK(told(0) != "-");
    change(4);
  }
  change(5);
  CHECK(table.take_due().empty());
  CHECK(table.push_ended(first));  // its place is taken by one that tells of both
  CHECK(told(0) != "-");
  CHECK_FALSE(table.push_ended(first));  // nothing is left
  change(4);
  CHECK(table.take_due().size() == 1);
}

TEST_CASE_FIXTURE(fixture, "watcher table: who asks again does not suffer from pushes to its last life") {
  watch(0, 0, {peers[3]->id()});
  std::vector<watcher_table::push> lost;
  for (std::size_t i = 0; i < watcher_table::max_pushes; ++i) {
    for (watcher_table::push const& which : table.take_due()) lost.push_back(which);
    told(0);
    change(4);
  }
  REQUIRE(lost.size() == watcher_table::max_pushes);
  watch(0, 0);  // it has restarted, and knows nothing
  auto const due = table.take_due();
  REQUIRE_FALSE(due.empty());
  for (watcher_table::push const& which : lost) table.push_failed(which);
  CHECK(table.size() == 1);
  CHECK(table.counters().dropped == 0);
  CHECK(told(0) != "-");
  CHECK_FALSE(table.push_ended(lost.front()));
  table.push_failed(due.front());
  CHECK(table.size() == 0);
}
