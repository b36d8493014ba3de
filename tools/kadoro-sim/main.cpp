// Swarms in a simulated world: one run, or a campaign of many.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <thread>

#include "attack.hpp"
#include "campaign.hpp"
#include "choices.hpp"
#include "measure.hpp"
#include "predict.hpp"
#include "run.hpp"
#include "trace_file.hpp"

namespace {

using namespace kadoro_sim;

constexpr int exit_good = 0;
constexpr int exit_broken = 1;
constexpr int exit_usage = 2;

std::string program = "kadoro-sim";  // as it was called

int complain(int code, std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::fprintf(stderr, "kadoro-sim: %s\n", text.c_str());
  return code;
}

/// CLI11 reads -1, and what is too large, as the largest number.
std::string check_whole(std::string const& text) {
  std::uint64_t value = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool const whole = problem == std::errc() && end == text.data() + text.size();
  return whole ? std::string() : "'" + text + "' is not a whole number of 64 bits";
}

void add_choices(CLI::App& to, choices& c) {
  to.add_option("--nodes", c.nodes, "members of the swarm; default: drawn from the seed")
      ->check(CLI::Range(std::size_t{2}, std::size_t{10'000}));
  to.add_option("--minutes", c.minutes, "simulated minutes with faults; default: some lifetimes of a record")
      ->check(CLI::Range(0.01, 1e6));
  to.add_option("--faults", c.faults, "all, none, random (a part that the seed draws), or some: loss,restart")
      ->capture_default_str();
  to.add_option("--transport", c.transport, "datagram or stream; default: drawn from the seed");
}

// ---- run ------------------------------------------------------------------------------------------------------------

struct run_settings {
  choices swarm;
  std::uint64_t seed = 1;
  std::string trace;
  std::uint64_t until_event = 0;
};

void add_run(CLI::App& to, run_settings& s) {
  add_choices(to, s.swarm);
  to.add_option("--seed", s.seed, "the run follows from it")
      ->check(CLI::Validator(check_whole, "NUMBER"))
      ->capture_default_str();
  to.add_option("--trace", s.trace, "file that gets every datagram and fault, one JSON object a line");
  to.add_option("--until-event", s.until_event, "stop after it")->check(CLI::Validator(check_whole, "NUMBER"));
}

double in_seconds(kadoro::duration d) { return std::chrono::duration<double>(d).count(); }

void print_plan(plan const& p) {
  std::printf("seed %llu: %zu nodes by %s, %zu shards, %zu directories, k %zu, r %zu, %zu keys, %s\n",
              static_cast<unsigned long long>(p.seed), p.nodes,
              p.transport == transport_kind::stream ? "stream" : "datagram", p.shards, p.directories, p.k, p.replicas,
              p.keys, p.secret ? "a swarm key" : "no swarm key");
  std::printf("  lifetime %.1f s, think %.1f s, delay %.1f ms, faults for %.1f s every %.1f s, then calm for %.1f s\n",
              in_seconds(p.lifetime), in_seconds(p.think), 1e3 * in_seconds(p.delay), in_seconds(p.length),
              in_seconds(p.fault_gap), in_seconds(p.calm));
  if (p.provided > 0) std::printf("  %zu contents that members provide\n", p.provided);
  if (p.session_packets > 0)
    std::printf("  sessions are followed by others after %.1f s or %llu packets\n", in_seconds(p.session_age),
                static_cast<unsigned long long>(p.session_packets));
  std::string faults;
  for (std::size_t i = 0; i < fault_count; ++i)
    if (p.faults.has(static_cast<fault>(i))) faults += " " + std::string(to_string(static_cast<fault>(i)));
  std::printf("  faults:%s\n\n", faults.empty() ? " none" : faults.c_str());
}

void print_verdict(verdict const& v, double seconds) {
  using ull = unsigned long long;
  std::printf("%.1f s simulated in %.2f s, %llu events, %.0f events/s, %llu datagrams\n", v.simulated_s, seconds,
              static_cast<ull>(v.events), seconds > 0 ? static_cast<double>(v.events) / seconds : 0,
              static_cast<ull>(v.datagrams));
  std::printf("puts %llu of %llu ok, gets %llu of %llu found, recall %llu of %llu\n\n", static_cast<ull>(v.puts_ok),
              static_cast<ull>(v.puts), static_cast<ull>(v.gets_found), static_cast<ull>(v.gets),
              static_cast<ull>(v.recall_found), static_cast<ull>(v.recall_wanted));
  std::printf("%s\n%s\ntrace %s\n", fault_table(v.faults).c_str(), check_table(v.checks).c_str(),
              to_hex(v.trace_hash).c_str());
}

int run_one(run_settings const& s) {
  auto const limits = s.swarm.limits();
  if (!limits) return complain(exit_usage, limits.error().message());
  run_options how;
  how.until_event = s.until_event;
  std::optional<trace_file> trace;
  if (!s.trace.empty()) {
    auto made = trace_file::create(s.trace);
    if (!made) return complain(exit_broken, made.error().message());
    how.observer = &trace.emplace(std::move(*made));
  }

  plan const drawn = draw_plan(s.seed, *limits);
  print_plan(drawn);
  std::fflush(stdout);
  auto const began = std::chrono::steady_clock::now();
  verdict const v = simulate(drawn, how);
  print_verdict(v, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());

  int code = exit_good;
  if (s.until_event > 0 && !v.broken)
    std::printf("%s event %llu\n", v.events >= s.until_event ? "stopped, as asked, after" : "it ended before",
                static_cast<unsigned long long>(s.until_event));
  std::fflush(stdout);
  if (v.broken) {
    finding const f = *outcome_of(v).failed;
    std::fprintf(stderr, "broken: %s: %s\n  at event %llu, after %.6f s\n  replay: %s\n", f.invariant.c_str(),
                 f.detail.c_str(), static_cast<unsigned long long>(f.event), v.broken->at_s,
                 replay_command(f, program + " run" + s.swarm.flags()).c_str());
    code = exit_broken;
  }
  if (trace) {
    auto const written = trace->finish();
    if (!written) code = complain(exit_broken, written.error().message());
  }
  return code;
}

// ---- campaign -------------------------------------------------------------------------------------------------------

struct campaign_choices {
  choices swarm;
  std::string seeds;
  std::string seed_file;
  std::size_t jobs = std::max(1u, std::thread::hardware_concurrency());
  double time_limit_s = 0;
  bool stop_at_first = false;
  bool json = false;
};

void add_campaign(CLI::App& to, campaign_choices& c) {
  add_choices(to, c.swarm);
  to.add_option("--seeds", c.seeds, "A..B, both included");
  to.add_option("--seed-file", c.seed_file, "file with seeds, one a line, each before what there is to say about it");
  to.add_option("--jobs", c.jobs, "runs at a time; default: as many as there are cores")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}));
  to.add_option("--time-limit", c.time_limit_s, "seconds after which no more counts")->check(CLI::Range(0.1, 1e9));
  to.add_flag("--stop-at-first", c.stop_at_first, "begin no more seeds once one has failed");
  to.add_flag("--json", c.json, "print one JSON object with the outcome, and nothing else");
}

int run_many(campaign_choices const& c) {
  campaign_settings settings;
  auto const limits = c.swarm.limits();
  if (!limits) return complain(exit_usage, limits.error().message());
  settings.limits = *limits;
  if (c.seeds.empty() && c.seed_file.empty()) return complain(exit_usage, "--seeds or --seed-file says which");
  if (!c.seeds.empty()) {
    auto seeds = parse_seeds(c.seeds);
    if (!seeds) return complain(exit_usage, seeds.error().message());
    settings.seeds = std::move(*seeds);
  }
  if (!c.seed_file.empty()) {
    auto const seeds = read_seed_file(c.seed_file);
    if (!seeds) return complain(exit_usage, seeds.error().message());
    settings.seeds.insert(settings.seeds.end(), seeds->begin(), seeds->end());
  }
  settings.jobs = c.jobs;
  settings.time_limit = std::chrono::duration<double>(c.time_limit_s);
  settings.stop_at_first = c.stop_at_first;
  settings.simulate = [](plan const& of) { return simulate(of); };

  report const sum = run_campaign(settings);
  if (c.json) {
    using json = nlohmann::ordered_json;
    std::printf("%s\n", sum.to_json().dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    std::fputs(sum.to_text(program + " run" + c.swarm.flags()).c_str(), stdout);
  }
  if (std::fflush(stdout) != 0) return complain(exit_broken, "cannot write to stdout");
  return sum.good() ? exit_good : exit_broken;
}

// ---- measurements ---------------------------------------------------------------------------------------------------

struct measure_settings {
  std::size_t nodes = 8;
  double minutes = 60;
};

struct predict_choices {
  std::string events;
  predict_settings how;
};

void add_predict(CLI::App& to, predict_choices& c) {
  to.add_option("--events", c.events, "folder with 0.jsonl of the rendezvous, and 1.jsonl, 2.jsonl, ... of the nodes")
      ->required();
  to.add_option("--rtt", c.how.rtt_ms, "of the real network, in milliseconds")
      ->check(CLI::Range(0.01, 1e4))
      ->capture_default_str();
  to.add_option("--cluster", c.how.cluster, "as the nodes were told")->capture_default_str();
  to.add_option("--cores", c.how.cores, "of the machine that ran the real one")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}))
      ->capture_default_str();
  to.add_option("--datagram-us", c.how.datagram_us, "CPU time that a datagram took it")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  to.add_option("--handshake-us", c.how.handshake_us, "the same, of one that opens a session")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
}

