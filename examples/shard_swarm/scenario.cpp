#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <thread>

#include "event_log.hpp"
#include "observed_process.hpp"
#include "settings.hpp"

namespace shard_swarm {

namespace {

constexpr std::size_t shard_count = 8;
constexpr std::size_t leaver = 5;  // is asked to stop, and comes back
constexpr std::size_t victim = 6;  // is killed
constexpr double lifetime_ms = 10'000;
constexpr double patience_ms = 30'000;  // for what has no limit of its own

std::sig_atomic_t volatile interrupted = 0;

struct step {
  std::string name;
  bool ok = false;
  double ms = 0;
  std::string detail;
  std::optional<double> suspect_ms;  ///< of a crash: until everybody doubted
};

/// The processes, and what is done to them.
class scenario {
 public:
  explicit scenario(scenario_settings const& settings)
      : settings_(settings), live_(!settings.json && ::isatty(STDOUT_FILENO) == 1) {
    char name[] = "/tmp/shard_swarm.XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("cannot make a folder in /tmp");
    folder_ = name;
    rendezvous_.emplace("rendezvous", folder_);
    for (std::size_t i = 0; i < shard_count; ++i) nodes_.emplace_back("node-" + std::to_string(i), folder_);
  }

  ~scenario() {
    std::error_code ignored;
    if (ok()) std::filesystem::remove_all(folder_, ignored);
    if (!ok()) std::fprintf(stderr, "shard_swarm: the files of this run are in %s\n", folder_.c_str());
  }

  int run() {
    note("rendezvous and " + std::to_string(shard_count) + " nodes on this machine");
    bool const started = all_found();
    if (started) {
      bench();
      leave();
      rejoin();
      crash();
      rendezvous_down();
      rendezvous_back();
    }
    if (settings_.json)
      print_json();
    else
      print_summary();
    if (settings_.keep && !interrupted) {
      note("going on until Ctrl-C");
      wait([] { return false; }, 1e18);
    }
    stop_all();
    return ok() ? exit_ok : exit_failed;
  }

 private:
  bool ok() const {
    return steps_.size() == 6 && bench_ok_ &&
           std::all_of(steps_.begin(), steps_.end(), [](step const& s) { return s.ok; });
  }

  // ---- the steps ----------------------------------------------------------------------------------------------------

