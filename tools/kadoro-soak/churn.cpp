#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <thread>

#include "clock.hpp"
#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"
#include "latencies.hpp"
#include "memory.hpp"
#include "nlohmann/json.hpp"
#include "process.hpp"
#include "register.hpp"
#include "request_counter.hpp"
#include "settings.hpp"
#include "silenced_context.hpp"

namespace kadoro_soak {

namespace {

using nlohmann::ordered_json;

std::sig_atomic_t volatile interrupted = 0;

constexpr std::size_t seeds_given = 3;
constexpr std::size_t texts_kept = 100;
constexpr double settle_ms = 10'000;
constexpr double warm_up_limit_ms = 600'000;
/// A swarm of hundreds is not built in an instant: a newcomer every so often in each thread. Each makes some hundred
/// handshakes.
constexpr duration between_first_births = std::chrono::milliseconds(200);

enum class phase { warming, measuring, over };

duration in_seconds(double s) { return std::chrono::duration_cast<duration>(std::chrono::duration<double>(s)); }

struct tallies {
  std::uint64_t gets = 0;  ///< of keys that lived all the time
  std::uint64_t found = 0;
  std::uint64_t not_judged = 0;  ///< publisher or reader left meanwhile
  std::uint64_t older = 0;       ///< found, but not the last that was acknowledged
  std::uint64_t puts = 0;
  std::uint64_t puts_failed = 0;
  std::uint64_t left_politely = 0;
  std::uint64_t left_silently = 0;
  std::uint64_t came = 0;
  std::uint64_t joins_failed = 0;
  latencies get_ms;
  latencies put_ms;
  latencies join_ms;
  std::vector<std::string> texts;

  void add(tallies const& t) {
    gets += t.gets, found += t.found, not_judged += t.not_judged, older += t.older;
    puts += t.puts, puts_failed += t.puts_failed;
    left_politely += t.left_politely, left_silently += t.left_silently, came += t.came;
    joins_failed += t.joins_failed;
    get_ms.add(t.get_ms), put_ms.add(t.put_ms), join_ms.add(t.join_ms);
    for (std::string const& text : t.texts)
      if (texts.size() < texts_kept) texts.push_back(text);
  }
};

/// What the nodes ask and count, by name.
using sums = std::map<std::string, std::uint64_t>;

void add(sums& to, request_counter::counts const& asked) {
  static std::map<transport::message_type, char const*> const names = {
      {transport::message_type::put_value, "put_value"},
      {transport::message_type::get_value, "get_value"},
      {transport::message_type::find_node, "find_node"},
      {transport::message_type::ping, "ping"},
      {transport::message_type::renew, "renew"},
      {transport::message_type::replicate, "replicate"},
      {transport::message_type::watch, "watch"},
      {transport::message_type::push, "push"},
      {transport::message_type::view, "view"}};
  for (auto const& [type, n] : asked) {
    auto const name = names.find(type);
    to[name == names.end() ? "other" : name->second] += n;
  }
}

/// Of `name=value name=value(last:...)`.
void add(sums& to, std::string const& counters) {
  std::istringstream words(counters);
  std::string word;
  while (words >> word) {
    std::size_t const at = word.find('=');
    if (at != std::string::npos) to[word.substr(0, at)] += std::strtoull(word.c_str() + at + 1, nullptr, 10);
  }
}

struct traffic {
  std::uint64_t sent = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t received = 0;
  std::uint64_t received_bytes = 0;

  void add(io::udp_counters const& c) {
    sent += c.sent, sent_bytes += c.sent_bytes, received += c.received, received_bytes += c.received_bytes;
  }
  void add(traffic const& t) {
    sent += t.sent, sent_bytes += t.sent_bytes, received += t.received, received_bytes += t.received_bytes;
  }
};

/// A node of the swarm.
struct resident {
  resident(std::uint64_t number, io::context& below, crypto::identity key)
      : id(number), context(below), self(std::move(key)) {}

