#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/directory/swarm_directory.hpp"
#include "kadoro/io/asio/context.hpp"
#include "nlohmann/json.hpp"
#include "request_counter.hpp"
#include "settings.hpp"

namespace kadoro_soak {

namespace {

using nlohmann::ordered_json;
using transport::message_type;

// ---- the scenario of shard_swarm, many times ------------------------------------------------------------------------

/// What one run printed; nothing if it did not come to that.
std::optional<nlohmann::json> run_scenario(std::string const& program) {
  FILE* const out = ::popen(("'" + program + "' --json").c_str(), "r");
  if (out == nullptr) return {};
  std::string text;
  char block[4096];
  while (std::size_t const n = std::fread(block, 1, sizeof block, out)) text.append(block, n);
  ::pclose(out);
  auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("steps")) return {};
  return parsed;
}

ordered_json summary(std::vector<double> all) {
  if (all.empty()) return nullptr;
  std::sort(all.begin(), all.end());
  return {{"median_ms", all[all.size() / 2]}, {"min_ms", all.front()}, {"max_ms", all.back()}, {"n", all.size()}};
}

// ---- a directory at rest --------------------------------------------------------------------------------------------

struct rest_node {
  explicit rest_node(io::context& context) : self(crypto::identity::generate(context.random())) {}

  crypto::identity self;
  request_counter asked;
  std::unique_ptr<kad::node> node;
  std::unique_ptr<directory::swarm_directory> shards;
};

/// Nine nodes, eight of them with a shard, on real sockets: what they ask within a minute in which nothing happens.
coro::task<result<ordered_json>> measure_rest(io::context& context, double seconds) {
  static constexpr std::size_t shards = 8;
  static constexpr duration calm_down = std::chrono::seconds(45);  // whoever was just met is looked at more often
  static constexpr int tries = 600;
  std::deque<rest_node> all;
  for (std::size_t i = 0; i <= shards; ++i) {
    rest_node& n = all.emplace_back(context);
    kad::node_options options;
    options.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
    options.replicas = 4;
    options.transport = n.asked.factory();
    if (i > 0) options.bootstrap = all.front().node->addresses();
    auto opened = kad::node::open(context, n.self, options);
    if (!opened) co_return fail(opened.error());
    n.node = std::move(*opened);
    if (i == 0) continue;
    auto const joined = co_await n.node->join();
    if (!joined) co_return fail(joined.error());
    directory::directory_options how;
    how.cluster = "rest";
    how.total_shards = shards;
    auto opened_directory = directory::swarm_directory::open(*n.node, how);
    if (!opened_directory) co_return fail(opened_directory.error());
    n.shards = std::move(*opened_directory);
    auto what = n.shards->describe(static_cast<std::uint32_t>(i - 1));
    auto const announced = co_await n.shards->announce(std::move(what));
    if (!announced) co_return fail(announced.error());
  }
  auto const incomplete = [](rest_node const& n) { return n.shards && !n.shards->complete(); };
  for (int i = 0; i < tries && std::any_of(all.begin(), all.end(), incomplete); ++i) {
    auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(100));
    if (!slept) break;
  }
  if (std::any_of(all.begin(), all.end(), incomplete)) co_return fail(errc::timed_out, "not complete everywhere");
  co_await coro::sleep_for(calm_down);
  std::vector<request_counter::counts> before;
  for (rest_node const& n : all) before.push_back(n.asked.asked());
  std::uint64_t fetches = 0;
  for (rest_node const& n : all) fetches -= n.shards ? n.shards->counts().fetches : 0;
  co_await coro::sleep_for(std::chrono::duration_cast<duration>(std::chrono::duration<double>(seconds)));

  request_counter::counts asked;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (auto const& [type, n] : all[i].asked.asked()) asked[type] += n;
    for (auto const& [type, n] : before[i]) asked[type] -= n;
  }
  for (rest_node const& n : all) fetches += n.shards ? n.shards->counts().fetches : 0;
  std::uint64_t total = 0;
  for (auto const& [type, n] : asked) total += n;
  std::uint64_t const lookups =
      asked[message_type::find_node] + asked[message_type::get_value] + asked[message_type::get_providers];
  ordered_json found = {{"seconds", seconds},
                        {"nodes", all.size()},
                        {"lookup_requests", lookups},
                        {"gets_of_directories", fetches},
                        {"pings", asked[message_type::ping]},
                        {"renews", asked[message_type::renew]},
                        {"watches", asked[message_type::watch]},
                        {"views", asked[message_type::view]},
                        {"all_requests", total}};
  for (rest_node& n : all) {
    if (n.shards) {
      co_await n.shards->close();
    }
  }
  for (rest_node& n : all) {
    co_await n.node->close();
  }
  co_return found;
}

}  // namespace

int run_loopback(loopback_settings const& settings) {
  std::map<std::string, std::vector<double>> steps;
  std::size_t failed = 0;
  for (std::size_t i = 0; i < settings.runs; ++i) {
    auto const run = run_scenario(settings.program);
    if (!run || !(*run)["ok"].get<bool>()) {
      ++failed;
      std::fprintf(stderr, "run %zu failed: %s\n", i + 1, run ? run->dump().c_str() : "it printed no outcome");
      if (!run) continue;
    }
    for (auto const& step : (*run)["steps"]) {
      steps[step["name"]].push_back(step["ms"]);
      if (step.contains("suspect_ms")) steps["suspect"].push_back(step["suspect_ms"]);
    }
    std::fprintf(stderr, "run %zu of %zu: all_found %.1f ms, leave %.1f ms, suspect %.1f ms\n", i + 1, settings.runs,
                 steps["all_found"].back(), steps["leave"].empty() ? 0 : steps["leave"].back(),
                 steps["suspect"].empty() ? 0 : steps["suspect"].back());
  }
  ordered_json all = {{"runs", settings.runs}, {"failed", failed}};
  for (char const* name : {"all_found", "leave", "suspect"}) all[name] = summary(steps[name]);

  bool at_rest = true;
  if (settings.rest_s > 0) {
    io::asio::context context;
    auto const rest = context.run(measure_rest(context, settings.rest_s));
    at_rest = rest && (*rest)["lookup_requests"] == 0;
    if (rest)
      all["rest"] = *rest;
    else
      std::fprintf(stderr, "kadoro-soak: %s\n", rest.error().message().c_str());
  }
  bool const quick = settings.runs == 0 || (failed == 0 && all["all_found"]["median_ms"] <= 50 &&
                                            all["leave"]["max_ms"] <= 100 && all["suspect"]["max_ms"] <= 3'000);
  all["ok"] = quick && at_rest;
  std::printf("%s\n", all.dump().c_str());
  return quick && at_rest ? exit_good : exit_bad;
}

}  // namespace kadoro_soak
