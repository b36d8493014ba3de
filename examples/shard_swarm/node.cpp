#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "bench.hpp"
#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/directory/status.hpp"
#include "kadoro/directory/swarm_directory.hpp"
#include "member.hpp"

namespace shard_swarm {

namespace {

using directory::directory_event;

duration seconds(double s) { return std::chrono::duration_cast<duration>(std::chrono::duration<double>(s)); }

/// A node of the swarm at work.
class shard_node final : private directory::directory_observer {
 public:
  shard_node(io::context& context, member& self, node_settings const& settings)
      : context_(context), self_(self), settings_(settings), work_(context) {}

  coro::task<int> run() {
    int code = exit_ok;
    coro::event stop;
    work_.spawn(await_stop(context_, stop));
    co_await coro::sleep_for(duration::zero());  // from now on a signal is heard
    auto const begun = begin();
    if (begun) {
      work_.spawn(announce(*this));  // first: the first contacts carry its questions
      work_.spawn(await_stored(*this));
      work_.spawn(join(*this));
      work_.spawn(bench(*this));
      if (settings_.status_interval_s > 0) work_.spawn(report(*this));
      co_await stop.wait();
    } else {
      code = complain(begun.error());
    }
    work_.request_cancel();
    co_await work_.join();
    if (shards_) {
      co_await withdraw();
      co_await shards_->close();
    }
    co_await self_.leave();
    co_return code;
  }

 private:
  result<void> begin() {
    directory::directory_options options;
    options.cluster = settings_.cluster;
    options.model_name = settings_.model_name;
    options.total_shards = settings_.total_shards;
    options.total_layers = settings_.total_layers;
    options.lifetime = seconds(settings_.lifetime_s);
    auto const introduced = self_.introduce(settings_);
    if (!introduced) return introduced;
    auto shards = directory::swarm_directory::open(self_.node(), std::move(options), this);
    if (!shards) return fail(shards.error());
    shards_ = std::move(*shards);
    return {};
  }

  directory::shard_announcement describe() const {
    auto what = shards_->describe(settings_.shard_id);
    what.capabilities.cpu_cores = std::thread::hardware_concurrency();
    what.capabilities.shard_loaded = !shard_file().empty();
    if (char const* text = std::getenv("NODE_GPU_MEMORY_MB"))
      what.capabilities.gpu_memory_mb = std::strtoull(text, nullptr, 10);
    if (char const* text = std::getenv("NODE_GPU_COMPUTE_UNITS"))
      what.capabilities.gpu_compute_units = static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
    return what;
  }

  /// Empty if this node has no file for its shard.
  std::string shard_file() const {
    if (settings_.shards_dir.empty()) return {};
    std::string const path = settings_.shards_dir + "/shard-" + std::to_string(settings_.shard_id) + ".gguf";
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored) ? path : std::string();
  }

  static coro::task<void> join(shard_node& n) {
    duration wait = std::chrono::milliseconds(200);
    for (;;) {
      auto const joined = co_await n.self_.node().join();
      if (joined) {
        n.self_.events().write("joined", {{"servers", n.self_.node().servers()}});
        co_return;
      }
      n.note_error(joined.error().message());
      auto const slept = co_await coro::sleep_for(wait);
      if (!slept) co_return;
      wait = std::min<duration>(wait * 2, std::chrono::seconds(5));
    }
  }

  /// Announces, and again as long as a majority of those who could store it have not; from then on the node itself
  /// keeps it alive.
  static coro::task<void> announce(shard_node& n) {
    duration wait = std::chrono::seconds(1);
    for (;;) {
      auto what = n.describe();
      auto const receipt = co_await n.shards_->announce(std::move(what));
      if (receipt)
        n.note_receipt(receipt->explain());
      else
        n.note_error(receipt.error().message());
      auto const stored = co_await coro::with_deadline(n.wait(n.stored_), wait);
      if (stored || stored.error() != errc::timed_out) co_return;
      wait = std::min<duration>(wait * 2, std::chrono::seconds(8));
    }
  }

  /// It is stored before the put that announces it has ended: that waits for whoever may be closer still.
  static coro::task<void> await_stored(shard_node& n) {
    static constexpr duration shortest = std::chrono::milliseconds(1);
    static constexpr duration longest = std::chrono::milliseconds(100);
    time_point const begun = n.context_.now();
    while (!n.announced()) {
      auto const slept = co_await coro::sleep_for(std::clamp((n.context_.now() - begun) / 64, shortest, longest));
      if (!slept) co_return;
    }
    n.stored_.set();
    // Where few servers were known that was less than it is to be.
    static constexpr duration patience = std::chrono::seconds(10);
    std::size_t const needed = kad::quorum::majority().needed(n.self_.node().replicas());
    time_point const announced = n.context_.now();
    while (n.shards_->stored_by().size() < needed && n.context_.now() - announced < patience) {
      auto const slept = co_await coro::sleep_for(std::clamp((n.context_.now() - begun) / 64, shortest, longest));
      if (!slept) co_return;
    }
    std::size_t const stored = n.shards_->stored_by().size();
    if (stored >= needed) n.self_.events().write("replicated", {{"stored", stored}, {"needed", needed}});
  }

