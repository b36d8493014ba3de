// One OpenDHT node, driven by lines on its standard input as kadoro_node is.

#include <opendht.h>
#include <opendht/log.h>

#include <atomic>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <set>
#include <thread>

#include "common/command.hpp"
#include "common/samples.hpp"

namespace {

using bench::command;
using bench::json;
using bench::plan;
using bench::samples;

/// Operations that are under way together. OpenDHT answers on a thread of its own, which starts the next one itself:
/// that is faster than any wake-up of ours.
class batch {
 public:
  batch(dht::DhtRunner& node, command const& line)
      : node_(node), what_(line), get_(line.word() == "get"), times_(what_.count) {
    for (std::size_t i = 0; i < what_.count; ++i) operations_.push_back(make(i));
  }

  json run() {
    times_.start();
    {
      std::lock_guard const lock(mutex_);
      for (std::size_t i = 0; i < what_.in_flight; ++i) start_next();
    }
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return times_.done() == what_.count; });
    json out = times_.report();
    if (!get_) out["receipt"] = {{"stored", copies_.load()}};
    return out;
  }

 private:
  struct one {
    std::vector<std::uint8_t> value;
    std::shared_ptr<dht::Value> to_put;  // putSigned signs it
    dht::InfoHash key;
    bench::clock::time_point began{};
    bench::clock::time_point found{};
    bool right = false;
  };

  std::shared_ptr<one> make(std::size_t index) const {
    auto const op = std::make_shared<one>();
    op->value = what_.value(index);
    op->key = what_.is_signed ? dht::InfoHash::get(what_.key(index)) : dht::InfoHash::get(op->value);
    if (!get_) op->to_put = std::make_shared<dht::Value>(op->value);
    return op;
  }

  void start_next() {
    if (next_ == what_.count) return;
    auto const op = operations_[next_++];
    op->began = bench::clock::now();
    if (get_)
      get(op);
    else if (what_.is_signed)
      node_.putSigned(op->key, op->to_put, stored(op));
    else
      node_.put(op->key, op->to_put, stored(op));
  }

  dht::DoneCallback stored(std::shared_ptr<one> const& op) {
    return [this, op](bool good, std::vector<std::shared_ptr<dht::Node>> const& holders) {
      copies_ = holders.size();
      ended(op, good);
    };
  }

  void get(std::shared_ptr<one> const& op) {
    node_.get(
        op->key,
        [op](std::shared_ptr<dht::Value> const& value) {
          if (op->right || value->data != op->value) return true;
          op->found = bench::clock::now();
          op->right = true;
          return false;  // one copy is enough
        },
        [this, op](bool good) { ended(op, good && op->right); });
  }

  void ended(std::shared_ptr<one> const& op, bool good) {
    auto const now = bench::clock::now();
    std::lock_guard const lock(mutex_);
    if (good) {
      times_.add(op->began, now);
      if (get_) times_.add_first(op->began, op->found);
    } else {
      times_.fail(get_ ? "not found" : "not stored");
    }
    start_next();
    if (times_.done() == what_.count) finished_.notify_one();
  }

  dht::DhtRunner& node_;
  plan what_;
  bool get_;
  std::mutex mutex_;
  std::condition_variable finished_;
  samples times_;
  std::vector<std::shared_ptr<one>> operations_;  // made before anything is timed
  std::size_t next_ = 0;
  std::atomic<std::size_t> copies_ = 0;  // of what was put last
};

/// The shards of a swarm: one is announced here, all are sought until they are seen.
class shard_search {
 public:
  shard_search(dht::DhtRunner& node, std::size_t own, std::size_t total) : node_(node), own_(own), total_(total) {}

  void run() {
    put();
    for (std::size_t shard = 0; shard < total_; ++shard)
      if (shard != own_) listen(shard);
    std::thread([this] { ask_until_seen(); }).detach();
  }

 private:
  static dht::InfoHash key(std::size_t shard) { return dht::InfoHash::get("shard/" + std::to_string(shard)); }

