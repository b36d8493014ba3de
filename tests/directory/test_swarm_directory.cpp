#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "kad/simulated_swarm.hpp"
#include "kadoro/directory/status.hpp"
#include "kadoro/directory/swarm_directory.hpp"

using namespace kadoro;
using namespace kadoro::directory;
using namespace std::chrono_literals;
using kind = directory_event::kind;
using loss = directory_event::loss;

namespace {

constexpr std::uint32_t shard_count = 8;

struct timed_event {
  time_point at;
  directory_event what;
};

struct recorder final : directory_observer {
  explicit recorder(coro::scheduler& of) : clock(of) {}
  void on_directory_event(directory_event const& event) override { events.push_back({clock.now(), event}); }

  timed_event const* find(kind what, peer_id const& holder, time_point after) const {
    for (timed_event const& e : events)
      if (e.what.what == what && e.what.holder == holder && e.at >= after) return &e;
    return nullptr;
  }

  coro::scheduler& clock;
  std::vector<timed_event> events;
};

/// One rendezvous (index 0), and nodes that hold a shard each.
struct shard_swarm : simulated_swarm {
  explicit shard_swarm(std::uint64_t seed) : simulated_swarm(seed) { add_member(); }
  ~shard_swarm() {
    for (std::size_t i = 0; i < directories.size(); ++i)
      if (directories[i] && !hosts[i]->crashed()) hosts[i]->run(directories[i]->close());
  }

  void add_member() {
    kad::node_options options;
    options.replicas = 4;
    add(options);
    observers.push_back(std::make_unique<recorder>(world));
    directories.push_back(nullptr);
    shards.push_back(0);
  }

  std::size_t add_holder(std::uint32_t shard, bool loaded = true) {
    add_member();
    std::size_t const index = nodes.size() - 1;
    shards[index] = shard;
    work(index, loaded);
    return index;
  }

  /// The node joins and announces its shard.
  void work(std::size_t index, bool loaded = true) {
    directory_options options;
    options.cluster = "lab";
    options.total_shards = shard_count;
    directories[index] = std::move(swarm_directory::open(*nodes[index], options, observers[index].get()).value());
    hosts[index]->spawn(announce_and_join(*nodes[index], *directories[index], shards[index], loaded));
  }

  static coro::task<void> announce_and_join(kad::node& n, swarm_directory& d, std::uint32_t shard, bool loaded) {
    auto const joined = co_await n.join();
    CHECK(joined.has_value());
    auto what = d.describe(shard);
    what.capabilities.shard_loaded = loaded;
    auto const receipt = co_await d.announce(std::move(what));
    CHECK(receipt.has_value());
    if (!receipt) co_return;
    CAPTURE(receipt->explain());
    CAPTURE(receipt->steps().to_text());
    CHECK(receipt->ok());
  }

  void fill() {
    for (std::uint32_t i = 0; i < shard_count; ++i) add_holder(i);
  }

  bool all_complete() const {
    for (std::size_t i = 1; i < directories.size(); ++i)
      if (directories[i] && !directories[i]->complete()) return false;
    return true;
  }

  /// Whether it is so within `limit` from now.
  template <class Condition>
  bool within(duration limit, Condition condition) {
    time_point const end = world.now() + limit;
    world.run_until([&] { return condition() || world.now() > end; });
    return condition();
  }

  void leave(std::size_t index) {
    auto const gone = hosts[index]->run(directories[index]->withdraw());
    CHECK(gone.has_value());
    hosts[index]->run(directories[index]->close());
    hosts[index]->run(nodes[index]->close());
  }

  void kill(std::size_t index) {
    directories[index].reset();
    crash(index);
  }

  std::vector<std::unique_ptr<recorder>> observers;
  std::vector<std::unique_ptr<swarm_directory>> directories;
  std::vector<std::uint32_t> shards;
};

}  // namespace

