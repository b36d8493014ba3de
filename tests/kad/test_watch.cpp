#include <doctest/doctest.h>

#include <algorithm>

#include "foreign_transport.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

/// Reads a watch until it is closed, and keeps what it said.
struct reader {
  coro::task<void> run(watch& from) {
    for (;;) {
      auto const e = co_await from.next();
      if (!e) break;
      seen.push_back(*e);
      said += std::string(said.empty() ? "" : " ") + std::string(to_string(e->what)) + ":" +
              std::string(as_text(e->found.value.value));
    }
    ended = true;
  }
  std::vector<watch_event> seen;
  std::string said;
  bool ended = false;
};

/// A watch and who reads it, on one node of a swarm. The reader may outlive this: it ends in a turn of its own.
struct watched {
  struct both {
    explicit both(watch w) noexcept : from(std::move(w)) {}
    watch from;
    reader by;
  };

  watched(simulated_swarm& swarm, std::size_t at, std::string const& key)
      : shared(std::make_shared<both>(std::move(swarm.nodes[at]->watch(as_bytes(key)).value()))),
        from(shared->from),
        by(shared->by) {
    swarm.hosts[at]->spawn(read(shared));
  }
  ~watched() { from.close(); }

  static coro::task<void> read(std::shared_ptr<both> what) { co_await what->by.run(what->from); }

  std::shared_ptr<both> shared;
  watch& from;
  reader& by;
};

coro::task<void> put_one(node& by, std::string key, std::string value, put_options how) {
  auto const receipt = co_await by.put(as_bytes(key), as_bytes(value), how);
  static_cast<void>(receipt);
}

coro::task<void> join_one(node& n) {
  auto const joined = co_await n.join();
  static_cast<void>(joined);
}

}  // namespace

TEST_CASE("watch: a put, a change and a withdrawal are pushed") {
  simulated_swarm swarm(41);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  watched w(swarm, 4, "key");
  swarm.world.run_for(1s);
  CHECK(w.from.caught_up());
  CHECK(w.by.said.empty());
  swarm.put(1, "key", "one");
  swarm.world.run_for(100ms);
  CHECK(w.by.said == "add:one");
  swarm.put(1, "key", "two");
  swarm.put(2, "key", "other");
  swarm.world.run_for(100ms);
  CHECK(w.by.said == "add:one change:two add:other");
  swarm.withdraw(1, "key");
  swarm.world.run_for(100ms);
  CHECK(w.by.said == "add:one change:two add:other gone:");
  w.from.close();
  swarm.world.run_for(100ms);
  CHECK(w.by.ended);
}

TEST_CASE("watch: what is there already comes first, and what nobody renews expires") {
  simulated_swarm swarm(42);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  put_options how;
  how.lifetime = 4s;
  swarm.put(1, "key", "short", how);
  watched w(swarm, 4, "key");
  swarm.world.run_for(1s);
  CHECK(w.by.said == "add:short");
  swarm.world.run_for(20s);
  CHECK(w.by.said == "add:short");  // renewed all the time
  swarm.crash(1);
  swarm.world.run_for(12s);
  CHECK(w.by.said == "add:short expire:short");
}

TEST_CASE("watch: a watcher that does not hold the key hears of everything, in a swarm larger than its table") {
  simulated_swarm swarm(43);
  node_options options;
  options.table.k = 8;
  options.replicas = 8;
  for (int i = 0; i < 40; ++i) swarm.add(options);
  swarm.join_all();
  swarm.world.run_for(5s);
  for (int round = 0; round < 5; ++round) {
    std::string const key = "key " + std::to_string(round);
    swarm.put(1, key, "one");
    std::size_t outsider = 2;
    while (swarm.holds(outsider, key, 1)) ++outsider;
    watched w(swarm, outsider, key);
    swarm.world.run_for(1s);
    REQUIRE(w.by.said == "add:one");
    swarm.put(1, key, "two");
    swarm.world.run_for(50ms);
    CHECK(w.by.said == "add:one change:two");
    swarm.put(30, key, "three");
    swarm.world.run_for(50ms);
    swarm.withdraw(1, key);
    swarm.world.run_for(50ms);
    CHECK(w.by.said == "add:one change:two add:three gone:");
    for (peer_id const& holder : w.from.holders()) CHECK(holder != swarm.nodes[outsider]->id());
    CHECK(w.from.holders().size() == 4);
  }
}

