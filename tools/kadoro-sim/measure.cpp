#include "measure.hpp"

#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <vector>

#include "inhabitant.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;
using real_clock = std::chrono::steady_clock;

namespace {

coro::task<void> join(inhabitant& who, std::uint32_t shard) {
  for (;;) {
    auto const joined = co_await who.node->join();
    if (joined) break;
  }
  who.joined = true;
  if (!who.shards) co_return;
  auto what = who.shards->describe(shard);
  auto const receipt = co_await who.shards->announce(std::move(what));
  static_cast<void>(receipt);
}

double seconds_since(real_clock::time_point begin) {
  return std::chrono::duration<double>(real_clock::now() - begin).count();
}

double peak_mib() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) / 1024;
}

void close_all(std::vector<std::unique_ptr<inhabitant>>& all) {
  for (auto const& one : all) {
    if (one->shards) one->host.run(one->shards->close());
    one->host.run(one->node->close());
  }
}

}  // namespace

nlohmann::ordered_json measure_rest(std::size_t nodes, double minutes) {
  io::sim::world world(1);
  std::vector<std::unique_ptr<inhabitant>> all;
  for (std::size_t i = 0; i <= nodes; ++i) {
    all.push_back(std::make_unique<inhabitant>(world, i));
    kad::node_options options;
    options.replicas = 4;
    if (i > 0) options.bootstrap = {all[0]->where()};
    all[i]->open(options);
    if (i == 0) continue;
    directory::directory_options shards;
    shards.total_shards = static_cast<std::uint32_t>(nodes);
    all[i]->shards = std::move(directory::swarm_directory::open(*all[i]->node, shards).value());
    all[i]->host.spawn(join(*all[i], static_cast<std::uint32_t>(i - 1)));
  }
  world.run_for(1min);
  bool complete = true;
  for (std::size_t i = 1; i <= nodes; ++i) complete = complete && all[i]->shards->complete();

  std::uint64_t const events = world.events();
  std::uint64_t const sent = world.counters().sent;
  auto const begin = real_clock::now();
  auto const length = std::chrono::duration<double>(minutes * 60);
  world.run_for(std::chrono::duration_cast<duration>(length));
  double const real = seconds_since(begin);
  nlohmann::ordered_json out = {
      {"nodes", nodes},
      {"complete", complete},
      {"simulated_hours", minutes / 60},
      {"seconds", real},
      {"hours_per_minute", minutes / 60 / (real / 60)},
      {"events_per_s", static_cast<double>(world.events() - events) / real},
      {"datagrams_per_simulated_s", static_cast<double>(world.counters().sent - sent) / length.count()}};
  close_all(all);
  return out;
}

nlohmann::ordered_json measure_crowd(std::size_t nodes) {
  auto const begin = real_clock::now();
  io::sim::world world(1);
  std::vector<std::unique_ptr<inhabitant>> all;
  for (std::size_t i = 0; i < nodes; ++i) {
    all.push_back(std::make_unique<inhabitant>(world, i));
    kad::node_options options;
    if (i > 0) options.bootstrap = {all[0]->where()};
    all[i]->open(options);
    if (i > 0) all[i]->host.spawn(join(*all[i], 0));
    world.run_for(duration(2s) / static_cast<duration::rep>(nodes));
  }
  all[0]->joined = true;
  std::size_t joined = 0;
  world.run_until([&] {  // in the order of starting, so that each is looked at once
    while (joined < nodes && all[joined]->joined && (joined == 0 || all[joined]->node->settled())) ++joined;
    return joined == nodes;
  });
  double const real = seconds_since(begin);
  std::size_t contacts = 0;
  for (auto const& one : all) contacts += one->node->table().size();
  nlohmann::ordered_json out = {
      {"nodes", nodes},
      {"seconds", real},
      {"simulated_s", std::chrono::duration<double>(world.now().time_since_epoch() - std::chrono::hours(1000)).count()},
      {"events", world.events()},
      {"events_per_s", static_cast<double>(world.events()) / real},
      {"contacts_per_node", static_cast<double>(contacts) / static_cast<double>(nodes)},
      {"peak_mib", peak_mib()}};
  for (auto const& one : all) one->host.crash();
  return out;
}

}  // namespace kadoro_sim
