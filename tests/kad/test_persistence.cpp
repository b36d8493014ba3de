#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

#include "kad/simulated_swarm.hpp"
#include "kadoro/io/sim/database.hpp"
#include "kadoro/io/sim/storage.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using kad::persistence_status;
using state = persistence_status::state;

namespace {

/// A swarm whose nodes each have a database, which outlives them.
struct kept_swarm {
  kept_swarm(std::uint64_t seed, std::size_t nodes, duration delay = 10ms) : databases(nodes), swarm(seed, delay) {
    for (std::size_t i = 0; i < nodes; ++i) swarm.add(options(i));
    swarm.join_all();
  }

  kad::node_options options(std::size_t index) {
    kad::node_options out;
    out.database = &databases[index];
    return out;
  }
  /// Comes back after a crash, knowing nobody but from its database.
  result<void> restart(std::size_t index, kad::node_options how) {
    if (swarm.hosts[index]->crashed())
      swarm.hosts[index] = std::make_unique<io::sim::context>(swarm.world, simulated_swarm::address(index + 1));
    swarm.nodes[index].reset();
    how.listen = simulated_swarm::address(index + 1);
    auto opened = kad::node::open(*swarm.hosts[index], swarm.identities[index], how);
    if (!opened) return fail(opened.error());
    swarm.nodes[index] = std::move(*opened);
    return {};
  }
  void restart(std::size_t index) { REQUIRE(restart(index, options(index))); }
  bool join(std::size_t index) { return swarm.hosts[index]->run(swarm.nodes[index]->join()).has_value(); }
  kad::peer_id id(std::size_t index) const { return kad::peer_id::of_ed25519(swarm.identities[index].public_key()); }

  std::vector<io::sim::database> databases;
  simulated_swarm swarm;
};

kad::put_options durable(kad::quorum quorum = kad::quorum::all(), duration life = 1h) {
  kad::put_options how;
  how.durable = true;
  how.quorum = quorum;
  how.lifetime = life;
  return how;
}

}  // namespace

TEST_CASE("persistence: a durable put says so, and all holders may crash at that very moment") {
  kept_swarm s(1, 6);
  auto const receipt = s.swarm.put(5, "key", "value", durable());
  CHECK(receipt.ok());
  CHECK(receipt.durable() == 5);
  CHECK(receipt.explain().find("durable on 5") != std::string::npos);
  for (std::size_t i = 0; i < 6; ++i) s.swarm.crash(i);
  s.swarm.world.run_for(60s);
  for (std::size_t i = 0; i < 5; ++i) s.restart(i);  // not the publisher
  for (std::size_t i = 0; i < 5; ++i) CHECK(s.swarm.holds(i, "key", 5));
  for (std::size_t i = 0; i < 5; ++i) CHECK(s.join(i));
  kad::get_options all;
  all.quorum = kad::quorum::all();
  auto const got = s.swarm.get(0, "key", all);
  REQUIRE(got.found());
  CHECK(got.records()[0].remaining < 1h - 59s);
  CHECK(s.swarm.nodes[0]->persistence().loaded_live == 1);
  CHECK(s.swarm.nodes[0]->persistence().loaded_contacts > 0);
}

TEST_CASE("persistence: who does not ask is not told, and it is on disk soon all the same") {
  kept_swarm s(2, 3);
  auto const receipt = s.swarm.put(0, "key", "value", {});
  CHECK(receipt.ok());
  CHECK(receipt.durable() == 0);
  s.swarm.world.run_for(200ms);
  s.swarm.crash(1);
  s.restart(1);
  CHECK(s.swarm.holds(1, "key", 0));
}

TEST_CASE("persistence: without databases a durable put is decided all the same, and is not durable") {
  simulated_swarm swarm(3);
  for (int i = 0; i < 4; ++i) swarm.add();
  swarm.join_all();
  auto const receipt = swarm.put(0, "key", "value", durable(kad::quorum::majority()));
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 3);
  CHECK(receipt.durable() == 0);
  CHECK(swarm.nodes[0]->persistence().now == state::none);
}

TEST_CASE("persistence: many durable puts at once share commits") {
  kept_swarm s(4, 3);
  std::uint64_t const before = s.databases[1].counters().commits;
  std::size_t done = 0;
  auto const one = [](kad::node& n, std::string key, std::size_t& durable_puts) -> coro::task<void> {
    auto const receipt = co_await n.put(as_bytes(key), as_bytes("v"), durable());
    if (receipt && receipt->durable() == 2) ++durable_puts;
  };
  for (int i = 0; i < 200; ++i) s.swarm.hosts[0]->spawn(one(*s.swarm.nodes[0], "key " + std::to_string(i), done));
  s.swarm.world.run_for(3s);
  CHECK(done == 200);
  CHECK(s.databases[1].counters().commits - before < 60);
  CHECK(s.swarm.nodes[1]->persistence().answered_pending > 100);
}