TEST_CASE("watch: who does not hold the key hears of a put within 1.1 round trips of its beginning") {
  // From the writer to a holder, from there to the watcher: at the same distance from each other, one round trip.
  duration const rtt = 76ms;
  simulated_swarm swarm(53, rtt / 2);
  node_options options;
  options.replicas = 4;
  for (int i = 0; i < 9; ++i) swarm.add(options);
  node_options client = options;
  client.mode = peer_mode::client;
  swarm.add(client);
  swarm.add(options);
  io::sim::nat& box = swarm.world.add_nat(io::endpoint::v4({192, 0, 2, 1}, 0));
  swarm.hosts[10]->set_nat(&box);
  swarm.join_all();
  swarm.world.run_for(10s);
  put_options how;
  how.quorum = quorum::all();
  for (std::size_t at : {4u, 9u, 10u}) {  // a server, a client, one behind a NAT
    CAPTURE(at);
    int counted = 0;
    for (int round = 0; counted < 5 && round < 40; ++round) {
      std::string const key = std::to_string(at) + " watches " + std::to_string(round);
      watch from = std::move(swarm.nodes[at]->watch(as_bytes(key)).value());
      swarm.world.run_for(1s);
      for (std::string const value : {"new", "changed"}) {
        time_point const begun = swarm.world.now();
        swarm.hosts[1]->spawn(put_one(*swarm.nodes[1], key, value, how));
        auto const e = swarm.hosts[at]->run(from.next());
        REQUIRE(e);
        CHECK(as_text(e->found.value.value) == value);
        CHECK(swarm.world.now() - begun <= rtt * 11 / 10);
        swarm.world.run_for(1s);
      }
      if (!swarm.holds(at, key, 1)) ++counted;
    }
    CHECK(counted == 5);
  }
}

TEST_CASE("watch: it moves when all its holders die") {
  simulated_swarm swarm(44);
  node_options options;
  options.table.k = 8;
  options.replicas = 4;
  for (int i = 0; i < 24; ++i) swarm.add(options);
  swarm.join_all();
  put_options how;
  how.lifetime = 30s;
  swarm.put(1, "key", "one", how);
  std::size_t outsider = 2;
  while (swarm.holds(outsider, "key", 1)) ++outsider;
  watched w(swarm, outsider, "key");
  swarm.world.run_for(1s);
  REQUIRE(w.by.said == "add:one");
  std::set<peer_id> dead;
  for (std::size_t i = 2; i < 24; ++i) {
    auto const at = w.from.holders();
    peer_id const id = swarm.nodes[i]->id();
    if (std::find(at.begin(), at.end(), id) == at.end()) continue;
    dead.insert(id);
    swarm.crash(i);
  }
  CHECK(dead.size() >= 2);
  swarm.world.run_for(60s);
  CHECK(w.by.said == "add:one");
  CHECK_FALSE(w.from.holders().empty());
  for (peer_id const& holder : w.from.holders()) CHECK_FALSE(dead.contains(holder));
  swarm.put(1, "key", "two", how);
  swarm.world.run_for(100ms);
  CHECK(w.by.said == "add:one change:two");
}

