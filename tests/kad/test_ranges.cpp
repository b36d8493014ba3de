#include <doctest/doctest.h>

#include "kadoro/crypto/identity.hpp"
#include "kadoro/kad/lookup.hpp"
#include "kadoro/kad/membership.hpp"
#include "kadoro/kad/range_quota.hpp"
#include "kadoro/kad/watcher_table.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

io::endpoint in_range(std::uint8_t net, std::uint8_t host) { return io::endpoint::v4({45, 1, net, host}, 4001); }

/// Answers each request at once with the contacts that the test gives it.
class scripted_transport final : public transport::transport {
 public:
  using message = kadoro::transport::message;

  coro::task<result<message>> request(peer_ref to, message const& what) override {
    asked.push_back(to);
    message answer;
    answer.type = what.type;
    answer.contacts = names[to->id()];
    if (auto const lives = truth.find(to->id()); lives != truth.end())
      to->add_address(multiformats::multiaddr::datagram(lives->second), true);
    co_return answer;
  }
  void set_handler(kadoro::transport::handler*) noexcept override {}
  std::vector<multiformats::multiaddr> listen_addresses() const override { return {}; }
  result<std::size_t> check_record_fits(bytes_view, wire::record const&) const override { return 0; }
  std::string counters_text() const override { return {}; }
  coro::task<void> close() override { co_return; }

  peer_list asked;
  std::map<peer_id, peer_list> names;
  std::map<peer_id, io::endpoint> truth;  ///< where a session with it is confirmed
};

struct patient final : lookup::visitor {
  bool on_answer(lookup::candidate const&, transport::message const&) override { return false; }
};

struct fixture {
  /// A stranger who is said to live there.
  peer_ref at(io::endpoint const& where, bool proved = false) {
    auto const who = book.intern(peer_id::of_ed25519(crypto::identity::generate(host.random()).public_key()));
    who->add_address(multiformats::multiaddr::datagram(where), proved);
    return who;
  }
  /// The closest first.
  peer_list sorted(peer_list all) const {
    key const target = key::of(as_bytes("target"));
    std::sort(all.begin(), all.end(), [&target](peer_ref const& a, peer_ref const& b) {
      return target.closer(key(a->hash()), key(b->hash()));
    });
    return all;
  }
  peer_list look(std::size_t width) {
    trace steps("find_node", as_bytes("target"), world.now());
    lookup seek(host, network, table, transport::message_type::find_node, as_bytes("target"), width, steps);
    seek.start_from(width, {});
    patient patience;
    host.run(seek.run(patience));
    peer_list out;
    for (lookup::candidate const* c : seek.closest(width)) out.push_back(c->peer);
    return out;
  }

  io::sim::world world{1};
  io::sim::context host{world, io::endpoint::v4({45, 0, 0, 1}, 0)};
  transport::peer_book book;
  routing_table table{at(in_range(0, 1))->id()};
  scripted_transport network;
};

}  // namespace

TEST_CASE("range quota: the first few of a range come before others, and fill up where nobody else is") {
  std::vector<int> const all{1, 1, 1, 2, 0, 2, 2, 3};  // 0: of no range
  auto const range_of = [](int of) { return of == 0 ? std::nullopt : std::optional<std::uint64_t>(of); };
  CHECK(spread_over_ranges(all, 5, 2, range_of) == std::vector<int>{1, 1, 2, 0, 2});
  CHECK(spread_over_ranges(all, 6, 2, range_of) == std::vector<int>{1, 1, 2, 0, 2, 3});
  CHECK(spread_over_ranges(all, 7, 2, range_of) == std::vector<int>{1, 1, 1, 2, 0, 2, 3});
  CHECK(spread_over_ranges(all, 99, 2, range_of) == all);
  CHECK(spread_over_ranges(all, 0, 2, range_of).empty());
}

TEST_CASE_FIXTURE(fixture, "ranges: beyond a few, those of one range are not the closest that a lookup finds") {
  peer_list crowd;
  peer_list others;
  peer_ref const start = at(in_range(99, 1), true);
  start->mode = transport::peer_mode::server;
  REQUIRE(table.insert(start, world.now()) == insert_result::added);
  for (std::uint8_t i = 1; i <= 30; ++i) crowd.push_back(at(in_range(7, i)));
  for (std::uint8_t i = 1; i <= 6; ++i) others.push_back(at(in_range(static_cast<std::uint8_t>(10 + i), 1)));
  // Whoever ground its names to lie there: the crowd is closer than all others.
  peer_list all = crowd;
  all.insert(all.end(), others.begin(), others.end());
  network.names[start->id()] = all;

  SUBCASE("where they said so") {}
  SUBCASE("where they made other ranges up, until they answer") {
    for (std::uint8_t i = 0; i < crowd.size(); ++i) {
      peer_ref const& who = crowd[i];
      network.truth[who->id()] = in_range(7, static_cast<std::uint8_t>(100 + i));
    }
  }
  auto const found = look(8);
  REQUIRE(found.size() == 8);
  std::size_t of_crowd = 0;
  for (peer_ref const& who : found) of_crowd += std::count(crowd.begin(), crowd.end(), who) > 0 ? 1u : 0u;
  CHECK(of_crowd <= 2);
  CHECK(found == sorted(found));
  // At most ten of them were even asked: no more come in as candidates.
  auto const asked = std::count_if(network.asked.begin(), network.asked.end(), [&crowd](peer_ref const& who) {
    return std::count(crowd.begin(), crowd.end(), who) > 0;
  });
  CHECK(asked <= 10);
}