TEST_CASE("directory: nodes that start at the same instant find each other's shards") {
  shard_swarm swarm(1);
  swarm.fill();
  CHECK(swarm.within(1s, [&] { return swarm.all_complete(); }));
  CHECK(swarm.within(3s, [&] { return swarm.directories[1]->ready() && swarm.directories[3]->ready(); }));
  swarm.world.run_for(1s);  // every announcement has been answered for
  auto const view = swarm.directories[3]->view();
  CHECK(view.complete);
  CHECK(view.missing().empty());
  CHECK(view.replicas() == shard_count);
  for (std::uint32_t i = 0; i < shard_count; ++i) {
    REQUIRE(view.shards[i].size() == 1);
    auto const& holder = view.shards[i].front();
    CHECK(holder.peer == swarm.nodes[i + 1]->id());
    CHECK(holder.own == (i == 2));
    CHECK(holder.counts());
    CHECK(holder.loaded);
  }
}

TEST_CASE("directory: the announcements are read too, and at rest nothing is asked any more") {
  shard_swarm swarm(2);
  swarm.fill();
  swarm.world.run_for(5s);
  auto const fetches = swarm.directories[1]->counts().fetches;
  auto const changes = swarm.directories[1]->counts().changes;
  for (auto const& holders : swarm.directories[1]->view().shards) {
    REQUIRE(holders.size() == 1);
    if (holders.front().own) continue;
    REQUIRE(holders.front().details.has_value());
    CHECK(holders.front().details->model_name == "llama-8b");
  }
  swarm.world.run_for(20s);
  CHECK(swarm.directories[1]->counts().fetches == fetches);
  CHECK(swarm.directories[1]->counts().changes == changes);
  CHECK(swarm.directories[1]->complete());
}

TEST_CASE("directory: an early node waits, says why, and finds the others when they come") {
  shard_swarm swarm(3);
  swarm.add_holder(0);
  swarm.world.run_for(60s);
  swarm_directory const& early = *swarm.directories[1];
  CHECK_FALSE(early.complete());
  CHECK(early.view().missing().size() == shard_count - 1);
  REQUIRE(early.view().why_missing.count(5) == 1);
  CHECK(early.view().why_missing.at(5) == "not announced yet: 1 peer asked, none holds it");
  for (std::uint32_t i = shard_count; i-- > 1;) {
    swarm.add_holder(i);
    swarm.world.run_for(700ms);
  }
  CHECK(swarm.within(1s, [&] { return swarm.all_complete(); }));
}

TEST_CASE("directory: two holders of one shard are both listed, for good, and one may go") {
  shard_swarm swarm(4);
  swarm.fill();
  std::size_t const second = swarm.add_holder(3);
  CHECK(swarm.within(2s, [&] { return swarm.directories[1]->holders(3).size() == 2; }));
  swarm.world.run_for(60s);
  for (std::size_t i = 1; i < swarm.directories.size(); ++i) CHECK(swarm.directories[i]->holders(3).size() == 2);
  swarm.leave(second);
  CHECK(swarm.within(2s, [&] { return swarm.directories[1]->holders(3).size() == 1; }));
  CHECK(swarm.directories[1]->complete());
}

TEST_CASE("directory: who leaves is gone everywhere within 100 ms, and comes back") {
  shard_swarm swarm(5);
  swarm.fill();
  REQUIRE(swarm.within(2s, [&] { return swarm.all_complete(); }));
  swarm.world.run_for(5s);
  time_point const start = swarm.world.now();
  swarm.leave(6);
  peer_id const who = swarm.nodes[6]->id();
  swarm.directories[6].reset();
  swarm.nodes[6].reset();
  swarm.world.run_until(start + 100ms);
  for (std::size_t i = 1; i < swarm.directories.size(); ++i) {
    if (i == 6) continue;
    auto const* const lost = swarm.observers[i]->find(kind::lost, who, start);
    REQUIRE(lost != nullptr);
    CHECK(lost->what.reason == loss::withdrawn);
    CHECK(lost->what.shard == 5);
    CHECK_FALSE(swarm.directories[i]->complete());
  }
  kad::node_options options;
  options.replicas = 4;
  swarm.start(6, options);
  swarm.work(6);
  CHECK(swarm.within(2s, [&] { return swarm.all_complete(); }));
  swarm.world.run_for(1s);
}

