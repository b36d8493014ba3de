#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <stdexcept>

#include "clock.hpp"
#include "judge.hpp"
#include "latencies.hpp"
#include "memory.hpp"
#include "nlohmann/json.hpp"
#include "plan.hpp"
#include "process.hpp"
#include "settings.hpp"

namespace kadoro_soak {

namespace {

using nlohmann::ordered_json;

std::sig_atomic_t volatile interrupted = 0;

constexpr double sample_every_ms = 5'000;
constexpr double join_patience_ms = 60'000;
constexpr double leave_patience_ms = 15'000;

/// What came of one life of a process.
struct life_record {
  std::size_t who = 0;
  unsigned life = 0;
  double begun_ms = 0;
  double ended_ms = 0;
  memory_series resident;
  memory_series anonymous;
  memory_series heap;
};

/// A member: its process, through all of its lives.
struct member {
  std::size_t index = 0;
  std::string folder;
  std::string listen;
  std::string address;
  process now;
  unsigned life = 0;
  bool joined = false;
  bool stopped = false;
  bool leaving = false;  ///< was told to end
  double started_ms = 0;
  double asked_ms = 0;  ///< to end
  std::string partial;
  life_record memory;
  nlohmann::json last_stat;
  nlohmann::json counters;
};

/// Starts the processes, carries out the plan, listens, and judges.
class soak {
 public:
  explicit soak(soak_settings const& settings)
      : settings_(settings),
        plan_(draw_plan(settings.seed, settings.minutes, settings.processes, settings.gap_s)),
        judge_(settings.processes, settings.replicas, now_ms()) {
    folder_ = settings.folder;
    if (folder_.empty()) {
      char name[] = "/tmp/kadoro-soak.XXXXXX";
      if (::mkdtemp(name) == nullptr) throw std::runtime_error("cannot make a folder in /tmp");
      folder_ = name;
    }
    std::filesystem::create_directories(folder_);
    // Addresses of their own, so that a port is still free when its process comes back.
    auto const mine = static_cast<unsigned>(::getpid());
    for (std::size_t i = 0; i < settings.processes; ++i) {
      member m;
      m.index = i;
      m.folder = folder_ + "/" + std::to_string(i);
      m.listen = "127." + std::to_string(1 + mine % 250) + "." + std::to_string(1 + mine / 250 % 250) + "." +
                 std::to_string(i + 1) + ":4711";
      members_.push_back(std::move(m));
    }
  }

  int run() {
    begin_ms_ = now_ms();
    double const end_ms = begin_ms_ + settings_.minutes * 60'000;
    for (member& m : members_) {
      start(m, true);
      // The first lets the others in.
      if (m.index == 0) wait([&m] { return !m.address.empty(); }, join_patience_ms);
    }
    for (disturbance const& d : plan_) {
      double const at_ms = begin_ms_ + d.at_s * 1e3;
      wait([at_ms] { return now_ms() >= at_ms; }, 1e18);
      if (stop_early()) break;
      disturb(d);
    }
    wait([end_ms] { return now_ms() >= end_ms; }, 1e18);
    finish();
    settle_rest();
    judge_memory();
    print();
    bool const good = judge_.violated() == 0 && !interrupted;
    if (good && settings_.folder.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(folder_, ignored);
    } else {
      std::fprintf(stderr, "kadoro-soak: the files of this run are in %s\n", folder_.c_str());
    }
    return good ? exit_good : exit_bad;
  }

 private:
  struct return_due {
    double at_ms;
    std::size_t who;
    bool resume;
    bool seeded;
  };

  bool stop_early() const { return interrupted != 0; }

  // ---- the processes ------------------------------------------------------------------------------------------------

