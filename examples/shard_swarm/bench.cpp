#include "bench.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/quorum.hpp"

namespace shard_swarm {

namespace {

constexpr std::size_t value_bytes = 300;

/// Latencies of one kind of operation.
class stopwatch {
 public:
  void start() { began_ms_ = monotonic_ms(); }
  void stop(bool ok) {
    if (ok)
      ms_.push_back(monotonic_ms() - began_ms_);
    else
      ++failures_;
  }
  void fail(std::size_t more) { failures_ += more; }
  std::size_t done() const noexcept { return ms_.size() + failures_; }

  void report(event_log& to, char const* op) {
    std::sort(ms_.begin(), ms_.end());
    nlohmann::ordered_json const line = {{"op", op},          {"n", done()},       {"failures", failures_},
                                         {"p50", rank(0.50)}, {"p90", rank(0.90)}, {"p99", rank(0.99)}};
    to.write("bench", line);
    say("[BENCH] " + line.dump());
  }

 private:
  /// Nearest rank; null where nothing was measured.
  nlohmann::ordered_json rank(double share) const {
    if (ms_.empty()) return nullptr;
    auto const at = static_cast<std::size_t>(std::ceil(share * static_cast<double>(ms_.size()))) - 1;
    return std::round(ms_[at] * 1e3) / 1e3;
  }

  std::vector<double> ms_;
  std::size_t failures_ = 0;
  double began_ms_ = 0;
};

std::string bench_key(node_settings const& s, std::uint32_t shard, std::size_t i) {
  return "/bench/" + s.cluster + "/" + std::to_string(shard) + "/" + std::to_string(i);
}

bool held_here(kad::node& node, std::string const& key) {
  std::vector<kad::record_store::held> held;
  node.store().get(as_bytes(key), node.context().now(), held);
  return !held.empty();
}

coro::task<void> puts(member& self, node_settings const& s) {
  kad::node& node = self.node();
  stopwatch watch;
  kad::put_options how;
  how.quorum = *kad::quorum::parse(s.quorum);
  how.durable = s.durable;
  bytes value(value_bytes);
  for (std::size_t i = 0; i < s.put; ++i) {
    std::string const key = bench_key(s, s.shard_id, i);
    node.context().random().fill(value);
    watch.start();
    auto const receipt = co_await node.put(as_bytes(key), value, how);
    bool const ok = receipt && receipt->ok() && (!s.durable || receipt->durable() >= receipt->needed());
    watch.stop(ok);
    if (!ok) say("put of " + key + ": " + (receipt ? receipt->explain() : receipt.error().message()));
  }
  watch.report(self.events(), "put");
}

coro::task<bool> exists(kad::node& node, std::string key) {
  auto const got = co_await node.get(as_bytes(key));
  co_return got && got->found();
}

/// Untimed: until key `i` of `from` can be found; gives how many keys are known to be there. They were put in order, so
/// one far ahead speaks for all before it. `nothing` if it does not come.
coro::task<std::size_t> wait_for_key(member& self, node_settings const& s, std::uint32_t from, std::size_t i) {
  static constexpr std::size_t ahead = 64;
  static constexpr duration patience = std::chrono::seconds(60);
  io::context& context = self.node().context();
  time_point const give_up = context.now() + patience;
  while (context.now() < give_up) {
    std::string const far = bench_key(s, from, i + ahead);
    bool found = co_await exists(self.node(), far);
    if (found) co_return i + ahead + 1;
    std::string const near = bench_key(s, from, i);
    found = co_await exists(self.node(), near);
    if (found) co_return i + 1;
    auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(20));
    if (!slept) break;
  }
  co_return 0;
}

coro::task<void> gets(member& self, node_settings const& s) {
  kad::node& node = self.node();
  std::uint32_t const from = s.get_from ? *s.get_from : (s.shard_id + 1) % s.total_shards;
  stopwatch watch;
  std::size_t there = 0;
  for (std::size_t i = 0; watch.done() < s.get; ++i) {
    std::string const key = bench_key(s, from, i);
    if (held_here(node, key)) continue;  // that would be no get over the network
    if (i >= there) {
      there = co_await wait_for_key(self, s, from, i);
      if (there == 0) {
        say("get: " + key + " does not appear");
        watch.fail(s.get - watch.done());
        break;
      }
    }
    watch.start();
    auto const got = co_await node.get(as_bytes(key));
    bool const ok = got && got->found() && got->records().front().value.value.size() == value_bytes;
    watch.stop(ok);
    if (!ok) say("get of " + key + ": " + (got ? got->explain() : got.error().message()));
  }
  watch.report(self.events(), "get");
}

}  // namespace

coro::task<void> run_bench(member& self, node_settings const& settings) {
  coro::environment const environment = co_await coro::this_environment();
  if (settings.put > 0) {
    co_await puts(self, settings);
  }
  if (settings.get > 0 && !environment.cancel().requested()) {
    co_await gets(self, settings);
  }
}

}  // namespace shard_swarm