  /// `listen` is OpenDHT's own way to hear of a value as soon as it is there.
  void listen(std::size_t shard) {
    node_.listen(key(shard), [this, shard](std::vector<std::shared_ptr<dht::Value>> const& values, bool expired) {
      if (!expired && !values.empty()) seen(shard);
      return true;
    });
  }
  void seen(std::size_t shard) {
    std::lock_guard const lock(mutex_);
    if (!seen_.insert(shard).second || seen_.size() + 1 < total_) return;
    bench::tell("complete");
  }
  /// Announced it is when as many nodes hold it as a majority of four replicas.
  void put() {
    static constexpr std::size_t copies = 3;
    auto const value = std::make_shared<dht::Value>(std::vector<std::uint8_t>(120, static_cast<std::uint8_t>(own_)));
    node_.put(key(own_), value, [this](bool good, std::vector<std::shared_ptr<dht::Node>> const& holders) {
      if (good && holders.size() >= copies) return bench::tell("announced");
      std::thread([this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        put();
      }).detach();
    });
  }
  /// What `listen` misses at times, when nodes come while it starts.
  void ask_until_seen() {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      std::set<std::size_t> seen_now;
      {
        std::lock_guard const lock(mutex_);
        seen_now = seen_;
      }
      if (seen_now.size() + 1 == total_) return;
      for (std::size_t shard = 0; shard < total_; ++shard)
        if (shard != own_ && seen_now.count(shard) == 0)
          node_.get(
              key(shard),
              [this, shard](std::shared_ptr<dht::Value> const&) {
                seen(shard);
                return false;
              },
              [](bool) {});
    }
  }

  dht::DhtRunner& node_;
  std::size_t own_;
  std::size_t total_;
  std::mutex mutex_;
  std::set<std::size_t> seen_;
};

dht::SockAddr address_of(std::string const& text) {
  auto const colon = text.rfind(':');
  dht::SockAddr at;
  at.setFamily(AF_INET);
  at.setAddress(text.substr(0, colon).c_str());
  at.setPort(static_cast<in_port_t>(std::stoul(text.substr(colon + 1))));
  return at;
}

/// Tells the node of others, as a program that knows some would; it pings them.
json meet(dht::DhtRunner& node, command const& line) {
  std::vector<dht::SockAddr> others;
  std::istringstream in(line.text("nodes"));
  for (std::string one; std::getline(in, one, ',');) others.push_back(address_of(one));
  node.bootstrap(std::move(others));
  return {{"met", true}};
}

/// Further nodes in this process, to see what one takes.
json grow_crowd(dht::DhtRunner& first, command const& line) {
  static std::vector<std::unique_ptr<dht::DhtRunner>> crowd;
  auto const before = bench::usage();
  for (std::size_t i = 0; i < line.number("count", 1); ++i) {
    dht::DhtRunner::Config config;
    config.bind4 = address_of("127.0.0.1:0");
    crowd.push_back(std::make_unique<dht::DhtRunner>());
    crowd.back()->run(0, config);
    crowd.back()->bootstrap({address_of("127.0.0.1:" + std::to_string(first.getBoundPort()))});
  }
  std::this_thread::sleep_for(std::chrono::seconds(2));
  std::size_t joined = 0;
  for (auto const& each : crowd) joined += each->getNodesStats(AF_INET).good_nodes > 0 ? 1U : 0U;
  auto const after = bench::usage();
  return {{"joined", joined}, {"before", before["rss_bytes"]}, {"after", after["rss_bytes"]}};
}

json answer(dht::DhtRunner& node, command const& line) {
  if (line.word() == "crowd") return grow_crowd(node, line);
  if (line.word() == "meet") return meet(node, line);
  if (line.word() == "put" || line.word() == "get") return batch(node, line).run();
  if (line.word() == "state") return {{"peers", node.getNodesStats(AF_INET).good_nodes}};
  if (line.word() == "usage") return bench::usage();
  return {{"error", "no such command: " + line.word()}};
}

}  // namespace

int main(int argc, char** argv) {
  command const settings(argc, argv);
  bench::tell("started");
  std::string const listen = settings.text("listen", "127.0.0.1:0");
  auto const colon = listen.rfind(':');

  // Its best: no limits on requests, room for all values, 2048 bits of RSA instead of 4096 (it makes keys on
  // elliptic curves, but 2.4 does not verify what they sign).
  dht::DhtRunner::Config config;
  auto& of_node = config.dht_config.node_config;
  of_node.max_req_per_sec = -1;
  of_node.max_peer_req_per_sec = -1;
  of_node.max_searches = -1;
  of_node.max_store_size = -1;
  of_node.max_store_keys = -1;
  if (settings.text("identity") == "yes") config.dht_config.id = dht::crypto::generateIdentity("bench", {}, 2048);
  dht::SockAddr const at = address_of(listen);
  config.bind4 = at;

  dht::DhtRunner node;
  node.run(at.getPort(), config);
  bench::say({{"address", listen.substr(0, colon) + ":" + std::to_string(node.getBoundPort())},
              {"backend", std::string("opendht ") + dht::version()}});
  std::string const seed = settings.text("bootstrap");
  if (!seed.empty()) node.bootstrap(address_of(seed));

  std::unique_ptr<shard_search> shards;
  if (std::size_t const total = settings.number("shards"); total > 0) {
    shards = std::make_unique<shard_search>(node, settings.number("shard"), total);
    shards->run();
  }
  std::string line;
  while (std::getline(std::cin, line) && line != "quit") bench::say(answer(node, command(line)));
  std::cout.flush();
  std::_Exit(0);  // without the goodbyes of hundreds of values
}