  void start(member& m, bool seeded) {
    ++m.life;
    m.joined = m.stopped = m.leaving = false;
    m.partial.clear();
    std::vector<std::string> words = {"worker",
                                      "--index",
                                      std::to_string(m.index),
                                      "--life",
                                      std::to_string(m.life),
                                      "--seed",
                                      std::to_string(settings_.seed),
                                      "--processes",
                                      std::to_string(settings_.processes),
                                      "--rate",
                                      std::to_string(settings_.rate),
                                      "--replicas",
                                      std::to_string(settings_.replicas),
                                      "--data",
                                      m.folder,
                                      "--listen",
                                      m.listen};
    if (settings_.steps) words.push_back("--steps");
    if (seeded || m.life == 1) {
      std::size_t const before = words.size();
      words.push_back("--peers");
      for (member const& other : members_)
        if (other.index != m.index && !other.address.empty()) words.push_back(other.address);
      if (words.size() == before + 1) words.pop_back();
    }
    m.started_ms = now_ms();
    m.memory = {};
    m.memory.who = m.index;
    m.memory.life = m.life;
    m.memory.begun_ms = m.started_ms;
    m.now = process(words, folder_ + "/" + std::to_string(m.index) + ".err");
    ++starts_;
  }

  void disturb(disturbance const& d) {
    member& m = members_[d.who];
    if (!m.now.running() || m.stopped || m.leaving) return;  // late, on a busy machine
    double const now = now_ms();
    switch (d.what) {
      case deed::kill:
        ++kills_;
        judge_.went(d.who, now, true);
        m.leaving = true;
        m.now.signal(SIGKILL);
        break;
      case deed::terminate:
        ++terminations_;
        judge_.went(d.who, now, false);
        m.leaving = true;
        m.asked_ms = now;
        m.now.signal(SIGTERM);
        break;
      case deed::stop:
        ++stops_;
        judge_.went(d.who, now, false);
        m.stopped = true;
        m.now.signal(SIGSTOP);
        break;
    }
    returns_.push_back({now + d.for_s * 1e3, d.who, d.what == deed::stop, d.seeded});
  }

  /// Whoever was away long enough comes back.
  void bring_back() {
    double const now = now_ms();
    for (auto r = returns_.begin(); r != returns_.end();) {
      member& m = members_[r->who];
      bool const ended = !m.now.running() && m.now.output() < 0;
      if (r->at_ms > now || (!r->resume && !ended)) {
        ++r;
        continue;
      }
      if (r->resume) {
        m.stopped = false;
        m.now.signal(SIGCONT);
        judge_.back(r->who, now_ms());
      } else {
        start(m, r->seeded);
      }
      r = returns_.erase(r);
    }
  }

  /// Until `done` or for `limit_ms`. Everything else happens in here.
  template <class Done>
  bool wait(Done done, double limit_ms) {
    double const give_up = now_ms() + limit_ms;
    for (;;) {
      if (done()) return true;
      if (stop_early() || now_ms() > give_up) return false;
      std::vector<pollfd> ready;
      for (member const& m : members_)
        if (m.now.output() >= 0) ready.push_back({m.now.output(), POLLIN, 0});
      ::poll(ready.data(), ready.size(), 20);
      for (member& m : members_) listen(m);
      bring_back();
      double const now = now_ms();
      judge_.settle(now);
      if (now >= next_sample_ms_) sample(now);
      if (now >= next_progress_ms_) progress(now);
    }
  }

