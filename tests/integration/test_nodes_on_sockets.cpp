#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/backends.hpp"
#include "io/own_network.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/node.hpp"

using namespace kadoro;
using namespace std::chrono_literals;

// What the simulator shows of whole swarms, once more on the sockets of the system, on each backend.

namespace {

std::unique_ptr<kad::node> open(io::context& context, kad::node_options const& options) {
  return std::move(kad::node::open(context, crypto::identity::generate(context.random()), options).value());
}

coro::task<void> join(kad::node& n) {
  auto const joined = co_await n.join();
  static_cast<void>(joined);
}

coro::task<bool> until(std::function<bool()> const& holds, duration patience) {
  for (duration waited{}; waited < patience; waited += 20ms) {
    if (holds()) co_return true;
    auto const slept = co_await coro::sleep_for(20ms);
    if (!slept) break;
  }
  co_return holds();
}

using swarm = std::vector<std::unique_ptr<kad::node>>;

bool all_know_all(swarm const& nodes) {
  for (auto const& a : nodes)
    for (auto const& b : nodes)
      if (a != b && !a->table().contains(a->peer_of(b->id()))) return false;
  return true;
}

void close(io::context& context, swarm const& nodes) {
  for (auto const& n : nodes) context.run(n->close());
}

}  // namespace

TEST_CASE("nodes on sockets: two islands become one swarm when a node comes that knows both") {
  io_test::on_each(io_test::real_backends(), [](io::context& context, io_test::backend const& which) {
    kad::node_options alone;
    alone.listen = *io::endpoint::parse(which.address + ":0");
    swarm nodes;
    for (int seed : {0, 4}) {
      nodes.push_back(open(context, alone));
      kad::node_options member = alone;
      member.bootstrap = nodes[static_cast<std::size_t>(seed)]->addresses();
      for (int i = 0; i < 3; ++i) nodes.push_back(open(context, member));
    }
    for (auto const& n : nodes) context.spawn(join(*n));
    swarm const* const all = &nodes;
    auto const settled = [all](std::size_t members) {
      return [all, members] {
        return std::all_of(all->begin(), all->end(), [members](auto const& n) { return n->table().size() == members; });
      };
    };
    bool const apart = context.run(until(settled(3), 10s));
    REQUIRE(apart);
    auto const put = context.run(nodes[1]->put(as_bytes("key"), as_bytes("of the first island")));
    REQUIRE(put.has_value());
    CHECK(put->ok());
    auto const before = context.run(nodes[5]->get(as_bytes("key")));
    REQUIRE(before.has_value());
    CHECK(before->outcome() == kad::get_outcome::not_found);

    kad::node_options both = alone;
    both.bootstrap = nodes[0]->addresses();
    for (kad::multiaddr const& each : nodes[4]->addresses()) both.bootstrap.push_back(each);
    nodes.push_back(open(context, both));
    context.spawn(join(*nodes.back()));
    bool const together = context.run(until([all] { return all_know_all(*all); }, 20s));
    CHECK(together);
    auto const after = context.run(nodes[5]->get(as_bytes("key")));
    REQUIRE(after.has_value());
    CHECK(after->found());
    close(context, nodes);
  });
}

TEST_CASE("nodes on sockets: at a public address some are dialled back, and only these are called public") {
  std::string const refused = io_test::in_own_network([] {
    // Addresses that count as public; a loopback device answers for the whole net of its address.
    REQUIRE(io_test::set_up("lo:1", 0x50000001));
    auto const opened = io_test::open_asio();
    REQUIRE(opened.has_value());
    io::context& context = *opened->context;
    // Each knows few of the others, so that there are some whom it has never called.
    swarm nodes;
    for (std::uint8_t i = 0; i < 60; ++i) {
      kad::node_options how;
      how.table.k = 4;
      how.replicas = 4;
      how.listen = io::endpoint::v4({80, 10, i, 1}, 4001);
      if (!nodes.empty()) how.bootstrap = nodes.front()->addresses();
      nodes.push_back(open(context, how));
      context.spawn(join(*nodes.back()));
    }
    swarm const* const all = &nodes;
    auto const verified = [all] {
      return std::count_if(all->begin(), all->end(), [](auto const& n) { return n->reachability().dialled_back; });
    };
    bool const enough = context.run(until([&verified] { return verified() >= 5; }, 60s));
    CHECK(enough);
    for (auto const& n : nodes) {
      auto const r = n->reachability();
      CAPTURE(kad::to_string(r));
      CHECK((r.now == kad::reachability::kind::open) == r.dialled_back);
      if (r.observed) CHECK(r.observed == n->addresses().front().udp_endpoint());
    }
    close(context, nodes);
  });
  if (!refused.empty()) io_test::pass_over("netns", "no network of one's own: " + refused);
}