  std::uint64_t id;
  silenced_context context;
  request_counter asked;
  crypto::identity self;
  std::unique_ptr<kad::node> node;
  std::vector<bool> busy;  ///< by key
  bool joined = false;
  bool leaving = false;
};

/// What the threads share.
struct swarm {
  explicit swarm(churn_settings const& s) : settings(s) {}

  churn_settings settings;
  swarm_register known;
  std::atomic<phase> now{phase::warming};
  std::atomic<std::uint64_t> next_id{0};
};

/// The nodes of one thread.
class district {
 public:
  district(swarm& of, std::size_t index, std::size_t nodes)
      : all_(of), settings_(of.settings), index_(index), nodes_(nodes), random_(of.settings.seed * 1'000 + index) {}

  void run() { context_.run(live(*this)); }

  tallies results() const {
    std::lock_guard const lock(mutex_);
    return results_;
  }
  traffic flow() const {
    std::lock_guard const lock(mutex_);
    return flow_;
  }
  std::size_t size() const {
    std::lock_guard const lock(mutex_);
    return size_;
  }
  void add_to(sums& asked, sums& counted) const {
    std::lock_guard const lock(mutex_);
    for (auto const& [name, n] : asked_) asked[name] += n;
    for (auto const& [name, n] : counted_) counted[name] += n;
  }

 private:
  using house = std::shared_ptr<resident>;

  static coro::task<void> live(district& d) {
    coro::scope work(d.context_);
    d.work_ = &work;
    work.spawn(fill(d));
    work.spawn(churn(d));
    work.spawn(read(d));
    work.spawn(write(d));
    while (d.all_.now != phase::over) {
      auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(200));
      if (!slept) break;
      d.measure();
    }
    work.request_cancel();
    co_await work.join();
    for (house const& h : d.here_) {
      h->context.silence();
      [[maybe_unused]] auto const closed = co_await h->node->close(duration::zero());
    }
  }

  void measure() {
    traffic sum = gone_;
    sums asked = gone_asked_;
    for (house const& h : here_) {
      sum.add(h->context.counted());
      add(asked, h->asked.asked());
    }
    sums counted;
    if (++measured_ % 25 == 0)  // texts take their time
      for (house const& h : here_) add(counted, h->node->counters_text());
    std::lock_guard const lock(mutex_);
    flow_ = sum;
    size_ = here_.size();
    asked_ = std::move(asked);
    if (!counted.empty()) counted_ = std::move(counted);
  }

  template <class Change>
  void note(Change change) {
    std::lock_guard const lock(mutex_);
    change(results_);
  }

  bool measuring() const { return all_.now == phase::measuring; }

  // ---- coming and going ---------------------------------------------------------------------------------------------

  static coro::task<void> fill(district& d) {
    // The very first is alone; everybody else waits for it.
    while (d.index_ > 0 && d.all_.known.nodes() == 0) {
      auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(10));
      if (!slept) co_return;
    }
    for (std::size_t i = 0; i < d.nodes_; ++i) {
      d.work_->spawn(arrive(d));
      auto const slept = co_await coro::sleep_for(between_first_births);
      if (!slept) co_return;
    }
  }

