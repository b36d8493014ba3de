#include "predict.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "inhabitant.hpp"
#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/kad/key.hpp"
#include "trace_file.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;
using directory::directory_event;
using nlohmann::ordered_json;

namespace {

constexpr std::size_t value_bytes = 300;
constexpr duration patience = 1h;  // simulated, for the whole swarm

double in_ms(duration d) { return std::chrono::duration<double, std::milli>(d).count(); }
duration of_ms(double ms) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double, std::milli>(ms));
}

/// Nearest rank, as the real one counts it.
std::optional<double> p50(std::vector<double> all) {
  if (all.empty()) return std::nullopt;
  std::sort(all.begin(), all.end());
  return all[(all.size() + 1) / 2 - 1];
}

std::optional<double> median(std::vector<double> all) {
  if (all.empty()) return std::nullopt;
  std::sort(all.begin(), all.end());
  return (all[(all.size() - 1) / 2] + all[all.size() / 2]) / 2;
}

std::optional<double> largest(std::vector<double> const& all) {
  if (all.empty()) return std::nullopt;
  return *std::max_element(all.begin(), all.end());
}

/// The secret key of `id` is not known, but who is close to which key decides who stores what: an identity whose place
/// in the key space begins with the same bits.
crypto::identity stand_in(kad::peer_id const& id, random_source& random) {
  static constexpr int same_bits = 10;  // enough to keep the order of some ten peers around nearly every key
  kad::key const wanted = kad::key::of(id);
  for (;;) {
    auto const drawn = crypto::identity::generate(random);
    if (wanted.common_prefix(kad::key::of(kad::peer_id::of_ed25519(drawn.public_key()))) >= same_bits) return drawn;
  }
}

/// The machine that runs all the processes. Its cores take up what datagrams cost in the order in which these are sent.
/// Without that, much would happen at the very same instant, in an order that no real swarm has.
class machine {
 public:
  machine(io::sim::world& world, predict_settings const& how)
      : world_(world),
        one_way_(of_ms(how.rtt_ms / 2)),
        datagram_(of_ms(how.datagram_us / 1e3)),
        handshake_(of_ms(how.handshake_us / 1e3)),
        free_at_(how.cores, world.now()) {
    world.set_filter([this](io::endpoint const&, io::endpoint const&, bytes& data) {
      send(kind_of(data) == "sealed" ? datagram_ : handshake_);
      return true;
    });
  }

 private:
  void send(duration cost) {
    auto const core = std::min_element(free_at_.begin(), free_at_.end());
    *core = std::max(world_.now(), *core) + cost;
    io::sim::link_policy link;
    link.delay = one_way_ + (*core - world_.now());
    world_.set_link(link);  // for this datagram: the next one sets its own
  }

  io::sim::world& world_;
  duration one_way_;
  duration datagram_;
  duration handshake_;
  std::vector<time_point> free_at_;
};

/// A process of the swarm: what `shard_swarm rendezvous` and `shard_swarm node` do, in the same order.
class process final : private directory::directory_observer {
 public:
  process(io::sim::world& world, std::size_t index, recorded_process const& real, random_source& random)
      : index_(index), real_(real), home_(world, index, stand_in(real.id, random)) {}

  ~process() { home_.host.crash(); }

  result<void> start(std::string cluster, std::size_t replicas, std::vector<std::unique_ptr<process>> const& all) {
    cluster_ = std::move(cluster);
    began_ = home_.host.now() - of_ms(real_.listening_ms);
    kad::node_options options;
    options.replicas = replicas;
    if (index_ > 0) options.bootstrap = {all[0]->home_.where()};
    home_.open(options);
    if (index_ == 0) return {};
    // Whose keys the gets are of: the next shard's, or else those of the first that puts.
    get_from_ = index_ % (all.size() - 1) + 1;
    if (all[get_from_]->real_.puts.count == 0)
      for (std::size_t i = all.size() - 1; i > 0; --i)
        if (i != index_ && all[i]->real_.puts.count > 0) get_from_ = i;

    directory::directory_options shards;
    shards.cluster = cluster_;
    shards.total_shards = static_cast<std::uint32_t>(all.size() - 1);
    shards.total_layers = std::max(shards.total_layers, shards.total_shards);
    auto opened = directory::swarm_directory::open(*home_.node, shards, this);
    if (!opened) return fail(opened.error());
    home_.shards = std::move(*opened);
    home_.host.spawn(announce(*this));
    home_.host.spawn(await_stored(*this));
    home_.host.spawn(join(*this));
    home_.host.spawn(bench(*this));
    return {};
  }