TEST_CASE("watch: a slow reader gets the last word of each publisher, once") {
  simulated_swarm swarm(45);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  auto w = std::move(swarm.nodes[4]->watch(as_bytes("key")).value());
  swarm.world.run_for(1s);
  for (int i = 0; i < 50; ++i) swarm.put(1, "key", std::to_string(i));
  swarm.put(2, "key", "came");
  swarm.world.run_for(1s);
  swarm.withdraw(2, "key");
  swarm.put(3, "key", "stays");
  swarm.world.run_for(1s);
  reader by;
  swarm.hosts[4]->spawn(by.run(w));
  swarm.world.run_for(1s);
  CHECK((by.said == "add:49 add:stays" || by.said == "add:stays add:49"));
  w.close();
  swarm.world.run_for(1s);
  CHECK(by.ended);
}

TEST_CASE("watch: behind a NAT, pushes come over the session that the watcher opened") {
  simulated_swarm swarm(46);
  for (int i = 0; i < 5; ++i) swarm.add();
  io::sim::nat& box = swarm.world.add_nat(io::endpoint::v4({192, 0, 2, 1}, 0));
  swarm.hosts[4]->set_nat(&box);
  swarm.join_all();
  watched w(swarm, 4, "key");
  swarm.world.run_for(1s);
  for (int i = 0; i < 10; ++i) {
    swarm.world.run_for(40s);  // the mapping lives for a minute after it was used
    swarm.put(1, "key", std::to_string(i));
    swarm.world.run_for(100ms);
  }
  CHECK(w.by.said == "add:0 change:1 change:2 change:3 change:4 change:5 change:6 change:7 change:8 change:9");
}

TEST_CASE("watch: a client watches, and is told") {
  simulated_swarm swarm(47);
  for (int i = 0; i < 4; ++i) swarm.add();
  node_options client;
  client.mode = peer_mode::client;
  swarm.add(client);
  swarm.join_all();
  watched w(swarm, 4, "key");
  swarm.world.run_for(1s);
  swarm.put(1, "key", "one");
  swarm.world.run_for(50ms);
  CHECK(w.by.said == "add:one");
}

TEST_CASE(
    "watch: a publisher that has lost its sequence with all its holders is heard of once the old one is forgotten") {
  constexpr std::size_t watcher = 3;
  constexpr std::size_t publisher = 1;
  simulated_swarm swarm(54);
  for (std::size_t i = 0; i < watcher; ++i) swarm.add();
  node_options client;
  client.mode = peer_mode::client;
  swarm.add(client);
  swarm.join_all();
  watched w(swarm, watcher, "key");
  put_options how;
  how.lifetime = 10s;
  swarm.put(publisher, "key", "one", how);
  swarm.put(publisher, "key", "two", how);
  swarm.world.run_for(1s);
  CHECK(w.by.said == "add:one change:two");
  for (std::size_t i = 0; i < watcher; ++i) swarm.crash(i);
  for (std::size_t i = 0; i < watcher; ++i) swarm.start(i);
  swarm.join_all();
  auto const again = swarm.put(publisher, "key", "anew", how);
  REQUIRE(again.ok());
  swarm.world.run_for(5s);
  CHECK(w.by.said.find("anew") == std::string::npos);  // an old copy, for all it knows
  swarm.world.run_for(50s);
  CHECK(w.by.said == "add:one change:two expire:two add:anew");
}

TEST_CASE("watch: a holder that cannot tell is polled, more rarely as long as nothing changes") {
  foreign_nodes foreign;
  node_options holder;
  holder.transport = foreign_transport::factory(foreign);
  node_options client = holder;
  client.mode = peer_mode::client;
  simulated_swarm swarm(48);
  foreign.ids.insert(swarm.add(holder).id());
  swarm.add(client);
  swarm.add(client);
  swarm.join_all();
  watched w(swarm, 1, "key");
  swarm.world.run_for(1s);
  std::size_t& polls = foreign.asked[transport::message_type::get_value];
  REQUIRE(swarm.put(2, "key", "one").ok());
  swarm.world.run_for(5s);
  CHECK(w.by.said == "add:one");
  std::size_t before = polls;
  swarm.world.run_for(5s);
  std::size_t const soon = polls - before;
  swarm.world.run_for(60s);
  before = polls;
  swarm.world.run_for(60s);
  std::size_t const at_rest = polls - before;
  CHECK(soon >= 1);
  CHECK(at_rest >= 3);  // every 20 s
  CHECK(at_rest <= 4);
  REQUIRE(swarm.put(2, "key", "two").ok());
  swarm.world.run_for(21s);
  CHECK(w.by.said == "add:one change:two");
}