  static coro::task<void> arrive(district& d) {
    std::uint64_t const id = d.all_.next_id++;
    auto const h = std::make_shared<resident>(id, d.context_, crypto::identity::generate(d.context_.random()));
    h->busy.resize(d.settings_.keys);
    kad::node_options options;
    auto const byte = [](std::uint64_t n) { return static_cast<std::uint8_t>(n); };
    options.listen = io::endpoint::v4({127, byte(64 + id / 62500), byte(id / 250 % 250), byte(id % 250 + 1)}, 4711);
    options.replicas = d.settings_.replicas;
    for (std::string const& text : d.all_.known.some(seeds_given, d.random_))
      options.bootstrap.push_back(*kad::multiaddr::parse(text));
    options.transport = h->asked.factory();
    bool const first = options.bootstrap.empty();
    auto opened = kad::node::open(h->context, h->self, options);
    if (!opened) {
      std::fprintf(stderr, "kadoro-soak: %s\n", opened.error().message().c_str());
      d.note([](tallies& t) { ++t.joins_failed; });
      co_return;
    }
    h->node = std::move(*opened);
    d.here_.push_back(h);
    double const begun = now_ms();
    while (!first) {
      auto const joined = co_await h->node->join();
      if (joined || h->leaving) break;
      d.note([&](tallies& t) {
        ++t.joins_failed;
        if (t.texts.size() < texts_kept) t.texts.push_back("join: " + joined.error().message());
      });
      auto const slept = co_await coro::sleep_for(std::chrono::seconds(1));
      if (!slept) co_return;
    }
    if (h->leaving) co_return;
    h->joined = true;
    d.all_.known.joined(id, h->node->addresses().front().to_string());
    d.note([begun](tallies& t) { t.join_ms.add(now_ms() - begun); });
    // A node of the first hour puts when there is somebody to put it on.
    auto const slept = co_await coro::sleep_for(std::chrono::seconds(1));
    if (!slept) co_return;
    for (std::size_t i = 0; i < d.settings_.keys; ++i) {
      co_await put(d, h, i, true);
    }
  }

  static coro::task<void> leave(district& d, house h, bool politely) {
    h->leaving = true;
    d.all_.known.left(h->id);
    std::erase(d.here_, h);
    d.graves_.push_back(h);  // the context must outlive what is left of the node
    if (!politely) h->context.silence();
    duration const limit = politely ? std::chrono::seconds(5) : duration::zero();
    [[maybe_unused]] auto const closed = co_await h->node->close(limit);
    h->node.reset();
    d.gone_.add(h->context.counted());
    add(d.gone_asked_, h->asked.asked());
    d.note([politely](tallies& t) { ++(politely ? t.left_politely : t.left_silently); });
  }

  static coro::task<void> churn(district& d) {
    double const each_s = 60 / (static_cast<double>(d.nodes_) * d.settings_.churn_percent / 100);
    bool politely = d.index_ % 2 == 0;
    for (;;) {
      double const wait_s = d.measuring() && d.settings_.churn_percent > 0 ? each_s * (0.5 + d.random_.unit()) : 0.1;
      auto const slept = co_await coro::sleep_for(in_seconds(wait_s));
      if (!slept) co_return;
      house const h = d.measuring() && d.settings_.churn_percent > 0 ? d.any_house() : house();
      if (!h) continue;
      d.work_->spawn(leave(d, h, politely));
      d.work_->spawn(arrive(d));
      d.note([](tallies& t) { ++t.came; });
      politely = !politely;
    }
  }

  house any_house() {
    for (int tries = 0; tries < 20 && !here_.empty(); ++tries) {
      house const h = here_[static_cast<std::size_t>(random_.below(here_.size()))];
      if (h->joined && !h->leaving) return h;
    }
    return {};
  }

  // ---- the load -----------------------------------------------------------------------------------------------------

  static std::string key_of(std::uint64_t id, std::size_t which) {
    return "of " + std::to_string(id) + ", " + std::to_string(which);
  }

  static coro::task<void> put(district& d, house h, std::size_t which, bool fresh) {
    if (h->leaving || h->busy[which]) co_return;
    h->busy[which] = true;
    std::string const key = key_of(h->id, which);
    kad::put_options how;
    how.lifetime = in_seconds(60 * d.settings_.lifetime_minutes);
    bytes value(200);
    d.random_.fill(value);
    double const begun = now_ms();
    auto const receipt = co_await coro::with_deadline(h->node->put(as_bytes(key), value, how), operation_deadline);
    h->busy[which] = false;
    if (h->leaving) co_return;
    bool const ok = receipt && receipt->ok();
    if (ok && fresh) d.all_.known.acknowledged(h->id, key, now_ms());
    if (!d.measuring()) co_return;
    std::string text;
    if (!ok)
      text = "put of '" + key +
             "': " + (receipt ? receipt->explain() + "\n" + receipt->steps().to_text() : receipt.error().message());
    d.note([&](tallies& t) {
      ++t.puts;
      if (!ok) ++t.puts_failed;
      t.put_ms.add(now_ms() - begun);
      if (!ok && t.texts.size() < texts_kept) t.texts.push_back(text);
    });
  }

