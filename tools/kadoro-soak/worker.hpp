#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "clock.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/kad/node.hpp"
#include "nlohmann/json.hpp"
#include "settings.hpp"

namespace kadoro_soak {

using nlohmann::ordered_json;

/// The words of this process to its parent: one JSON object a line on standard output.
class reporter {
 public:
  ~reporter() { flush(); }
  /// With the next flush.
  void say(ordered_json const& line);
  /// At once: the parent must know before anybody can see what follows.
  void say_now(ordered_json const& line);
  void flush();

 private:
  std::string waiting_;
};

/// A node under load. Says what it begins to put, and how every operation ended.
class worker {
 public:
  worker(io::context& context, kad::node& node, worker_settings const& settings);

  /// Until SIGTERM.
  coro::task<int> run();

 private:
  /// What it publishes, or has withdrawn, in its own slot of a key.
  struct slot {
    std::string name;  ///< of the key, also for people
    std::size_t value_bytes = 0;
    bool durable = false;
    bool content = false;
    bool busy = false;
    bool published = false;  ///< by this process
  };
  /// What a watch has told of a publisher.
  struct seen {
    std::uint64_t sequence = 0;
    bool live = false;
  };
  struct watched {
    std::string key;
    std::map<std::string, seen> view;
    bool caught_up = false;
    std::string explained;
  };
  struct open_operation {
    std::string what;
    double begun_ms = 0;
  };

  static coro::task<void> join(worker& w);
  static coro::task<void> load(worker& w);
  static coro::task<void> report(worker& w);
  static coro::task<void> put(worker& w, slot& into, bool withdraw);
  static coro::task<void> get(worker& w, std::string key, bool majority);
  static coro::task<void> get_providers(worker& w, std::string content);
  static coro::task<void> follow(worker& w, watched& of);
  static coro::task<void> check(worker& w, watched& of);

  void start_something();
  void start_put(std::vector<slot>& among, std::size_t first, std::size_t count, bool withdraw);
  std::string any_key();
  std::uint64_t begin(std::string what);
  void end(std::uint64_t operation) { open_.erase(operation); }
  ordered_json got(std::uint64_t id, char const* what, std::string const& key, bool majority, double begun) const;

  io::context& context_;
  kad::node& node_;
  worker_settings const& settings_;
  chacha20_random random_;
  reporter out_;
  std::vector<slot> own_;
  std::vector<slot> shared_;
  std::vector<slot> contents_;
  std::map<std::string, watched> watches_;
  std::map<std::uint64_t, open_operation> open_;
  std::uint64_t next_operation_ = 1;
  std::uint64_t skipped_ = 0;  ///< operations that found too many others open
  coro::scope work_;
};

/// The end of a peer id: enough to tell eight of them apart.
std::string short_name(kad::peer_id const& id);

}  // namespace kadoro_soak