  std::optional<double> announced_ms() const noexcept { return announced_ms_; }
  std::optional<double> complete_ms() const noexcept { return complete_ms_; }
  bool tested() const noexcept { return tested_; }
  std::vector<double> const& puts() const noexcept { return puts_; }
  std::vector<double> const& gets() const noexcept { return gets_; }

 private:
  static coro::task<void> join(process& p) {
    duration wait = 200ms;
    for (;;) {
      auto const joined = co_await p.home_.node->join();
      if (joined) co_return;
      auto const slept = co_await coro::sleep_for(wait);
      if (!slept) co_return;
      wait = std::min<duration>(wait * 2, 5s);
    }
  }

  static coro::task<void> announce(process& p) {
    duration wait = 1s;
    for (;;) {
      auto what = p.home_.shards->describe(static_cast<std::uint32_t>(p.index_ - 1));
      auto const receipt = co_await p.home_.shards->announce(std::move(what));
      static_cast<void>(receipt);  // what counts is who stores it in the end
      auto const stored = co_await coro::with_deadline(wait_for(p.stored_), wait);
      if (stored || stored.error() != errc::timed_out) co_return;
      wait = std::min<duration>(wait * 2, 8s);
    }
  }

  static coro::task<result<void>> wait_for(coro::event& what) { co_return co_await what.wait(); }

  static coro::task<void> await_stored(process& p) {
    while (!p.announced()) {
      auto const slept = co_await coro::sleep_for(1ms);
      if (!slept) co_return;
    }
    p.stored_.set();
  }

  /// A majority of the servers that there are, or of the replicas wanted, stores it.
  bool announced() {
    kad::node& node = *home_.node;
    std::size_t const population = node.settled() ? std::min(node.replicas(), node.servers()) : node.replicas();
    if (home_.shards->stored_by().size() < kad::quorum::majority().needed(population)) return false;
    announced_ms_ = age_ms();
    return true;
  }

  static coro::task<void> bench(process& p) {
    auto const complete = co_await p.complete_.wait();
    if (!complete) co_return;
    co_await put_all(p);
    co_await get_all(p);
    p.tested_ = true;
  }

  static coro::task<void> put_all(process& p) {
    kad::put_options how;
    // The puts of the others are only there to be read.
    how.quorum = p.index_ == 1 ? kad::quorum::all() : kad::quorum::majority();
    bytes value(value_bytes);
    for (std::size_t i = 0; i < p.real_.puts.count; ++i) {
      std::string const key = p.bench_key(p.index_, i);
      p.home_.host.random().fill(value);
      time_point const begin = p.home_.host.now();
      auto const receipt = co_await p.home_.node->put(as_bytes(key), value, how);
      if (receipt && receipt->ok()) p.puts_.push_back(in_ms(p.home_.host.now() - begin));
    }
  }

  static coro::task<void> get_all(process& p) {
    std::size_t there = 0;
    std::size_t done = 0;
    for (std::size_t i = 0; done < p.real_.gets.count; ++i) {
      std::string const key = p.bench_key(p.get_from_, i);
      if (p.held_here(key)) continue;  // that would be no get over the network
      if (i >= there) {
        there = co_await wait_for_key(p, i);
        if (there == 0) co_return;
      }
      time_point const begin = p.home_.host.now();
      auto const got = co_await p.home_.node->get(as_bytes(key));
      ++done;
      if (got && got->found()) p.gets_.push_back(in_ms(p.home_.host.now() - begin));
    }
  }

  /// How many keys are known to be there once key `i` is; 0 if it does not come.
  static coro::task<std::size_t> wait_for_key(process& p, std::size_t i) {
    static constexpr std::size_t ahead = 64;
    time_point const give_up = p.home_.host.now() + 60s;
    while (p.home_.host.now() < give_up) {
      std::string const far = p.bench_key(p.get_from_, i + ahead);
      auto const further = co_await p.home_.node->get(as_bytes(far));
      if (further && further->found()) co_return i + ahead + 1;
      std::string const near = p.bench_key(p.get_from_, i);
      auto const got = co_await p.home_.node->get(as_bytes(near));
      if (got && got->found()) co_return i + 1;
      auto const slept = co_await coro::sleep_for(20ms);
      if (!slept) break;
    }
    co_return 0;
  }

  std::string bench_key(std::size_t index, std::size_t i) const {
    return "/bench/" + cluster_ + "/" + std::to_string(index - 1) + "/" + std::to_string(i);
  }