  static coro::task<void> get(district& d, house h, swarm_register::live_key wanted) {
    double const begun = now_ms();
    auto const got = co_await coro::with_deadline(h->node->get(as_bytes(wanted.key)), operation_deadline);
    double const ended = now_ms();
    if (h->leaving || !d.all_.known.is_there(wanted.publisher)) {
      d.note([](tallies& t) { ++t.not_judged; });
      co_return;
    }
    bool const found = got && got->found();
    std::string text;
    if (!found) {
      char when[160];
      std::snprintf(when, sizeof when,
                    "get of '%s', acknowledged %.1f s before, by node %llu, in %.1f ms: ", wanted.key.c_str(),
                    (begun - wanted.acknowledged_ms) / 1e3, static_cast<unsigned long long>(h->id), ended - begun);
      text = when + (got ? got->explain() + "\n" + got->steps().to_text() : got.error().message());
    }
    d.note([&](tallies& t) {
      ++t.gets;
      if (found) ++t.found;
      t.get_ms.add(ended - begun);
      if (!found && t.texts.size() < texts_kept) t.texts.push_back(text);
    });
  }

  /// Calls `start` at random instants, `a_second` times a second on average, whether what it started before has ended
  /// or not.
  template <class Start>
  static coro::task<void> at_rate(district& d, double a_second, Start start) {
    double next_ms = now_ms();
    for (;;) {
      next_ms += 2'000 / a_second * d.random_.unit();
      double const late_ms = now_ms() - next_ms;
      if (late_ms > 1'000) next_ms = now_ms();
      if (late_ms < 0) {
        auto const slept = co_await coro::sleep_for(in_seconds(-late_ms / 1e3));
        if (!slept) co_return;
      }
      if (d.measuring()) start(d);
    }
  }

  static coro::task<void> read(district& d) {
    co_await at_rate(d, d.settings_.gets / static_cast<double>(d.settings_.threads), start_get);
  }
  static void start_get(district& d) {
    house const h = d.any_house();
    auto const wanted = d.all_.known.any_key(d.random_);
    if (h && wanted && wanted->publisher != h->id) d.work_->spawn(get(d, h, *wanted));
  }

  static coro::task<void> write(district& d) {
    co_await at_rate(d, d.settings_.puts / static_cast<double>(d.settings_.threads), start_put);
  }
  static void start_put(district& d) {
    house const h = d.any_house();
    if (h) d.work_->spawn(put(d, h, static_cast<std::size_t>(d.random_.below(d.settings_.keys)), false));
  }

  swarm& all_;
  churn_settings const& settings_;
  std::size_t index_;
  std::size_t nodes_;
  io::asio::context context_;
  chacha20_random random_;
  std::vector<house> graves_;
  std::vector<house> here_;
  traffic gone_;
  sums gone_asked_;
  std::uint64_t measured_ = 0;
  coro::scope* work_ = nullptr;
  mutable std::mutex mutex_;
  tallies results_;
  traffic flow_;
  sums asked_;
  sums counted_;
  std::size_t size_ = 0;
};

/// The swarm, and what is measured of it.
class churn_run {
 public:
  explicit churn_run(churn_settings const& settings) : settings_(settings), swarm_(settings) {
    for (std::size_t i = 0; i < settings.threads; ++i) {
      std::size_t const share = settings.nodes / settings.threads + (i < settings.nodes % settings.threads ? 1 : 0);
      districts_.emplace_back(swarm_, i, share);
    }
  }