int run_predict(predict_choices const& c) {
  auto const real = recording::read(c.events);
  if (!real) return complain(exit_usage, real.error().message());
  auto const made = predict(*real, c.how);
  if (!made) return complain(exit_usage, made.error().message());
  std::printf("%s\n", made->figures.dump().c_str());
  return made->good ? exit_good : exit_broken;
}

// ---- attacks --------------------------------------------------------------------------------------------------------

struct attack_choices {
  attack_settings how;
  std::string aim = "capture";
  std::string defence = "on";
  std::string seeds = "1..3";
};

void add_attack(CLI::App& to, attack_choices& c) {
  to.add_option("--aim", c.aim, "capture a key, or eclipse a node that joins")
      ->check(CLI::IsMember({"capture", "eclipse"}))
      ->capture_default_str();
  to.add_option("--nodes", c.how.nodes, "honest ones")->check(CLI::Range(30, 5000))->capture_default_str();
  to.add_option("--sybils", c.how.sybils, "identities of the attacker")
      ->check(CLI::Range(1, 5000))
      ->capture_default_str();
  to.add_option("--ranges", c.how.ranges, "address ranges of the sybils; 0: one each")
      ->check(CLI::Range(0, 255))
      ->capture_default_str();
  to.add_option("--replicas", c.how.replicas, "of a record")->check(CLI::Range(1, 20))->capture_default_str();
  to.add_option("--defence", c.defence, "on, off, ranges (limits of address ranges only) or region (that only)")
      ->check(CLI::IsMember({"on", "off", "ranges", "region"}))
      ->capture_default_str();
  to.add_option("--seeds", c.seeds, "A..B, both included")->capture_default_str();
}