TEST_CASE("watch: nothing is lost where much is") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    simulated_swarm swarm(seed);
    for (int i = 0; i < 6; ++i) swarm.add();
    swarm.join_all();
    watched w(swarm, 5, "key");
    swarm.world.run_for(1s);
    io::sim::link_policy bad;
    bad.delay = 10ms;
    bad.jitter = 50ms;
    bad.loss = 0.2;
    bad.duplicate = 0.2;
    swarm.world.set_link(bad);
    std::map<peer_id, std::string> truth;
    for (int i = 0; i < 40; ++i) {
      std::size_t const by = 1 + static_cast<std::size_t>(i % 4);
      swarm.put(by, "key", std::to_string(i));
      truth[swarm.nodes[by]->id()] = std::to_string(i);
    }
    io::sim::link_policy good;
    good.delay = 10ms;
    swarm.world.set_link(good);
    swarm.world.run_for(30s);
    std::map<peer_id, std::string> last;
    for (watch_event const& e : w.by.seen) last[e.found.value.publisher] = std::string(as_text(e.found.value.value));
    CHECK(last == truth);
  }
}

TEST_CASE("watch: hundreds of publishers arrive in parts, and each once") {
  simulated_swarm swarm(48);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  // Publishers that are not in the swarm: their records are stored as if they had been handed on.
  std::size_t const many = 300;
  random_source& random = swarm.hosts[0]->random();
  for (std::size_t i = 0; i < many; ++i) {
    auto const publisher = crypto::identity::generate(random);
    auto what = record::make(publisher, as_bytes("key"), 7, 1h, 0, as_bytes("by " + std::to_string(i)));
    for (std::size_t at : {0u, 1u}) {
      auto const put =
          swarm.nodes[at]->store().put(what, record_store::origin::handed_on, std::nullopt, 1h, swarm.world.now());
      CHECK_FALSE(put.refused);
    }
  }
  watched w(swarm, 2, "key");
  swarm.world.run_for(5s);
  CHECK(w.by.seen.size() == many);
  std::set<peer_id> publishers;
  for (watch_event const& e : w.by.seen) publishers.insert(e.found.value.publisher);
  CHECK(publishers.size() == many);
}

TEST_CASE("watch: what is not in a full telling any more ends, however many pages that has") {
  simulated_swarm swarm(49);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  std::vector<record> all;
  for (std::size_t i = 0; i < 13; ++i) {
    auto const publisher = crypto::identity::generate(swarm.hosts[0]->random());
    auto const life = i == 0 ? duration(30s) : duration(1h);
    all.push_back(record::make(publisher, as_bytes("key"), 7, life, 0, as_bytes("by " + std::to_string(i))));
  }
  auto const hand_on = [&swarm](record const& what) {
    auto const put = swarm.nodes[1]->store().put(what, record_store::origin::handed_on, std::nullopt, what.lifetime_max,
                                                 swarm.world.now());
    CHECK_FALSE(put.refused);
  };
  for (record const& each : all) hand_on(each);
  watched w(swarm, 2, "key");
  swarm.world.run_for(3s);
  CHECK(w.by.seen.size() == all.size());
  swarm.crash(1);
  swarm.start(1);
  for (std::size_t i = 1; i < all.size(); ++i) hand_on(all[i]);
  swarm.world.run_for(60s);
  REQUIRE(w.by.seen.size() == all.size() + 1);
  CHECK(w.by.said.ends_with(" expire:by 0"));
}