TEST_CASE("directory: who crashes is a suspect within three seconds, and gone when its record has run out") {
  shard_swarm swarm(6);
  swarm.fill();
  REQUIRE(swarm.within(2s, [&] { return swarm.all_complete(); }));
  for (int round = 0; round < 3; ++round) {
    swarm.world.run_for(2s + round * 1700ms);
    peer_id const who = swarm.nodes[4]->id();
    time_point const start = swarm.world.now();
    swarm.kill(4);
    swarm.world.run_until(start + 3s);
    for (std::size_t i = 1; i < swarm.directories.size(); ++i) {
      if (i == 4) continue;
      CHECK(swarm.observers[i]->find(kind::suspect, who, start) != nullptr);
      CHECK_FALSE(swarm.directories[i]->ready());
      CHECK(swarm.directories[i]->holders(3).size() == 1);
    }
    swarm.world.run_until(start + 11s);
    for (std::size_t i = 1; i < swarm.directories.size(); ++i) {
      if (i == 4) continue;
      auto const* const lost = swarm.observers[i]->find(kind::lost, who, start);
      REQUIRE(lost != nullptr);
      CHECK(lost->what.reason == loss::expired);
      CHECK(swarm.observers[i]->find(kind::suspect, who, start)->at < lost->at);
      CHECK(swarm.directories[i]->holders(3).empty());
    }
    kad::node_options options;
    options.replicas = 4;
    swarm.start(4, options);
    swarm.work(4);
    CHECK(swarm.within(3s, [&] { return swarm.all_complete() && swarm.directories[1]->ready(); }));
    swarm.world.run_for(1s);  // it is found as soon as one of its two records is stored
  }
}

TEST_CASE("directory: a holder that is cut off for a while is doubted, and recovers") {
  shard_swarm swarm(7);
  swarm.fill();
  REQUIRE(swarm.within(2s, [&] { return swarm.all_complete(); }));
  swarm.world.run_for(3s);
  time_point const start = swarm.world.now();
  peer_id const who = swarm.nodes[2]->id();
  swarm.hosts[2]->set_online(false);
  swarm.world.run_for(3s);
  CHECK_FALSE(swarm.directories[1]->complete());
  CHECK_FALSE(swarm.directories[2]->complete());
  swarm.hosts[2]->set_online(true);
  CHECK(swarm.within(5s, [&] { return swarm.all_complete(); }));
  CHECK(swarm.observers[1]->find(kind::suspect, who, start) != nullptr);
  CHECK(swarm.observers[1]->find(kind::recovered, who, start) != nullptr);
  CHECK(swarm.observers[1]->find(kind::lost, who, start) == nullptr);
}

TEST_CASE("directory: the swarm goes on without its rendezvous") {
  shard_swarm swarm(8);
  swarm.fill();
  REQUIRE(swarm.within(2s, [&] { return swarm.all_complete(); }));
  swarm.world.run_for(1s);
  swarm.crash(0);
  swarm.world.run_for(30s);
  CHECK(swarm.all_complete());
}

TEST_CASE("directory: marks of others that make no sense are refused, counted, and named") {
  shard_swarm swarm(9);
  swarm.add_holder(0);
  swarm.add_member();
  kad::put_options how;
  for (char const* text : {"nonsense", R"({"s":1,"n":9})", R"({"s":8,"n":8})"}) {
    auto const before = swarm.directories[1]->counts().refused_records;
    swarm.put(2, shards_key("lab"), text, how);
    CHECK(swarm.within(3s, [&] { return swarm.directories[1]->counts().refused_records > before; }));
    CHECK(swarm.directories[1]->last_refusal().find(swarm.nodes[2]->id().to_string()) != std::string::npos);
  }
  CHECK(swarm.directories[1]->view().replicas() == 1);
}