  void listen(member& m) {
    if (m.now.output() >= 0) {
      bool ended = false;
      m.partial += m.now.read(ended);
      std::size_t begin = 0;
      for (std::size_t end = m.partial.find('\n'); end != std::string::npos; end = m.partial.find('\n', begin)) {
        auto const line = nlohmann::json::parse(m.partial.begin() + static_cast<std::ptrdiff_t>(begin),
                                                m.partial.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
        begin = end + 1;
        if (line.is_object() && line.contains("o")) take(m, line);
      }
      m.partial.erase(0, begin);
    }
    auto const code = m.now.poll();
    if (code) ended(m, *code);
    double const now = now_ms();
    if (m.leaving && m.asked_ms > 0 && now - m.asked_ms > leave_patience_ms && m.now.running()) {
      judge_.broke(rule::stubborn, now, "process " + std::to_string(m.index) + " does not end by SIGTERM");
      m.asked_ms = 0;
      m.now.signal(SIGKILL);
    }
    if (m.now.running() && !m.joined && !m.leaving && !m.stopped && now - m.started_ms > join_patience_ms) {
      judge_.broke(rule::hang, now, "process " + std::to_string(m.index) + " does not join");
      m.started_ms = now;
    }
  }

  void ended(member& m, int code) {
    double const now = now_ms();
    judge_.died(m.index, m.life, now);
    bool const by_us = m.leaving && (m.asked_ms > 0 ? code == 0 : code == 128 + SIGKILL);
    if (!by_us) {
      judge_.broke(rule::crash, now,
                   "process " + std::to_string(m.index) + ", life " + std::to_string(m.life) + ", ended with " +
                       std::to_string(code) + "; what it said is in " + folder_ + "/" + std::to_string(m.index) +
                       ".err");
      if (!m.leaving) {
        judge_.went(m.index, now, true);
        if (!stopping_) returns_.push_back({now + 1'000, m.index, false, true});
      }
    }
    m.asked_ms = 0;
    m.joined = false;
    m.memory.ended_ms = now;
    lives_.push_back(std::move(m.memory));
    m.memory = {};
  }

  void take(member& m, nlohmann::json const& line) {
    std::string const what = line["o"];
    if (what == "hello") {
      m.address = line["address"];
      judge_.name_is(m.index, line["id"]);
      loaded_ += line["records"].get<std::uint64_t>();
    } else if (what == "joined") {
      m.joined = true;
      judge_.back(m.index, line["t"]);
    } else if (what == "stat") {
      m.last_stat = line;
      skipped_[m.index] = line["skipped"];
      m.memory.heap.add((line["t"].get<double>() - m.started_ms) / 1e3, line["heap"]);
      double const age = line["age"];
      if (age > in_ms(hang) && !hung_[{m.index, m.life}]) {
        hung_[{m.index, m.life}] = true;
        judge_.broke(rule::hang, line["t"], "process " + std::to_string(m.index) + ": " + line.dump());
      }
    } else if (what == "stall") {
      judge_.stalled(m.index, line["b"], line["t"], line["cpu"]);
    } else if (what == "counters") {
      m.counters = line;
    } else if (what == "trouble") {
      judge_.broke(rule::crash, line["t"], "process " + std::to_string(m.index) + ": " + line.dump());
    } else {
      if (what == "done" || what == "get" || what == "providers") measure(line);
      judge_.heard(m.index, m.life, line);
    }
  }

  void measure(nlohmann::json const& line) {
    ++operations_;
    if (line.contains("e")) ++errors_[line["e"].get<std::string>()];
    std::string const what = line["o"];
    std::string kind = what;
    if (what == "get") kind = line["q"].get<bool>() ? "get, majority" : "get, first valid";
    if (what == "done") kind = line.value("d", false) && line["ok"].get<bool>() ? "put, durable" : "put, majority";
    if (what == "providers") kind = "get_providers";
    if (what == "get") ++outcomes_[line.value("r", std::string("error"))];
    latencies_[kind].add(line["t"].get<double>() - line["b"].get<double>());
  }

  // ---- memory and progress ------------------------------------------------------------------------------------------

  void sample(double now) {
    next_sample_ms_ = now + sample_every_ms;
    for (member& m : members_) {
      if (!m.now.running() || m.leaving) continue;
      auto const use = memory_of(m.now.pid());
      if (!use || use->resident_kib <= 0) continue;
      double const age_s = (now - m.started_ms) / 1e3;
      m.memory.resident.add(age_s, use->resident_kib);
      m.memory.anonymous.add(age_s, use->anonymous_kib);
    }
  }

  double cpu_seconds() const {
    rusage used{};
    ::getrusage(RUSAGE_CHILDREN, &used);
    rusage own{};
    ::getrusage(RUSAGE_SELF, &own);
    auto const of = [](timeval const& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    double all = of(used.ru_utime) + of(used.ru_stime) + of(own.ru_utime) + of(own.ru_stime);
    for (member const& m : members_)
      if (m.now.running()) all += cpu_seconds_of(m.now.pid());
    return all;
  }

  void progress(double now) {
    if (next_progress_ms_ == 0) {  // the first minute has just begun
      next_progress_ms_ = now + 60'000;
      return;
    }
    next_progress_ms_ += 60'000;
    double const cpu = cpu_seconds();
    std::string resident;
    for (member const& m : members_) {
      auto const use = m.now.running() ? memory_of(m.now.pid()) : std::nullopt;
      char text[48];
      std::snprintf(text, sizeof text, " %.1f/%.1f", use ? use->resident_kib / 1024 : 0.0,
                    use ? use->anonymous_kib / 1024 : 0.0);
      resident += text;
    }
    auto const& c = judge_.counts();
    std::fprintf(stderr,
                 "minute %3.0f: %llu operations, %llu judged, %llu excused, %llu stale, %llu unconfirmed, "
                 "%llu stalls, %llu kills, %llu terms, %llu stops, cpu %.0f%%, MiB%s, violations %llu\n",
                 (now - begin_ms_) / 60'000, ull(operations_), ull(c.judged), ull(c.excused), ull(c.first_stale),
                 ull(c.unconfirmed), ull(c.stalls), ull(kills_), ull(terminations_), ull(stops_),
                 (cpu - last_cpu_) / 0.6, resident.c_str(), ull(judge_.violated()));
    last_cpu_ = cpu;
    for (; shown_ < judge_.violations().size(); ++shown_) show(judge_.violations()[shown_]);
    std::fflush(stderr);
  }

  static unsigned long long ull(std::uint64_t n) { return n; }

  static void show(violation const& v) {
    std::fprintf(stderr, "VIOLATION %.*s at %.3f s: %s\n", static_cast<int>(to_string(v.what).size()),
                 to_string(v.what).data(), v.at_ms / 1e3, v.text.c_str());
  }

  // ---- the end ------------------------------------------------------------------------------------------------------

  void finish() {
    stopping_ = true;
    ended_ms_ = now_ms();
    returns_.clear();
    cpu_s_ = cpu_seconds();
    bool const cut_short = interrupted != 0;
    interrupted = 0;
    for (member& m : members_) {
      if (!m.now.running()) continue;
      judge_.went(m.index, now_ms(), false);
      if (m.stopped) m.now.signal(SIGCONT);
      if (!m.leaving) {
        m.leaving = true;
        m.asked_ms = now_ms();
        m.now.signal(SIGTERM);
      }
    }
    wait(
        [this] {
          return std::none_of(members_.begin(), members_.end(), [](member const& m) { return m.now.running(); });
        },
        2 * leave_patience_ms);
    if (cut_short) interrupted = 1;
  }

  void settle_rest() { judge_.settle(now_ms() + 1e6); }

  void judge_memory() {
    std::sort(lives_.begin(), lives_.end(), [](life_record const& a, life_record const& b) {
      return a.who != b.who ? a.who < b.who : a.life < b.life;
    });
    for (life_record const& l : lives_) {
      auto const v = l.resident.judge();
      if (!v || v->flat()) continue;
      char text[160];
      std::snprintf(
          text, sizeof text,
          "process %zu, life %u: %.0f KiB in minute 10, %.0f at the end (%+.1f %%), %+.1f to %+.1f %% between", l.who,
          l.life, v->warm_kib, v->end_kib, v->end_percent(), v->lowest_percent(), v->highest_percent());
      judge_.broke(rule::memory, now_ms(), text);
    }
  }

  ordered_json memory_json() const {
    ordered_json all = ordered_json::array();
    for (life_record const& l : lives_) {
      auto const v = l.resident.judge();
      auto const a = l.anonymous.judge();
      auto const h = l.heap.judge();
      if (!v || !a || !h) continue;
      auto const round = [](double x) { return std::round(x * 100) / 100; };
      all.push_back({{"process", l.who},
                     {"life", l.life},
                     {"minutes", v->minutes},
                     {"minute_10_kib", round(v->warm_kib)},
                     {"end_kib", round(v->end_kib)},
                     {"end_percent", round(v->end_percent())},
                     {"highest_percent", round(v->highest_percent())},
                     {"lowest_percent", round(v->lowest_percent())},
                     {"anonymous_minute_10_kib", round(a->warm_kib)},
                     {"anonymous_end_kib", round(a->end_kib)},
                     {"heap_in_use_minute_10_kib", round(h->warm_kib)},
                     {"heap_in_use_end_kib", round(h->end_kib)},
                     {"flat", v->flat()}});
    }
    return all;
  }

  ordered_json by_age_json() const {
    // Processes that are killed rarely live for ten minutes: the same age in the first and the last third of the run.
    ordered_json all = ordered_json::array();
    double const third = (ended_ms_ - begin_ms_) / 3;
    for (int minute : {1, 3, 5}) {
      double early = 0, late = 0;
      int n_early = 0, n_late = 0;
      for (life_record const& l : lives_) {
        auto const kib = l.resident.minute(minute);
        if (!kib || l.life == 1) continue;  // the first lives began with nothing in their folders
        double const at = l.begun_ms - begin_ms_;
        if (at < third) early += *kib, ++n_early;
        if (at > 2 * third) late += *kib, ++n_late;
      }
      if (n_early == 0 || n_late == 0) continue;
      all.push_back({{"age_minutes", minute},
                     {"first_third_kib", std::round(early / n_early)},
                     {"first_third_lives", n_early},
                     {"last_third_kib", std::round(late / n_late)},
                     {"last_third_lives", n_late}});
    }
    return all;
  }

  ordered_json to_json() const {
    ordered_json latency = ordered_json::object();
    for (auto const& [kind, l] : latencies_) latency[kind] = l.to_json();
    ordered_json found = ordered_json::object();
    for (auto const& [outcome, n] : outcomes_) found[outcome] = n;
    ordered_json errors = ordered_json::object();
    for (auto const& [what, n] : errors_) errors[what] = n;
    ordered_json broken = ordered_json::object();
    for (std::size_t i = 0; i < rule_count; ++i)
      broken[std::string(to_string(static_cast<rule>(i)))] = judge_.by_rule()[i];
    ordered_json texts = ordered_json::array();
    for (violation const& v : judge_.violations())
      texts.push_back({{"rule", to_string(v.what)}, {"at_s", v.at_ms / 1e3}, {"text", v.text}});
    std::uint64_t skipped = 0;
    for (auto const& [who, n] : skipped_) skipped += n;
    auto const& c = judge_.counts();
    double const seconds = (ended_ms_ - begin_ms_) / 1e3;
    return {{"ok", judge_.violated() == 0 && !interrupted},
            {"seed", settings_.seed},
            {"minutes", std::round(seconds / 0.6) / 100},
            {"interrupted", interrupted != 0},
            {"processes", settings_.processes},
            {"replicas", settings_.replicas},
            {"violations", judge_.violated()},
            {"operations", operations_},
            {"operations_per_s", std::round(static_cast<double>(operations_) / seconds)},
            {"skipped", skipped},
            {"kills", kills_},
            {"terminations", terminations_},
            {"stops", stops_},
            {"starts", starts_},
            {"records_loaded_at_starts", loaded_},
            {"puts",
             {{"acknowledged", c.puts_acknowledged},
              {"durable", c.puts_durable},
              {"not_durable", c.puts_not_durable},
              {"failed", c.puts_failed}}},
            {"gets", found},
            {"judged",
             {{"slots", c.judged},
              {"had_to_be_found", c.expected_live},
              {"had_to_stay_withdrawn", c.expected_gone},
              {"excused", c.excused},
              {"unconfirmed", c.unconfirmed},
              {"first_valid_was_older", c.first_stale},
              {"not_counted_on", c.not_counted_on}}},
            {"watches", {{"events", c.watch_events}, {"checks", c.watch_checks}}},
            {"stalls", {{"n", c.stalls}, {"longest_ms", std::round(c.longest_stall_ms)}}},
            {"errors", errors},
            {"latency", latency},
            {"cpu_share_of_a_core", std::round(1000 * cpu_s_ / seconds) / 1000},
            {"memory", memory_json()},
            {"memory_at_the_same_age", by_age_json()},
            {"broken", broken},
            {"texts", texts}};
  }

  void print() {
    ordered_json const all = to_json();
    for (; shown_ < judge_.violations().size(); ++shown_) show(judge_.violations()[shown_]);
    FILE* const to = settings_.json ? stderr : stdout;
    std::fprintf(to, "\n%s minutes, seed %llu: %llu operations, %llu kills, %llu terminations, %llu stops\n",
                 all["minutes"].dump().c_str(), ull(settings_.seed), ull(operations_), ull(kills_), ull(terminations_),
                 ull(stops_));
    std::fprintf(to, "  %-18s %9s %9s %9s %9s %9s\n", "ms", "n", "p50", "p99", "p99.9", "max");
    for (auto const& [kind, l] : latencies_)
      std::fprintf(to, "  %-18s %9llu %9.2f %9.2f %9.2f %9.1f\n", kind.c_str(), ull(l.total()), l.rank(0.5),
                   l.rank(0.99), l.rank(0.999), l.max());
    std::fprintf(to, "  judged %s\n  watches %s\n", all["judged"].dump().c_str(), all["watches"].dump().c_str());
    for (auto const& m : all["memory"]) std::fprintf(to, "  memory %s\n", m.dump().c_str());
    for (auto const& m : all["memory_at_the_same_age"]) std::fprintf(to, "  memory %s\n", m.dump().c_str());
    for (std::size_t i = 0; i < rule_count; ++i)
      std::fprintf(to, "  %-14s %llu\n", std::string(to_string(static_cast<rule>(i))).c_str(),
                   ull(judge_.by_rule()[i]));
    std::fprintf(to, "violations: %llu\n", ull(judge_.violated()));
    if (settings_.json) std::printf("%s\n", all.dump(-1, ' ', false, ordered_json::error_handler_t::replace).c_str());
    std::fflush(to);
    std::fflush(stdout);
  }

  soak_settings settings_;
  std::vector<disturbance> plan_;
  std::string folder_;
  std::deque<member> members_;
  std::vector<return_due> returns_;
  std::vector<life_record> lives_;
  judge judge_;
  std::map<std::string, latencies> latencies_;
  std::map<std::string, std::uint64_t> outcomes_;
  std::map<std::string, std::uint64_t> errors_;
  std::map<std::size_t, std::uint64_t> skipped_;
  std::map<std::pair<std::size_t, unsigned>, bool> hung_;
  double begin_ms_ = 0;
  double ended_ms_ = 0;
  double next_sample_ms_ = 0;
  double next_progress_ms_ = 0;
  double last_cpu_ = 0;
  double cpu_s_ = 0;
  std::size_t shown_ = 0;
  bool stopping_ = false;
  std::uint64_t operations_ = 0;
  std::uint64_t kills_ = 0;
  std::uint64_t terminations_ = 0;
  std::uint64_t stops_ = 0;
  std::uint64_t starts_ = 0;
  std::uint64_t loaded_ = 0;
};

}  // namespace

int run_soak(soak_settings const& settings) {
  struct sigaction on_signal{};
  on_signal.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &on_signal, nullptr);
  ::sigaction(SIGTERM, &on_signal, nullptr);
  try {
    soak all(settings);
    return all.run();
  } catch (std::exception const& e) {
    std::fprintf(stderr, "kadoro-soak: %s\n", e.what());
    return exit_bad;
  }
}

}  // namespace kadoro_soak