TEST_CASE("persistence: crashes at any moment lose nothing that was called durable, and nothing withdrawn comes back") {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    CAPTURE(seed);
    kept_swarm s(seed, 6, 3ms);
    chacha20_random dice(seed * 977);
    struct word {
      std::uint64_t called_durable = 0;  // the highest sequence of which a quorum said so
      std::uint64_t withdrawn = 0;       // likewise of a tombstone
    };
    std::map<std::string, word> said;
    auto const writer = [](kept_swarm& in, std::map<std::string, word>& all, std::uint64_t random) -> coro::task<void> {
      kad::node& n = *in.swarm.nodes[5];
      chacha20_random own(random);
      for (;;) {
        std::string const key = "key " + std::to_string(own.below(8));
        bool const withdraws = own.below(4) == 0;
        auto work = withdraws ? n.withdraw(as_bytes(key), durable())
                              : n.put(as_bytes(key), as_bytes("value " + std::to_string(own.below(1000))), durable());
        auto const receipt = co_await std::move(work);
        if (!receipt) co_return;
        word& w = all[key];
        if (receipt->durable() == 5) (withdraws ? w.withdrawn : w.called_durable) = receipt->sequence();
      }
    };
    for (int lives = 0; lives < 3; ++lives) {
      // Several write at once, until everything loses power in the middle of it.
      for (int i = 0; i < 3; ++i) s.swarm.hosts[5]->spawn(writer(s, said, dice.below(1u << 30)));
      s.swarm.world.run_for(duration(static_cast<duration::rep>(dice.below(300'000'000))) + 1ms);
      for (std::size_t i = 0; i < 6; ++i) s.swarm.crash(i);
      s.swarm.world.run_for(1s);
      for (std::size_t i = 0; i < 6; ++i) s.restart(i);
      for (std::size_t i = 0; i < 5; ++i) {
        for (auto const& [key, w] : said) {
          CAPTURE(key);
          auto const highest = s.swarm.nodes[i]->store().highest(as_bytes(key), s.id(5));
          REQUIRE(highest);
          CHECK(highest->sequence >= std::max(w.called_durable, w.withdrawn));
          auto const held = s.swarm.nodes[i]->store().find(as_bytes(key), s.id(5), s.swarm.world.now());
          CHECK(held);
          if (held && held->value->sequence == w.withdrawn) CHECK(held->value->tombstone());
        }
      }
      for (std::size_t i = 0; i < 6; ++i) CHECK(s.join(i));
    }
    CHECK(said.size() > 3);
  }
}

TEST_CASE("persistence: a full disk is said, the node runs on, and catches up") {
  kept_swarm s(5, 3);
  s.databases[1].set_capacity(s.databases[1].used_bytes());
  auto const receipt = s.swarm.put(0, "key", std::string(600, 'x'), durable());
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 2);
  CHECK(receipt.durable() == 1);
  auto const status = s.swarm.nodes[1]->persistence();
  CHECK(status.now == state::failing);
  CHECK(status.failed_commits == 1);
  CHECK(status.why.find("no space left") != std::string::npos);
  CHECK(to_string(status).find("failing: ") == 0);
  CHECK(s.swarm.get(1, "key").found());
  auto const again = s.swarm.put(0, "other", "y", durable());
  CHECK(again.durable() == 1);

  s.databases[1].set_capacity(io::sim::database::unlimited);
  s.swarm.world.run_for(10s);
  CHECK(s.swarm.nodes[1]->persistence().now == state::working);
  s.swarm.crash(1);
  s.restart(1);
  CHECK(s.swarm.holds(1, "key", 0));
  CHECK(s.swarm.holds(1, "other", 0));
}

TEST_CASE("persistence: a node that is to refuse takes nothing while it cannot write") {
  kept_swarm s(6, 3);
  s.swarm.crash(1);
  auto how = s.options(1);
  how.database_trouble = kad::database_trouble::refuse;
  REQUIRE(s.restart(1, how));
  CHECK(s.join(1));
  s.databases[1].fail_commits(1);
  CHECK(s.swarm.put(0, "first", "x", durable()).durable() == 1);
  auto const refused = s.swarm.put(0, "second", "x", durable());
  CHECK(refused.stored() == 1);
  CHECK(refused.refused() == 1);
  CHECK(s.swarm.get(1, "first").found());  // it goes on to answer
  CHECK(s.swarm.withdraw(0, "first").stored() == 2);
  CHECK_FALSE(s.swarm.get(1, "first").found());  // but not with what is withdrawn
  s.swarm.world.run_for(10s);
  CHECK(s.swarm.put(0, "third", "x", durable()).durable() == 2);
}