TEST_CASE("watch: a holder that restarts is watched again at once") {
  simulated_swarm swarm(49);
  for (int i = 0; i < 2; ++i) swarm.add();
  swarm.join_all();
  watched w(swarm, 1, "key");
  swarm.world.run_for(1s);
  swarm.crash(0);
  swarm.start(0);
  swarm.world.run_for(15s);  // somebody notices
  swarm.put(0, "key", "after");
  swarm.world.run_for(1s);
  CHECK(w.by.said == "add:after");
}

TEST_CASE("watch: a watcher that restarts at once is told, whatever is on its way to its last life") {
  for (duration const away : {0ms, 500ms, 1500ms, 2500ms, 2900ms, 2990ms, 3010ms}) {
    CAPTURE(away.count());
    simulated_swarm swarm(53);
    for (int i = 0; i < 6; ++i) swarm.add();
    swarm.join_all();
    auto before = std::make_unique<watched>(swarm, 5, "key");
    swarm.world.run_for(1s);
    CHECK(before->from.caught_up());
    before.reset();
    swarm.crash(5);
    std::string const large(2000, 'x');  // more than an answer to a watch holds: it is pushed behind it
    std::size_t by = 1;
    auto const put_for = [&](duration time) {
      for (time_point const end = swarm.world.now() + time; swarm.world.now() < end; by = by % 4 + 1) {
        swarm.put(by, "key", large);
        swarm.world.run_for(10ms);
      }
    };
    put_for(away);
    swarm.start(5);
    watched after(swarm, 5, "key");
    swarm.hosts[5]->spawn(join_one(*swarm.nodes[5]));
    put_for(4s);  // until the last push to its last life has failed
    swarm.put(1, "key", "last");
    swarm.world.run_for(1s);
    REQUIRE_FALSE(after.by.seen.empty());
    CHECK(as_text(after.by.seen.back().found.value.value) == "last");
    CHECK(after.from.caught_up());
  }
}

TEST_CASE("watch: one that ends while a holder is being asked is over, and a new one starts afresh") {
  simulated_swarm swarm(52, 400ms);
  for (int i = 0; i < 3; ++i) swarm.add();
  swarm.join_all();
  for (int i = 0; i < 3; ++i) {
    {
      watched w(swarm, 2, "key");
      w.from.close();
      swarm.world.run_for(300ms * i);
    }
    swarm.world.run_for(500ms);
  }
  watched w(swarm, 2, "key");
  swarm.world.run_for(3s);
  CHECK(w.from.caught_up());
  swarm.put(1, "key", "one");
  swarm.world.run_for(1s);
  CHECK(w.by.said == "add:one");
}

TEST_CASE("watch: closing the node ends it, and says so") {
  simulated_swarm swarm(50);
  for (int i = 0; i < 2; ++i) swarm.add();
  swarm.join_all();
  watched w(swarm, 1, "key");
  swarm.world.run_for(1s);
  swarm.hosts[1]->run(swarm.nodes[1]->close());
  swarm.world.run_for(1s);
  CHECK(w.by.ended);
  auto const late = swarm.nodes[1]->watch(as_bytes("key"));
  REQUIRE_FALSE(late);
  CHECK(late.error() == errc::closed);
  auto const again = swarm.hosts[1]->run(w.from.next());
  REQUIRE_FALSE(again);
  CHECK(again.error() == errc::closed);
}

TEST_CASE("watch: alone, a node sees its own records, and says that nobody else is known") {
  simulated_swarm swarm(51);
  swarm.add();
  watched w(swarm, 0, "key");
  swarm.put(0, "key", "mine");
  swarm.world.run_for(1s);
  CHECK(w.by.said == "add:mine");
  CHECK(w.from.explain() == "watch of key: no peer is known");
  CHECK_FALSE(w.from.caught_up());
}
