#include <doctest/doctest.h>

#include "kadoro/io/sim/nat.hpp"
#include "kadoro/kad/node.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using kad::reachability;

namespace {

/// Servers with public addresses, each in a range of its own, that know only few others; and one more node.
struct public_swarm {
  explicit public_swarm(std::uint64_t seed, std::size_t servers, bool v6 = false) : world(seed), v6_(v6) {
    io::sim::link_policy link;
    link.delay = 10ms;
    world.set_link(link);
    for (std::size_t i = 0; i < servers; ++i) add(public_address(i), {});
    world.run_for(30s);
  }
  ~public_swarm() {
    for (std::size_t i = 0; i < nodes.size(); ++i) hosts[i]->run(nodes[i]->close());
  }

  io::endpoint public_address(std::size_t i) const {
    auto const low = static_cast<std::uint8_t>(i);
    if (v6_) return io::endpoint::v6({0x2a, 0, 0, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 4001);
    return io::endpoint::v4({80, 10, low, 1}, 4001);
  }

  kad::node& add(io::endpoint const& at, std::function<void(io::sim::context&)> const& prepare) {
    kad::node_options how;
    how.table.k = 4;
    how.replicas = 4;
    how.listen = at;
    if (!nodes.empty()) how.bootstrap = {kad::multiaddr::datagram(public_address(0), nodes.front()->id())};
    hosts.push_back(std::make_unique<io::sim::context>(world, at));
    if (prepare) prepare(*hosts.back());
    identities.push_back(crypto::identity::generate(hosts.back()->random()));
    nodes.push_back(std::move(kad::node::open(*hosts.back(), identities.back(), how).value()));
    if (nodes.size() > 1) hosts.back()->spawn(join(*nodes.back()));
    world.run_for(200ms);
    return *nodes.back();
  }

  static coro::task<void> join(kad::node& n) {
    auto const joined = co_await n.join();
    static_cast<void>(joined);
  }

  io::sim::world world;
  bool v6_;
  std::vector<std::unique_ptr<io::sim::context>> hosts;
  std::vector<crypto::identity> identities;
  std::vector<std::unique_ptr<kad::node>> nodes;
};

io::endpoint const inside = io::endpoint::v4({192, 168, 1, 2}, 4001);
io::endpoint const outside = io::endpoint::v4({90, 1, 2, 3}, 0);

reachability behind_nat(std::uint64_t seed, io::sim::nat_policy const& policy) {
  public_swarm swarm(seed, 60);
  io::sim::nat& box = swarm.world.add_nat(outside, policy);
  kad::node& n = swarm.add(inside, [&box](io::sim::context& host) { host.set_nat(&box); });
  swarm.world.run_for(3min);
  return n.reachability();
}

}  // namespace

TEST_CASE("reachability: public, once somebody whom it had never called got through") {
  for (bool const v6 : {false, true}) {
    CAPTURE(v6);
    public_swarm swarm(1, 60, v6);
    kad::node& n = swarm.add(swarm.public_address(200), {});
    swarm.world.run_for(3min);
    reachability const r = n.reachability();
    CAPTURE(kad::to_string(r));
    CHECK(r.now == reachability::kind::open);
    CHECK(r.dialled_back);
    CHECK(r.agreeing >= 2);
    CHECK(r.observed == swarm.public_address(200));
  }
}

TEST_CASE("reachability: a public address behind a firewall is not called public") {
  public_swarm swarm(2, 60);
  kad::node& n = swarm.add(swarm.public_address(200), [](io::sim::context& host) { host.set_firewall(5min); });
  swarm.world.run_for(3min);
  reachability const r = n.reachability();
  CAPTURE(kad::to_string(r));
  CHECK(r.now == reachability::kind::unknown);
  CHECK_FALSE(r.dialled_back);
  CHECK(r.observed == swarm.public_address(200));
  CHECK(r.why.find("in vain") != std::string::npos);
}

TEST_CASE("reachability: behind a NAT that maps alike for all") {
  io::sim::nat_policy policy;
  reachability const filtered = behind_nat(3, policy);
  CAPTURE(kad::to_string(filtered));
  CHECK(filtered.now == reachability::kind::nat_easy);
  CHECK_FALSE(filtered.dialled_back);
  REQUIRE(filtered.observed);
  CHECK(equal(filtered.observed->address(), outside.address()));
  CHECK(filtered.why.find("in vain") != std::string::npos);

  policy.filtering = io::sim::nat_behaviour::endpoint_independent;
  reachability const open = behind_nat(3, policy);
  CAPTURE(kad::to_string(open));
  CHECK(open.now == reachability::kind::nat_easy);
  CHECK(open.dialled_back);
}

TEST_CASE("reachability: behind a NAT that maps anew for each") {
  io::sim::nat_policy policy;
  policy.mapping = io::sim::nat_behaviour::endpoint_dependent;
  reachability const r = behind_nat(4, policy);
  CAPTURE(kad::to_string(r));
  CHECK(r.now == reachability::kind::nat_hard);
  CHECK_FALSE(r.observed);
}

TEST_CASE("reachability: in a private network, and where nobody can say") {
  simulated_swarm swarm(5);
  for (int i = 0; i < 5; ++i) swarm.add();
  CHECK(swarm.nodes[1]->reachability().now == reachability::kind::unknown);
  CHECK(swarm.nodes[1]->reachability().why.find("no peer has said") != std::string::npos);
  swarm.join_all();
  swarm.world.run_for(1min);
  std::size_t local = 0;
  for (auto const& n : swarm.nodes) {
    reachability const r = n->reachability();
    local += r.now == reachability::kind::local ? 1u : 0u;
    CHECK((r.now == reachability::kind::local || r.now == reachability::kind::unknown));
    CHECK_FALSE(r.why.empty());
  }
  CHECK(local >= 3);  // who was only ever dialled has heard from nobody where it is

  public_swarm small(6, 3);
  small.world.run_for(2min);
  reachability const r = small.nodes[2]->reachability();
  CAPTURE(kad::to_string(r));
  CHECK(r.now == reachability::kind::unknown);
  CHECK_FALSE(r.why.empty());
}

TEST_CASE("reachability: a node whose NAT gives it another address learns that, and is not verified there yet") {
  public_swarm swarm(7, 60);
  io::sim::nat_policy policy;
  policy.filtering = io::sim::nat_behaviour::endpoint_independent;
  io::sim::nat& box = swarm.world.add_nat(outside, policy);
  kad::node& n = swarm.add(inside, [&box](io::sim::context& host) { host.set_nat(&box); });
  swarm.world.run_for(3min);
  auto const before = n.reachability();
  REQUIRE(before.observed);
  CHECK(before.dialled_back);
  box.restart();
  swarm.world.run_for(25min);
  auto const after = n.reachability();
  CAPTURE(kad::to_string(after));
  REQUIRE(after.observed);
  CHECK(*after.observed != *before.observed);
  CHECK(after.now == reachability::kind::nat_easy);
  // By now it has called all whom anybody could send: then it says that, and not what was true of the old address.
  CHECK_FALSE(after.dialled_back);
  CHECK(after.why.find("nobody is known whom it has not called") != std::string::npos);
}

TEST_CASE("reachability: the verdict, from the words alone") {
  using transport::observation;
  io::endpoint const here = io::endpoint::v4({80, 1, 1, 1}, 4001);
  io::endpoint const there = io::endpoint::v4({80, 1, 1, 1}, 4002);
  auto const by = [](std::uint8_t n) { return io::endpoint::v4({81, 1, n, 1}, 4001); };
  kad::dial_back_record none;
  CHECK(kad::judge_reachability({}, none).now == reachability::kind::unknown);
  std::vector<observation> words{{here, by(1), {}, true}};
  CHECK(kad::judge_reachability(words, none).now == reachability::kind::unknown);
  words.push_back({here, by(2), {}, true});
  CHECK(kad::judge_reachability(words, none).now == reachability::kind::unknown);
  CHECK(kad::judge_reachability(words, none).agreeing == 2);
  kad::dial_back_record nobody_left;
  nobody_left.nobody = true;
  nobody_left.verified = there;  // which is past
  CHECK_FALSE(kad::judge_reachability(words, nobody_left).dialled_back);
  CHECK(kad::judge_reachability(words, nobody_left).why.find("nobody is known whom it has not called") !=
        std::string::npos);
  kad::dial_back_record verified;
  verified.verified = here;
  CHECK(kad::judge_reachability(words, verified).now == reachability::kind::open);
  verified.verified = there;
  CHECK(kad::judge_reachability(words, verified).now == reachability::kind::unknown);
  words[0].own = words[1].own = false;
  CHECK(kad::judge_reachability(words, none).now == reachability::kind::nat_easy);
  words[0].seen = there;
  CHECK(kad::judge_reachability(words, none).now == reachability::kind::nat_hard);
  words.push_back({there, by(3), {}, false});  // one of three lies, or is of the past
  CHECK(kad::judge_reachability(words, none).observed == there);
}

TEST_CASE("observed addresses: one word for each source, and what has changed ends what agreed with it") {
  transport::observed_addresses words;
  io::endpoint const here = io::endpoint::v4({80, 1, 1, 1}, 4001);
  io::endpoint const there = io::endpoint::v4({80, 1, 1, 1}, 4002);
  time_point const now = time_point{} + 1h;
  for (std::uint8_t i = 0; i < 10; ++i) words.note(here, io::endpoint::v4({81, 1, 1, i}, 4001), now);
  CHECK(words.all().size() == 1);  // one range
  CHECK_FALSE(words.agreed(false));
  for (std::uint8_t i = 0; i < 3; ++i) words.note(here, io::endpoint::v4({10, 1, 1, i}, 4001), now);
  CHECK(words.all().size() == 4);
  CHECK(words.agreed(false) == here);
  CHECK_FALSE(words.agreed(true));
  // One that changes its word, as often as it likes, changes nothing for the others; the second one does.
  for (io::endpoint const& seen : {there, here, there}) words.note(seen, io::endpoint::v4({10, 1, 1, 0}, 4001), now);
  CHECK(words.all().size() == 4);
  CHECK(words.agreed(false) == here);
  words.note(there, io::endpoint::v4({10, 1, 1, 2}, 4001), now);
  CHECK(words.all().size() == 2);
  CHECK(words.agreed(false) == there);
  for (int i = 0; i < 200; ++i) words.note(here, io::endpoint::v4({10, 2, 2, static_cast<std::uint8_t>(i)}, 4001), now);
  CHECK(words.all().size() == transport::observed_addresses::max_sources);
  words.note(here, io::endpoint::v4({10, 9, 9, 9}, 4001), now + 2h);
  CHECK(words.all().size() == 1);
}