TEST_CASE("directory: options that make no sense are refused, naming them") {
  shard_swarm swarm(10);
  auto const problem = [&swarm](directory_options o) {
    auto const opened = swarm_directory::open(*swarm.nodes[0], std::move(o));
    return opened ? std::string() : opened.error().message();
  };
  directory_options o;
  o.cluster = "a/b";
  CHECK(problem(o).find("a/b") != std::string::npos);
  o = {};
  o.total_shards = 0;
  CHECK(problem(o).find("total shards 0") != std::string::npos);
  o = {};
  o.total_layers = 3;
  CHECK(problem(o).find("total layers 3") != std::string::npos);
  o = {};
  o.model_name.clear();
  CHECK(problem(o).find("model name") != std::string::npos);
  o = {};
  o.contact_interval = duration::zero();
  CHECK(problem(o).find("positive") != std::string::npos);
}

TEST_CASE("directory: the status block and its JSON say who holds what") {
  shard_swarm swarm(11);
  for (std::uint32_t i = 0; i < shard_count; ++i)
    if (i != 6) swarm.add_holder(i, i != 2);
  swarm.world.run_for(5s);
  auto local = local_status::of(*swarm.nodes[1], time_point());
  local.shard_id = 0;
  local.shard_loaded = true;
  local.stored_on = "stored on 4 of 3 needed";
  local.last_error = "none to speak of";
  auto const view = swarm.directories[1]->view();
  std::string const text = status_text(view, local);
  auto const says = [&text](std::string const& what) { return text.find(what) != std::string::npos; };
  CHECK(says("Shard ID: 0 / 7"));
  CHECK(says("Mode: server   Backend: sim"));
  CHECK(says("Reachability: " + kad::to_string(swarm.nodes[1]->reachability())));
  CHECK(says("Discovered Shards: 7 / 8"));
  CHECK(says("Pipeline Complete: ✗ NO"));
  CHECK(says("★ LOCAL  Peer ID: " + swarm.nodes[1]->id().to_string()));
  CHECK(says("✓ ONLINE + LOADED  Peer ID: " + swarm.nodes[2]->id().to_string() + "  Layers: 4-8"));
  CHECK(says("○ ONLINE (not loaded)  Peer ID: " + swarm.nodes[3]->id().to_string()));
  CHECK(says("Shard 6: ✗ OFFLINE  not announced yet: "));
  CHECK(says("Announced: stored on 4 of 3 needed"));
  CHECK(says("Last Error: none to speak of"));
  CHECK(says("Online Shards: 7 / 8 (87%)"));
  CHECK(says("Loaded Shards: 6 / 8 (75%)"));

  auto const json = nlohmann::json::parse(status_json(view, local));
  CHECK(json["peer_id"] == swarm.nodes[1]->id().to_string());
  CHECK(json["shard_id"] == 0);
  CHECK(json["discovered_shards"] == 7);
  CHECK(json["expected_shards"] == 8);
  CHECK(json["is_complete"] == false);
  CHECK(json["swarm_ready"] == false);
  CHECK(json["missing_shards"] == nlohmann::json::array({6}));
  CHECK(json["shard_statuses"]["0"]["is_local"] == true);
  CHECK(json["shard_statuses"]["6"]["discovered"] == false);
  CHECK(json["shard_statuses"]["3"]["holders"][0]["announcement"]["layer_start"] == 12);
  CHECK(json["mode"] == "server");
  CHECK(json["reachability"]["verdict"] == "private");
  CHECK(json["reachability"]["agreeing"] >= 2);
  CHECK(json["reachability"]["dialled_back"] == false);
}