  int run() {
    for (district& d : districts_) threads_.emplace_back([&d] { d.run(); });
    double const begun = now_ms();
    double next_word = begun + 10'000;
    while (!all_there() && now_ms() - begun < warm_up_limit_ms && !interrupted) {
      rest(200);
      if (now_ms() < next_word) continue;
      next_word += 10'000;
      sums asked, counted;
      for (district const& d : districts_) d.add_to(asked, counted);
      std::fprintf(stderr, "%3.0f s: %zu nodes, %zu keys, cpu %.0f s, asked %s counted %s\n", (now_ms() - begun) / 1e3,
                   swarm_.known.nodes(), swarm_.known.keys(), cpu_seconds(), ordered_json(asked).dump().c_str(),
                   ordered_json(counted).dump().c_str());
    }
    bool const there = all_there();
    std::fprintf(stderr, "%zu nodes and %zu keys there after %.1f s\n", swarm_.known.nodes(), swarm_.known.keys(),
                 (now_ms() - begun) / 1e3);
    for (double const until = now_ms() + settle_ms; now_ms() < until && !interrupted;) rest(100);
    begin();
    double const end = begun_ms_ + settings_.minutes * 60'000;
    while (now_ms() < end && !interrupted) {
      rest(1'000);
      sample();
    }
    ended_ms_ = now_ms();
    cpu_s_ = cpu_seconds() - cpu_s_;
    flow_ = flow();
    for (district const& d : districts_) d.add_to(asked_, counted_);
    swarm_.now = phase::over;
    for (std::thread& t : threads_) t.join();
    for (district const& d : districts_) results_.add(d.results());
    bool const good = there && !interrupted && judge();
    print(good);
    return good ? exit_good : exit_bad;
  }

 private:
  static void rest(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

  bool all_there() const {
    return swarm_.known.nodes() >= settings_.nodes && swarm_.known.keys() >= settings_.nodes * settings_.keys;
  }

  traffic flow() const {
    traffic sum;
    for (district const& d : districts_) sum.add(d.flow());
    return sum;
  }

  static double cpu_seconds() {
    rusage own{};
    ::getrusage(RUSAGE_SELF, &own);
    auto const of = [](timeval const& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return of(own.ru_utime) + of(own.ru_stime);
  }

  void begin() {
    begun_ms_ = now_ms();
    begin_flow_ = last_flow_ = flow();
    sums ignored;
    for (district const& d : districts_) d.add_to(begin_asked_, ignored);
    cpu_s_ = last_cpu_ = cpu_seconds();
    swarm_.now = phase::measuring;
    next_progress_ms_ = begun_ms_ + 60'000;
  }

  void sample() {
    double const now = now_ms();
    auto const use = memory_of(::getpid());
    if (use) memory_.add((now - begun_ms_) / 1e3, use->resident_kib);
    if (now < next_progress_ms_) return;
    next_progress_ms_ += 60'000;
    tallies t;
    std::size_t size = 0;
    for (district const& d : districts_) {
      t.add(d.results());
      size += d.size();
    }
    traffic const f = flow();
    double const cpu = cpu_seconds();
    double const per = 60 * static_cast<double>(settings_.nodes);
    std::fprintf(
        stderr,
        "minute %3.0f: %zu nodes, %zu live keys, %llu of %llu gets found, %llu of %llu puts failed, %llu left, "
        "a node sends %.1f datagrams/s %.0f bytes/s, %.0f MiB, cpu %.0f%%\n",
        (now - begun_ms_) / 60'000, size, swarm_.known.keys(), ull(t.found), ull(t.gets), ull(t.puts_failed),
        ull(t.puts), ull(t.left_politely + t.left_silently), static_cast<double>(f.sent - last_flow_.sent) / per,
        static_cast<double>(f.sent_bytes - last_flow_.sent_bytes) / per, use ? use->resident_kib / 1024 : 0,
        (cpu - last_cpu_) / 0.6);
    std::fflush(stderr);
    last_flow_ = f;
    last_cpu_ = cpu;
  }

  double share() const {
    return results_.gets == 0 ? 0 : static_cast<double>(results_.found) / static_cast<double>(results_.gets);
  }
  bool judge() const {
    auto const m = memory_.judge();
    return share() >= 0.9999 && (!m || m->highest_percent() <= memory_series::allowed_percent);
  }

  static unsigned long long ull(std::uint64_t n) { return n; }

  void print(bool good) const {
    double const seconds = (ended_ms_ - begun_ms_) / 1e3;
    double const per = seconds * static_cast<double>(settings_.nodes);
    auto const rate = [per](std::uint64_t end, std::uint64_t begin) {
      return std::round(10 * static_cast<double>(end - begin) / per) / 10;
    };
    ordered_json minutes = ordered_json::array();
    for (int m = 0; m <= memory_.last_minute(); ++m) minutes.push_back(std::round(memory_.minute(m).value_or(0)));
    auto const m = memory_.judge();
    ordered_json asked = ordered_json::object();
    for (auto const& [name, n] : asked_) {
      auto const before = begin_asked_.find(name);
      asked[name] = rate(n, before == begin_asked_.end() ? 0 : before->second);
    }
    ordered_json const all = {
        {"ok", good},
        {"nodes", settings_.nodes},
        {"churn_percent_per_minute", settings_.churn_percent},
        {"minutes", std::round(seconds / 0.6) / 100},
        {"seed", settings_.seed},
        {"replicas", settings_.replicas},
        {"gets", results_.gets},
        {"found", results_.found},
        {"success_percent", 100 * share()},
        {"not_judged", results_.not_judged},
        {"get", results_.get_ms.to_json()},
        {"puts", results_.puts},
        {"puts_failed", results_.puts_failed},
        {"put", results_.put_ms.to_json()},
        {"left_politely", results_.left_politely},
        {"left_silently", results_.left_silently},
        {"came", results_.came},
        {"join", results_.join_ms.to_json()},
        {"joins_failed", results_.joins_failed},
        {"per_node_and_second",
         {{"datagrams_sent", rate(flow_.sent, begin_flow_.sent)},
          {"bytes_sent", rate(flow_.sent_bytes, begin_flow_.sent_bytes)},
          {"datagrams_received", rate(flow_.received, begin_flow_.received)},
          {"bytes_received", rate(flow_.received_bytes, begin_flow_.received_bytes)}}},
        {"requests_per_node_and_second", asked},
        {"counters_of_all_present", counted_},
        {"resident_kib_by_minute", minutes},
        {"resident_end_to_minute_10_percent", m ? ordered_json(std::round(100 * m->end_percent()) / 100) : nullptr},
        {"cpu_share_of_a_core", std::round(1000 * cpu_s_ / seconds) / 1000},
        {"failures", results_.texts}};
    FILE* const to = settings_.json ? stderr : stdout;
    std::fprintf(to, "\n");
    for (auto const& [name, value] : all.items())
      if (name != "failures") std::fprintf(to, "  %-34s %s\n", name.c_str(), value.dump().c_str());
    for (std::string const& text : results_.texts) std::fprintf(to, "FAILURE %s\n", text.c_str());
    if (settings_.json) std::printf("%s\n", all.dump(-1, ' ', false, ordered_json::error_handler_t::replace).c_str());
    std::fflush(to);
    std::fflush(stdout);
  }

  churn_settings settings_;
  swarm swarm_;
  std::deque<district> districts_;
  std::vector<std::thread> threads_;
  tallies results_;
  memory_series memory_;
  traffic begin_flow_;
  traffic last_flow_;
  traffic flow_;
  sums begin_asked_;
  sums asked_;
  sums counted_;
  double begun_ms_ = 0;
  double ended_ms_ = 0;
  double next_progress_ms_ = 0;
  double cpu_s_ = 0;
  double last_cpu_ = 0;
};

}  // namespace

int run_churn(churn_settings const& settings) {
  struct sigaction on_signal{};
  on_signal.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &on_signal, nullptr);
  ::sigaction(SIGTERM, &on_signal, nullptr);
  churn_run all(settings);
  return all.run();
}

}  // namespace kadoro_soak