TEST_CASE("persistence: what cannot be read is a clear error, and is left as it is") {
  kept_swarm s(7, 3);
  CHECK(s.swarm.put(0, "key", "value", durable()).durable() == 2);
  CHECK(s.swarm.put(0, "zone", "value", durable()).durable() == 2);
  s.swarm.world.run_for(1s);
  s.swarm.crash(1);
  auto how = s.options(1);
  errc code{};
  SUBCASE("damaged") {
    auto const slot = s.databases[1].entries().lower_bound(bytes(1, 's'));
    REQUIRE(slot != s.databases[1].entries().end());
    slot->second.back() ^= 1;
    code = errc::corrupt;
  }
  SUBCASE("half of a slot") {
    s.databases[1].entries().erase(s.databases[1].entries().lower_bound(bytes(1, 's')));
    code = errc::corrupt;
  }
  SUBCASE("the other half of a slot") {
    s.databases[1].entries().erase(std::prev(s.databases[1].entries().end()));
    code = errc::corrupt;
  }
  SUBCASE("the version") {
    s.databases[1].entries().begin()->second.back() ^= 1;
    code = errc::wrong_version;
  }
  SUBCASE("something else") {
    s.databases[1].entries() = {{bytes(3, 'x'), bytes(3, 'y')}};
    code = errc::wrong_version;
  }
  SUBCASE("the file itself") {
    s.databases[1].fail_load(errc::in_use);
    code = errc::in_use;
  }
  auto const damaged = s.databases[1].entries();
  how.database_trouble = kad::database_trouble::refuse;
  auto const no = s.restart(1, how);
  REQUIRE_FALSE(no);
  CHECK(no.error() == code);
  CHECK(no.error().message().find("as configured") != std::string::npos);

  if (code == errc::in_use) s.databases[1].fail_load(errc::in_use);
  how.database_trouble = kad::database_trouble::run_on;
  how.bootstrap = s.swarm.bootstrap();
  REQUIRE(s.restart(1, how));
  CHECK(s.swarm.nodes[1]->persistence().now == state::off);
  CHECK_FALSE(s.swarm.nodes[1]->persistence().why.empty());
  CHECK(s.swarm.nodes[1]->store().size() == 0);  // not half of it either
  CHECK(s.join(1));
  auto const receipt = s.swarm.put(0, "other", "value", durable());
  CHECK(receipt.stored() == 2);
  CHECK(receipt.durable() == 1);
  CHECK(s.databases[1].entries() == damaged);
}

TEST_CASE("persistence: a disk that lies is found out by nobody, and the file is whole all the same") {
  kept_swarm s(8, 3);
  CHECK(s.swarm.put(0, "first", "value", durable()).durable() == 2);
  s.swarm.world.run_for(1s);
  s.databases[1].lose_on_power_cut(8);
  CHECK(s.swarm.put(0, "second", "value", durable()).durable() == 2);
  s.swarm.crash(1);
  s.databases[1].power_cut();
  s.restart(1);
  CHECK(s.swarm.nodes[1]->persistence().now == state::working);
  CHECK(s.swarm.holds(1, "first", 0));
  CHECK_FALSE(s.swarm.holds(1, "second", 0));
}

TEST_CASE("persistence: back in the swarm within two round trips, without any bootstrap") {
  constexpr duration rtt = 80ms;
  for (std::size_t const size : {9u, 40u}) {
    CAPTURE(size);
    kept_swarm s(9, size, rtt / 2);
    s.swarm.world.run_for(10s);
    for (std::uint64_t i = 0; i < 20; ++i) s.swarm.put(1, "key " + std::to_string(i), "value", durable());
    for (std::size_t const node : {size_t{2}, size - 1}) {
      s.swarm.world.run_for(6s);
      std::size_t const known = s.swarm.nodes[node]->servers();
      s.swarm.crash(node);
      s.swarm.world.run_for(1s);
      time_point const began = s.swarm.world.now();
      s.restart(node);
      CHECK(s.join(node));
      duration const took = s.swarm.world.now() - began;
      CHECK(took <= 2 * rtt);
      MESSAGE(size, " nodes: joined after ", took / 1ms, " ms, knows ", s.swarm.nodes[node]->servers(), " of ", known);
      CHECK(s.swarm.nodes[node]->servers() >= std::min<std::size_t>(known, 15));
      CHECK(s.swarm.get(node, "key 7").found());
      s.swarm.world.run_for(12s);
      CHECK(s.swarm.nodes[node]->servers() >= known - known / 10);
    }
  }
}