  void note_receipt(std::string const& text) {
    if (stored_on_ == text) return;
    stored_on_ = text;
    say("[DHT] shard " + std::to_string(settings_.shard_id) + " " + text);
    changed_.set();
  }

  /// True when the announcement is held by a majority of the servers that there are, or of the replicas wanted.
  bool announced() {
    std::size_t const replicas = self_.node().replicas();
    // Before this node has looked around it does not know how many servers there are: then all replicas are expected.
    std::size_t const population = self_.node().settled() ? std::min(replicas, self_.node().servers()) : replicas;
    std::size_t const needed = kad::quorum::majority().needed(population);
    std::size_t const stored = shards_->stored_by().size();
    if (stored < needed) return false;
    self_.events().write(
        "announced", {{"r", population}, {"stored", stored}, {"needed", needed}, {"degraded", population < replicas}});
    note_receipt("announced: stored on " + std::to_string(stored) + " of " + std::to_string(needed) + " needed");
    return true;
  }

  static coro::task<void> bench(shard_node& n) {
    auto const complete = co_await n.complete_.wait();
    if (!complete) co_return;
    co_await run_bench(n.self_, n.settings_);
  }

  /// A status block after changes, at most every two seconds, and now and then without.
  static coro::task<void> report(shard_node& n) {
    static constexpr duration gather = std::chrono::milliseconds(500);
    static constexpr duration pause = std::chrono::milliseconds(1500);
    duration const interval = seconds(n.settings_.status_interval_s);
    std::map<std::uint32_t, std::string> why_missing;  // as the last block had it
    time_point next = n.context_.now() + interval;
    for (;;) {
      auto const woken = co_await coro::with_deadline(wait(n.changed_), pause);
      if (!woken && woken.error() != errc::timed_out) co_return;
      bool const news = !n.shards_->complete() && n.shards_->view().why_missing != why_missing;
      if (!woken && !news && n.context_.now() < next) continue;
      auto const gathered = co_await coro::sleep_for(gather);
      if (!gathered) co_return;
      n.changed_.reset();
      why_missing = n.shards_->view().why_missing;
      next = n.context_.now() + interval;
      say(n.status());
      auto const paused = co_await coro::sleep_for(pause);
      if (!paused) co_return;
    }
  }

  static coro::task<result<void>> wait(coro::event& what) { co_return co_await what.wait(); }

  std::string status() {
    auto local = directory::local_status::of(self_.node(), self_.started());
    local.shard_id = settings_.shard_id;
    local.shard_file = shard_file();
    local.shard_loaded = !local.shard_file.empty();
    local.stored_on = stored_on_;
    local.last_error = !shards_->last_refusal().empty() ? shards_->last_refusal() : last_error_;
    return directory::status_text(shards_->view(), local);
  }

  coro::task<void> withdraw() {
    auto const gone = co_await coro::with_deadline(shards_->withdraw(), std::chrono::seconds(1));
    if (!gone) say("withdrawing the announcement: " + gone.error().message());
  }

  void note_error(std::string const& what) {
    if (last_error_ == what) return;  // said already
    last_error_ = what;
    say("[ERROR] " + what);
    changed_.set();
  }

  void on_directory_event(directory_event const& e) override {
    std::string const name(to_string(e.what));
    nlohmann::ordered_json fields = nlohmann::ordered_json::object();
    switch (e.what) {
      case directory_event::kind::found:
      case directory_event::kind::suspect:
      case directory_event::kind::recovered:
      case directory_event::kind::lost:
        fields["shard"] = e.shard;
        fields["holder"] = e.holder.to_string();
        if (e.what == directory_event::kind::lost) fields["reason"] = to_string(e.reason);
        break;
      case directory_event::kind::complete: complete_.set(); [[fallthrough]];
      default: fields["shards"] = settings_.total_shards;
    }
    self_.events().write(name, fields);
    std::string line = "[SWARM] " + name;
    if (fields.contains("holder")) line += " shard " + std::to_string(e.shard) + " at " + e.holder.to_string();
    if (e.what == directory_event::kind::lost) line += " (" + std::string(to_string(e.reason)) + ")";
    say(line);
    changed_.set();
  }

  io::context& context_;
  member& self_;
  node_settings const& settings_;
  std::unique_ptr<directory::swarm_directory> shards_;
  coro::event complete_;
  coro::event changed_;
  coro::event stored_;
  std::string stored_on_;
  std::string last_error_;
  coro::scope work_;
};

}  // namespace

int run_node(node_settings const& settings) {
  auto const opened = open_context(settings);
  if (!opened) return complain(opened.error());
  io::context& context = **opened;
  auto self = member::open(context, settings);
  if (!self) return complain(self.error());
  shard_node node(context, **self, settings);
  return context.run(node.run());
}

}  // namespace shard_swarm