TEST_CASE_FIXTURE(fixture, "ranges: whoever lies about its range is found out when it answers") {
  peer_ref const start = at(in_range(99, 1), true);
  start->mode = transport::peer_mode::server;
  table.insert(start, world.now());
  peer_list liars;
  for (std::uint8_t i = 1; i <= 20; ++i) {
    liars.push_back(at(in_range(static_cast<std::uint8_t>(100 + i), 1)));
    network.truth[liars.back()->id()] = in_range(7, i);
  }
  peer_list all = liars;
  for (std::uint8_t i = 1; i <= 6; ++i) all.push_back(at(in_range(static_cast<std::uint8_t>(10 + i), 1)));
  network.names[start->id()] = all;
  auto const found = look(8);
  auto const lying = std::count_if(found.begin(), found.end(), [&liars](peer_ref const& who) {
    return std::count(liars.begin(), liars.end(), who) > 0;
  });
  CHECK(lying <= 2);
}

TEST_CASE_FIXTURE(fixture, "ranges: an address that somebody makes up for a peer does not shut it out") {
  peer_ref const start = at(in_range(99, 1), true);
  start->mode = transport::peer_mode::server;
  table.insert(start, world.now());
  peer_list all;
  for (std::uint8_t i = 1; i <= 12; ++i) all.push_back(at(in_range(7, i)));
  peer_ref const victim = at(in_range(7, 200));
  victim->add_address(multiformats::multiaddr::datagram(in_range(60, 1)), false);
  all.push_back(victim);
  network.names[start->id()] = all;
  look(20);
  CHECK(std::count(network.asked.begin(), network.asked.end(), victim) == 1);
}

TEST_CASE_FIXTURE(fixture, "ranges: where there is nobody else, all of a range serve") {
  peer_ref const start = at(in_range(7, 99), true);
  start->mode = transport::peer_mode::server;
  table.insert(start, world.now());
  for (std::uint8_t i = 1; i <= 6; ++i) network.names[start->id()].push_back(at(in_range(7, i)));
  CHECK(look(20).size() == 7);
}

TEST_CASE_FIXTURE(fixture, "ranges: a view takes ten of a range, and is none when there are more") {
  table_options limits;
  membership view(at(in_range(0, 1))->id(), true, limits);
  for (std::uint8_t i = 1; i <= 10; ++i) CHECK(view.add(at(in_range(7, i), true)));
  CHECK(view.view() != 0);
  CHECK_FALSE(view.add(at(in_range(7, 11), true)));
  CHECK(view.turned_away() == 1);
  CHECK(view.size() == 10);
  CHECK(view.view() == 0);  // there is somebody whom it does not count
  CHECK_FALSE(view.complete());
  CHECK(view.add(at(in_range(8, 1), true)));

  peer_list others;
  for (std::uint8_t i = 20; i < 25; ++i) others.push_back(at(in_range(i, 1), true));
  for (peer_ref const& who : others) CHECK(view.add(who));
  auto const closest = view.closest(key::of(as_bytes("target")), 8);
  REQUIRE(closest.size() == 8);
  auto const crowd = std::count_if(closest.begin(), closest.end(), [](peer_ref const& who) {
    return *transport::proved_range(*who) == in_range(7, 1).range();
  });
  CHECK(crowd == 2);

  for (std::uint8_t i = 1; i <= 30; ++i) CHECK(view.add(at(io::endpoint::v4({10, 0, 0, i}, 1), true)));
}

TEST_CASE_FIXTURE(fixture, "ranges: of one address range at most so many watches are served") {
  watch_limits limits;
  limits.max_watches_per_range = 3;
  watcher_table watchers(limits);
  auto const watch = [&](peer_ref const& who, char const* key) {
    return watchers.watch(as_bytes(key), who, 0, {}, 1, world.now());
  };
  peer_ref const first = at(in_range(7, 1), true);
  CHECK_FALSE(watch(first, "a"));
  CHECK_FALSE(watch(first, "b"));
  CHECK_FALSE(watch(at(in_range(7, 2), true), "a"));
  CHECK(watch(at(in_range(7, 3), true), "a") == errc::refused_full);
  CHECK_FALSE(watch(first, "a"));  // a renewal
  CHECK(watchers.counters().refused_full == 1);
  CHECK(watchers.counters().refused_full_range == 1);
  CHECK_FALSE(watch(at(in_range(8, 1), true), "a"));
  for (std::uint8_t i = 1; i <= 9; ++i) CHECK_FALSE(watch(at(io::endpoint::v4({10, 0, 0, i}, 1), true), "a"));
  watchers.drop_all(first->id());
  CHECK_FALSE(watch(at(in_range(7, 4), true), "a"));
  watchers.expire(world.now() + 2min);
  CHECK(watchers.size() == 0);
  for (std::uint8_t i = 1; i <= 3; ++i) CHECK_FALSE(watch(at(in_range(7, i), true), "c"));
}