  bool held_here(std::string const& key) const {
    std::vector<kad::record_store::held> held;
    home_.node->store().get(as_bytes(key), home_.host.now(), held);
    return !held.empty();
  }

  double age_ms() const { return in_ms(home_.host.now() - began_); }

  void on_directory_event(directory_event const& e) override {
    if (e.what != directory_event::kind::complete) return;
    if (!complete_ms_) complete_ms_ = age_ms();
    complete_.set();
  }

  std::size_t index_;
  recorded_process const& real_;
  std::string cluster_;
  std::size_t get_from_ = 0;
  time_point began_;
  inhabitant home_;
  coro::event complete_;
  coro::event stored_;
  bool tested_ = false;
  std::optional<double> announced_ms_;
  std::optional<double> complete_ms_;
  std::vector<double> puts_;
  std::vector<double> gets_;
};

using processes = std::vector<std::unique_ptr<process>>;

/// Every process starts when the real one listened, by the same clock.
result<processes> simulate(io::sim::world& world, recording const& real, predict_settings const& how) {
  chacha20_random random(1);
  processes all;
  std::vector<std::size_t> order;
  std::size_t replicas = 1;
  for (std::size_t i = 0; i < real.processes.size(); ++i) {
    all.push_back(std::make_unique<process>(world, i, real.processes[i], random));
    order.push_back(i);
    replicas = std::max(replicas, real.processes[i].replicas);
  }
  auto const listened = [&](std::size_t i) { return real.processes[i].began_ms + real.processes[i].listening_ms; };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return listened(a) != listened(b) ? listened(a) < listened(b) : a < b;
  });
  time_point const begin = world.now();
  for (std::size_t const i : order) {
    world.run_until(begin + of_ms(listened(i) - listened(order[0])));
    auto const started = all[i]->start(how.cluster, replicas, all);
    if (!started) return fail(started.error());
  }
  world.run_until([&] {
    return world.now() - begin > patience ||
           (all[1]->tested() && std::all_of(all.begin() + 1, all.end(),
                                            [](auto const& p) { return p->complete_ms() && p->announced_ms(); }));
  });
  return all;
}

double rounded(double value) { return std::round(value * 1e3) / 1e3; }

/// One figure of both. True if they agree.
bool compare(ordered_json& into, char const* name, std::optional<double> real, std::optional<double> simulated) {
  ordered_json& line = into[name];
  line = {{"real", nullptr}, {"simulated", nullptr}, {"difference_percent", nullptr}};
  if (real) line["real"] = rounded(*real);
  if (simulated) line["simulated"] = rounded(*simulated);
  if (!real || !simulated || *real <= 0) return false;
  double const difference = 100 * (*simulated - *real) / *real;
  line["difference_percent"] = rounded(difference);
  return std::abs(difference) <= prediction::tolerance_percent;
}

}  // namespace

result<prediction> predict(recording const& real, predict_settings const& how) {
  io::sim::world world(1);
  machine const shared(world, how);
  auto const simulated = simulate(world, real, how);
  if (!simulated) return fail(simulated.error());
  processes const& all = *simulated;
  std::vector<double> real_announced, real_complete, announced, complete;
  for (std::size_t i = 1; i < all.size(); ++i) {
    real_announced.push_back(real.processes[i].announced_ms);
    real_complete.push_back(real.processes[i].complete_ms);
    if (auto const ms = all[i]->announced_ms()) announced.push_back(*ms);
    if (auto const ms = all[i]->complete_ms()) complete.push_back(*ms);
  }
  if (announced.size() < real_announced.size()) announced.clear();  // some never: there is no such figure
  if (complete.size() < real_complete.size()) complete.clear();

  recorded_process const& first = real.processes[1];
  prediction made;
  made.figures = {{"nodes", real_complete.size()}, {"rtt_ms", how.rtt_ms}};
  bool const put = compare(made.figures, "put_p50_ms", first.puts.p50_ms, p50(all[1]->puts()));
  bool const get = compare(made.figures, "get_p50_ms", first.gets.p50_ms, p50(all[1]->gets()));
  bool const last = compare(made.figures, "complete_max_ms", largest(real_complete), largest(complete));
  compare(made.figures, "complete_median_ms", median(real_complete), median(complete));
  compare(made.figures, "announced_max_ms", largest(real_announced), largest(announced));
  compare(made.figures, "announced_median_ms", median(real_announced), median(announced));
  made.good = put && get && last;
  made.figures["good"] = made.good;
  return made;
}

}  // namespace kadoro_sim