  bool all_found() {
    rendezvous_->start(
        {"rendezvous", "--listen", "127.0.0.1:0", "--identity", folder_ + "/rendezvous.key", "--replicas", "4"});
    bool good = wait([this] { return !rendezvous_->address().empty(); }, 10'000);
    rendezvous_address_ = rendezvous_->address();
    if (good) {
      start_node(0, {rendezvous_address_}, {"--put", "200", "--get", "200", "--get-from", "4"});
      for (std::size_t i = 1; i < shard_count; ++i)
        start_node(i, {rendezvous_address_},
                   i == 4 ? std::vector<std::string>{"--put", "600"} : std::vector<std::string>{});
      good = wait([this] { return all_nodes_complete(0); }, patience_ms);
    }
    double const last_start = nodes_.back().started_ms();
    double const done = latest([](observed_process const& n) { return n.saw("complete"); });
    end_step("all_found", good, done - last_start,
             good ? "8 of 8 shards found on all nodes" : "not every node found every shard");
    return good;
  }

  /// Of the timed operations of node 0. No step of its own, but it must succeed.
  void bench() {
    bool const done = wait([this] { return !nodes_[0].bench("get").is_null() && !nodes_[4].bench("put").is_null(); },
                           2 * patience_ms);
    put_ = nodes_[0].bench("put");
    get_ = nodes_[0].bench("get");
    bench_ok_ = done && put_["failures"] == 0 && get_["failures"] == 0;
    if (!done)
      note("the timed operations did not end");
    else
      note("PUT " + put_.dump() + "\nGET " + get_.dump());
  }

  void leave() {
    std::string const who = nodes_[leaver].peer_id();
    double const begun = monotonic_ms();
    nodes_[leaver].process().signal(SIGTERM);
    std::optional<int> code;
    bool const gone = wait(
        [&] {
          if (!code) code = nodes_[leaver].process().poll();
          return code && others_saw(leaver, "lost", who, begun);
        },
        2'000);
    double const ms = seen_by_others(leaver, "lost", who, begun) - begun;
    end_step("leave", gone && code == 0 && ms <= 2'000, ms,
             !code        ? "the process did not end"
             : *code != 0 ? "it ended with " + std::to_string(*code)
             : gone       ? "withdrawn everywhere"
                          : "still listed somewhere");
  }

  void rejoin() {
    double const begun = monotonic_ms();
    start_node(leaver, {rendezvous_address_, nodes_[0].address()});
    bool const back = wait([&] { return all_nodes_complete(begun); }, 5'000);
    double const done = latest([begun](observed_process const& n) { return n.saw("complete", begun); });
    end_step("rejoin", back, done - begun, back ? "complete again everywhere" : "not complete everywhere");
  }

  void crash() {
    std::string const who = nodes_[victim].peer_id();
    double const begun = monotonic_ms();
    nodes_[victim].process().kill_and_wait();
    bool const doubted = wait([&] { return others_saw(victim, "suspect", who, begun); }, 3'000);
    double const suspect_ms = seen_by_others(victim, "suspect", who, begun) - begun;
    bool const gone =
        wait([&] { return others_saw(victim, "lost", who, begun); }, begun + lifetime_ms + 1'000 - monotonic_ms());
    double const lost_ms = seen_by_others(victim, "lost", who, begun) - begun;
    // A contact must have failed before the record ran out, on every node by itself.
    bool order = true;
    for (std::size_t i = 0; i < shard_count; ++i) {
      if (i == victim) continue;
      auto const doubt = nodes_[i].saw("suspect", who, begun);
      auto const loss = nodes_[i].saw("lost", who, begun);
      order = order && doubt && loss && *doubt < *loss;
    }
    bool const held = doubted && gone && order && suspect_ms <= 3'000 && lost_ms <= lifetime_ms + 1'000;
    std::string const detail = "suspect after " + std::to_string(static_cast<int>(suspect_ms)) + " ms, gone after " +
                               std::to_string(static_cast<int>(lost_ms)) + " ms";
    end_step("crash", held, lost_ms, held ? detail : "not suspected or not gone everywhere: " + detail);
    steps_.back().suspect_ms = suspect_ms;
  }

  void rendezvous_down() {
    double const begun = monotonic_ms();
    rendezvous_->process().kill_and_wait();
    // A new node, in the place of the one that crashed, knows only node 0.
    start_node(victim, {nodes_[0].address()}, {"--put", "5", "--get", "5", "--get-from", "4"});
    observed_process& fresh = nodes_[victim];
    bool const done = wait([&] { return all_nodes_complete(begun) && !fresh.bench("get").is_null(); }, patience_ms);
    auto const put = fresh.bench("put");
    auto const get = fresh.bench("get");
    bool const held = done && put["failures"] == 0 && put["n"] == 5 && get["failures"] == 0 && get["n"] == 5;
    end_step("rendezvous_down", held, monotonic_ms() - begun,
             held   ? "a new node joined through another seed; PUTs and GETs succeed"
             : done ? "PUT " + put.dump() + " GET " + get.dump()
                    : "the new node did not find everybody");
  }

  void rendezvous_back() {
    std::string const who = rendezvous_->peer_id();
    double const begun = monotonic_ms();
    std::string listen = rendezvous_address_.substr(std::string("/ip4/127.0.0.1/udp/").size());
    listen = "127.0.0.1:" + listen.substr(0, listen.find('/'));
    rendezvous_->start(
        {"rendezvous", "--listen", listen, "--identity", folder_ + "/rendezvous.key", "--replicas", "4"});
    bool good = wait([this] { return !rendezvous_->address().empty(); }, 10'000);
    rendezvous_->read_events();
    good = good && rendezvous_->address() == rendezvous_address_ && rendezvous_->peer_id() == who;
    // A second holder of shard 0 that knows nobody else must find everything through it.
    observed_process newcomer("node-0b", folder_);
    extra_ = &newcomer;
    if (good) {
      newcomer.start(node_arguments(0, {rendezvous_address_}));
      good = wait([&newcomer] { return newcomer.saw("complete").has_value(); }, patience_ms);
    }
    double const ms = monotonic_ms() - begun;
    extra_ = nullptr;
    newcomer.process().signal(SIGTERM);
    wait([&newcomer] { return newcomer.process().poll().has_value(); }, 3'000);
    end_step("rendezvous_back", good, ms,
             good ? "same identity; a new node found 8 of 8 through it" : "it does not serve");
  }

  // ---- what the steps need ------------------------------------------------------------------------------------------

  std::vector<std::string> node_arguments(std::size_t shard, std::vector<std::string> const& seeds) const {
    std::vector<std::string> arguments = {
        "node",       "--cluster",           "scenario", "--total-shards", std::to_string(shard_count),
        "--shard-id", std::to_string(shard), "--listen", "127.0.0.1:0",    "--replicas",
        "4",          "--bootstrap"};
    arguments.insert(arguments.end(), seeds.begin(), seeds.end());
    return arguments;
  }

  void start_node(std::size_t shard, std::vector<std::string> const& seeds, std::vector<std::string> const& more = {}) {
    auto arguments = node_arguments(shard, seeds);
    if (shard == leaver) arguments.insert(arguments.end(), {"--identity", folder_ + "/leaver.key"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    nodes_[shard].start(std::move(arguments));
  }

  /// Until `done` or for `limit_ms`; false if it was not done, or the user wants to stop.
  bool wait(std::function<bool()> const& done, double limit_ms) {
    double const end = monotonic_ms() + limit_ms;
    for (;;) {
      rendezvous_->read_events();
      for (observed_process& n : nodes_) n.read_events();
      if (extra_ != nullptr) extra_->read_events();
      if (done()) return true;
      if (interrupted || monotonic_ms() > end) return false;
      draw();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  bool all_nodes_complete(double after) const {
    return std::all_of(nodes_.begin(), nodes_.end(), [after](observed_process const& n) {
      return n.complete() && (n.started_ms() < after || n.saw("complete", after));
    });
  }

  template <class When>
  double latest(When when) const {
    double last = 0;
    for (observed_process const& n : nodes_) last = std::max(last, when(n).value_or(0));
    return last;
  }

  bool others_saw(std::size_t except, char const* event, std::string const& holder, double after) const {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (i != except && !nodes_[i].saw(event, holder, after)) return false;
    return true;
  }

  /// When the last of the others saw it.
  double seen_by_others(std::size_t except, char const* event, std::string const& holder, double after) const {
    double last = after;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (i != except) last = std::max(last, nodes_[i].saw(event, holder, after).value_or(after));
    return last;
  }

  void stop_all() {
    for (observed_process& n : nodes_) n.process().signal(SIGTERM);
    rendezvous_->process().signal(SIGTERM);
    double const end = monotonic_ms() + 3'000;
    while (monotonic_ms() < end) {
      bool left = rendezvous_->process().running() && !rendezvous_->process().poll();
      for (observed_process& n : nodes_) left = (n.process().running() && !n.process().poll()) || left;
      if (!left) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  // ---- what people see ----------------------------------------------------------------------------------------------

  void end_step(std::string name, bool held, double ms, std::string detail) {
    if (interrupted) detail = "interrupted";
    steps_.push_back({std::move(name), held && !interrupted, std::max(0.0, ms), std::move(detail), {}});
    note(line_of(steps_.back()));
    if (settings_.json && !held) std::fprintf(stderr, "shard_swarm: %s\n", line_of(steps_.back()).c_str());
  }

  static std::string line_of(step const& s) {
    char text[64];
    std::snprintf(text, sizeof text, "%s %-16s %9.1f ms  ", s.ok ? "ok  " : "FAIL", s.name.c_str(), s.ms);
    return text + s.detail;
  }

  void note(std::string const& line) {
    if (settings_.json) return;
    erase_table();
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    next_draw_ms_ = 0;
  }

  void erase_table() {
    if (drawn_lines_ > 0) std::printf("\033[%zuA\033[J", drawn_lines_);
    drawn_lines_ = 0;
  }

  /// The live table: one line a node, one column a shard.
  void draw() {
    if (!live_ || monotonic_ms() < next_draw_ms_) return;
    next_draw_ms_ = monotonic_ms() + 100;
    erase_table();
    std::printf("  %-11s %8s  %-*s  %-9s %s\n", "process", "pid", static_cast<int>(shard_count), "shards", "found",
                "last event");
    drawn_lines_ = 2 + nodes_.size();
    print_row(*rendezvous_, "");
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      std::string cells;
      std::size_t found = 0;
      for (std::size_t shard = 0; shard < shard_count; ++shard) {
        char cell = shard == i ? '*' : '.';
        auto const at = nodes_[i].map().find(static_cast<std::uint32_t>(shard));
        if (shard != i && at != nodes_[i].map().end() && !at->second.empty())
          cell = std::any_of(at->second.begin(), at->second.end(), [](auto const& h) { return !h.second; }) ? '#' : '?';
        if (cell == '#' || cell == '*') ++found;
        cells += cell;
      }
      if (!nodes_[i].process().running()) cells.assign(shard_count, ' ');
      print_row(nodes_[i], cells + "  " + std::to_string(found) + " / " + std::to_string(shard_count) + "    ");
    }
    std::fflush(stdout);
  }

  void print_row(observed_process& p, std::string const& middle) {
    std::string const pid = p.process().running() ? std::to_string(p.process().pid()) : "down";
    std::printf("  %-11s %8s  %-20s %s\n", p.name().c_str(), pid.c_str(), middle.c_str(), p.last_event().c_str());
  }

  void print_summary() {
    erase_table();
    std::printf("\nSummary: %zu processes, %zu shards, backend %s\n", shard_count + 1, shard_count,
                nodes_[0].io_backend().c_str());
    for (step const& s : steps_) std::printf("  %s\n", line_of(s).c_str());
    for (auto const& [name, b] : {std::pair{"PUT", &put_}, std::pair{"GET", &get_}})
      if (!b->is_null() && !(*b)["p50"].is_null())
        std::printf("  %s  p50 %.3f ms, p99 %.3f ms (%d done, %d failed)\n", name, (*b)["p50"].get<double>(),
                    (*b)["p99"].get<double>(), (*b)["n"].get<int>(), (*b)["failures"].get<int>());
    std::printf("%s\n", ok() ? "every step held" : "not every step held");
    std::fflush(stdout);
  }

  void print_json() const {
    using nlohmann::ordered_json;
    auto const figures = [](nlohmann::json const& b) -> ordered_json {
      if (b.is_null()) return nullptr;
      return {{"p50", b["p50"]}, {"p99", b["p99"]}};
    };
    ordered_json steps = ordered_json::array();
    for (step const& s : steps_) {
      auto const tenths = [](double ms) { return static_cast<double>(static_cast<long long>(ms * 10)) / 10; };
      ordered_json one = {{"name", s.name}, {"ok", s.ok}, {"ms", tenths(s.ms)}};
      if (s.suspect_ms) one["suspect_ms"] = tenths(*s.suspect_ms);
      one["detail"] = s.detail;
      steps.push_back(std::move(one));
    }
    ordered_json const whole = {{"ok", ok()},
                                {"nodes", shard_count + 1},
                                {"shards", shard_count},
                                {"steps", steps},
                                {"put_ms", figures(put_)},
                                {"get_ms", figures(get_)},
                                {"backend", nodes_[0].backend()},
                                {"io_backend", nodes_[0].io_backend()}};
    std::printf("%s\n", whole.dump().c_str());
    std::fflush(stdout);
  }

  scenario_settings settings_;
  bool live_;
  std::string folder_;
  std::optional<observed_process> rendezvous_;
  std::deque<observed_process> nodes_;
  observed_process* extra_ = nullptr;
  std::string rendezvous_address_;
  std::vector<step> steps_;
  nlohmann::json put_;
  nlohmann::json get_;
  bool bench_ok_ = false;
  std::size_t drawn_lines_ = 0;
  double next_draw_ms_ = 0;
};

}  // namespace

int run_scenario(scenario_settings const& settings) {
  if (!settings.io.empty()) ::setenv("KADORO_IO", settings.io.c_str(), 1);  // for the processes that it starts
  struct sigaction on_signal{};
  on_signal.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &on_signal, nullptr);
  ::sigaction(SIGTERM, &on_signal, nullptr);
  try {
    scenario all(settings);
    return all.run();
  } catch (std::exception const& e) {
    std::fprintf(stderr, "shard_swarm: %s\n", e.what());
    return exit_failed;
  }
}

}  // namespace shard_swarm