TEST_CASE("persistence: after another boot records wait for their publisher, and sequences stay in force") {
  kept_swarm s(10, 4);
  auto const life = durable(kad::quorum::all(), 20s);
  CHECK(s.swarm.put(0, "key", "value", life).durable() == 3);
  CHECK(s.swarm.put(0, "gone", "value", life).durable() == 3);
  CHECK(s.swarm.withdraw(0, "gone", life).durable() == 3);
  s.swarm.world.run_for(1s);
  s.swarm.crash(1);
  s.swarm.world.run_for(2s);
  s.swarm.hosts[1] = std::make_unique<io::sim::context>(s.swarm.world, simulated_swarm::address(2));
  time_point const booted = s.swarm.world.now();
  s.swarm.hosts[1]->set_booted_at(booted);
  s.restart(1);
  auto const status = s.swarm.nodes[1]->persistence();
  CHECK(status.loaded_live == 0);
  CHECK(status.loaded_sleeping == 2);
  CHECK_FALSE(s.swarm.holds(1, "key", 0));
  auto const remembered = s.swarm.nodes[1]->store().highest(as_bytes("gone"), s.id(0));
  REQUIRE(remembered);
  CHECK(remembered->tombstone());
  CHECK(s.join(1));
  s.swarm.world.run_for(15s);  // the publisher renews every 10 s
  CHECK(s.swarm.holds(1, "key", 0));
  // It has all been written anew, in the terms of this boot.
  s.swarm.crash(1);
  s.swarm.hosts[1] = std::make_unique<io::sim::context>(s.swarm.world, simulated_swarm::address(2));
  s.swarm.hosts[1]->set_booted_at(booted);
  s.restart(1);
  CHECK(s.swarm.holds(1, "key", 0));
}

TEST_CASE("persistence: the publisher goes on behind its sequence, with what an older storage says") {
  kept_swarm s(11, 3);
  std::uint64_t const first = s.swarm.put(0, "key", "value", durable()).sequence();
  s.swarm.crash(0);
  s.restart(0);
  CHECK(s.join(0));
  std::uint64_t const second = s.swarm.put(0, "key", "value", durable()).sequence();
  CHECK(second > first);
  s.swarm.crash(0);
  io::sim::storage files;
  REQUIRE(files.write("sequence", as_bytes("900000")));
  auto how = s.options(0);
  how.storage = &files;
  REQUIRE(s.restart(0, how));
  CHECK(s.join(0));
  CHECK(s.swarm.put(0, "key", "value", durable()).sequence() == 900001);
  s.swarm.crash(0);
  s.restart(0);
  CHECK(s.join(0));
  CHECK(s.swarm.put(0, "key", "value", durable()).sequence() > 900001);
}

TEST_CASE("persistence: what expires is forgotten on disk too") {
  kept_swarm s(12, 3);
  auto const slots = [&s] {
    auto const& all = s.databases[1].entries();
    return std::distance(all.lower_bound(bytes(1, 's')), all.end());
  };
  s.swarm.withdraw(0, "key", durable(kad::quorum::all(), 2s));
  CHECK(slots() == 2);
  s.swarm.world.run_for(10s);
  CHECK(slots() == 0);
  s.swarm.hosts[1]->run(s.swarm.nodes[1]->close());
  CHECK(s.swarm.nodes[1]->persistence().now == state::off);
  s.restart(1);
  CHECK(s.swarm.nodes[1]->persistence().loaded_contacts == 2);
}

TEST_CASE("persistence: what a new validator rejects is in no watch, though it is kept") {
  kept_swarm s(31, 3);
  CHECK(s.swarm.put(2, "/numbers/a", "many", durable()).ok());
  CHECK(s.swarm.put(2, "/words/a", "many", durable()).ok());
  s.swarm.crash(0);
  kad::node_options strict = s.options(0);
  strict.validators["/numbers/"].accept = [](kad::record const& what) -> result<void> {
    if (as_text(what.value) == "7") return {};
    return kad::reject("no number");
  };
  REQUIRE(s.restart(0, strict));
  REQUIRE(s.join(0));
  kad::watch judged = s.swarm.nodes[0]->watch(as_bytes("/numbers/a")).value();
  kad::watch free = s.swarm.nodes[0]->watch(as_bytes("/words/a")).value();
  auto const word = s.swarm.hosts[0]->run(free.next());
  CHECK(s.swarm.holds(0, "/numbers/a", 2));
  s.swarm.put(1, "/numbers/a", "7");
  auto const number = s.swarm.hosts[0]->run(judged.next());
  REQUIRE(word);
  REQUIRE(number);
  CHECK(as_text(word->found.value.value) == "many");
  CHECK(as_text(number->found.value.value) == "7");  // the first of all
}