int run_attacks(attack_choices const& c) {
  auto const seeds = parse_seeds(c.seeds);
  if (!seeds) return complain(exit_usage, seeds.error().message());
  attack_settings how = c.how;
  how.what = c.aim == "eclipse" ? attack_settings::aim::eclipse : attack_settings::aim::capture;
  how.limit_ranges = c.defence == "on" || c.defence == "ranges";
  how.use_region = c.defence == "on" || c.defence == "region";
  attack_outcome sum;
  for (std::uint64_t const seed : *seeds) sum = sum + run_attack(how, seed);
  nlohmann::ordered_json out = {{"aim", c.aim},          {"nodes", how.nodes},       {"sybils", how.sybils},
                                {"ranges", how.ranges},  {"replicas", how.replicas}, {"defence", c.defence},
                                {"seeds", seeds->size()}};
  out.update(sum.to_json());
  std::printf("%s\n", out.dump().c_str());
  return exit_good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 0) program = argv[0];
  CLI::App app(
      "Swarms in a simulated world, where everything that can go wrong does, and an oracle judges what comes of it.");
  app.require_subcommand(1);

  run_settings one;
  CLI::App& run_command = *app.add_subcommand("run", "one run, and what happened in it");
  add_run(run_command, one);

  campaign_choices many;
  CLI::App& campaign_command = *app.add_subcommand("campaign", "many runs, and what fails");
  add_campaign(campaign_command, many);

  measure_settings rest;
  CLI::App& rest_command = *app.add_subcommand("rest", "how fast a shard swarm that does nothing is simulated");
  rest_command.add_option("--nodes", rest.nodes, "holders")->check(CLI::Range(1, 1000))->capture_default_str();
  rest_command.add_option("--minutes", rest.minutes, "simulated")->check(CLI::Range(0.1, 1e6))->capture_default_str();

  measure_settings crowd{1000, 0};
  CLI::App& crowd_command = *app.add_subcommand("crowd", "what it takes until many nodes have joined");
  crowd_command.add_option("--nodes", crowd.nodes, "servers")->check(CLI::Range(2, 100'000))->capture_default_str();

  attack_choices evil;
  CLI::App& attack_command = *app.add_subcommand("attack", "what sybils around a key, or around a newcomer, achieve");
  add_attack(attack_command, evil);

  predict_choices real;
  CLI::App& predict_command = *app.add_subcommand("predict", "what a real shard swarm takes, next to what it took");
  add_predict(predict_command, real);

  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help
    return complain(exit_usage, e.what());
  }
  if (run_command.parsed()) return run_one(one);
  if (campaign_command.parsed()) return run_many(many);
  if (predict_command.parsed()) return run_predict(real);
  if (attack_command.parsed()) return run_attacks(evil);
  auto const measured = rest_command.parsed() ? measure_rest(rest.nodes, rest.minutes) : measure_crowd(crowd.nodes);
  std::printf("%s\n", measured.dump().c_str());
  return exit_good;
}
