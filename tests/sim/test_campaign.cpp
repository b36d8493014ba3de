#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include "kadoro-sim/campaign.hpp"
#include "kadoro-sim/choices.hpp"
#include "kadoro-sim/run.hpp"
#include "kadoro-sim/trace_file.hpp"

using namespace kadoro_sim;

namespace {

/// A small swarm that is soon at its end.
plan_limits small() {
  plan_limits limits;
  limits.nodes = 4;
  limits.length = std::chrono::seconds(5);
  limits.transport = transport_kind::datagram;
  return limits;
}

/// What a run of this plan could have given, without running it.
verdict made_up(plan const& of) {
  verdict v;
  v.seed = of.seed;
  v.events = 100 + of.seed;
  v.datagrams = 7 * of.seed;
  v.simulated_s = 3600;
  v.trace_hash = of.seed * 0x9e3779b97f4a7c15u;
  v.nodes = of.nodes;
  v.faults[static_cast<std::size_t>(fault::loss)] = of.seed;
  v.checks[static_cast<std::size_t>(check::genuine)] = 2;
  v.recall_found = 10;
  v.recall_wanted = 10;
  return v;
}

campaign_settings quiet(std::vector<std::uint64_t> seeds, std::size_t jobs) {
  campaign_settings s;
  s.seeds = std::move(seeds);
  s.jobs = jobs;
  s.progress = false;
  s.simulate = made_up;
  return s;
}

std::string without_time(report r) {
  r.seconds = 0;
  return r.to_json().dump();
}

std::vector<std::uint64_t> seeds(std::string const& text) {
  auto const parsed = parse_seeds(text);
  REQUIRE(parsed);
  return *parsed;
}

class scratch_file {
 public:
  explicit scratch_file(std::string const& text) { std::ofstream(path_) << text; }
  ~scratch_file() { std::remove(path_.c_str()); }
  scratch_file(scratch_file const&) = delete;
  scratch_file& operator=(scratch_file const&) = delete;

  std::string const& path() const { return path_; }
  std::string text() const {
    std::ifstream in(path_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  static inline int made_ = 0;
  std::string path_ = "test_campaign." + std::to_string(::getpid()) + "." + std::to_string(++made_);
};

}  // namespace

TEST_CASE("plan: what a seed draws") {
  struct expected {
    std::uint64_t seed;
    std::size_t nodes, k, replicas, shards, keys;
    std::chrono::milliseconds lifetime;
    std::chrono::microseconds delay;
    bool loss;
  };
  using namespace std::chrono_literals;
  for (expected const& e :
       {expected{1, 40, 12, 4, 2, 3, 4036ms, 19004us, false}, expected{2, 11, 8, 4, 6, 3, 6382ms, 5615us, true},
        expected{77, 31, 20, 4, 6, 6, 6210ms, 11107us, true}}) {
    CAPTURE(e.seed);
    plan const p = draw_plan(e.seed, {});
    CHECK(p.seed == e.seed);
    CHECK(p.nodes == e.nodes);
    CHECK(p.k == e.k);
    CHECK(p.replicas == e.replicas);
    CHECK(p.shards == e.shards);
    CHECK(p.keys == e.keys);
    CHECK(p.lifetime == e.lifetime);
    CHECK(p.delay == e.delay);
    CHECK(p.faults.has(fault::loss) == e.loss);
  }
  // What the user fixes changes that alone.
  plan_limits limits;
  limits.nodes = 9;
  limits.all_faults = true;
  plan const p = draw_plan(1, limits);
  CHECK(p.nodes == 9);
  CHECK(p.k == 12);
  CHECK(p.faults.has(fault::loss));
}

TEST_CASE("run: the same seed gives the same run, in one process") {
  plan const p = draw_plan(3, small());
  verdict const a = simulate(p);
  verdict const b = simulate(p);
  CHECK(a.events > 1000);
  CHECK(a.trace_hash == b.trace_hash);
  CHECK(to_line(outcome_of(a)) == to_line(outcome_of(b)));

  verdict const other = simulate(draw_plan(4, small()));
  CHECK(other.trace_hash != a.trace_hash);
}

TEST_CASE("run: a trace changes nothing, and ends where it is told to") {
  plan const p = draw_plan(3, small());
  verdict const whole = simulate(p);
  scratch_file const file("");
  auto trace = trace_file::create(file.path());
  REQUIRE(trace);
  run_options how;
  how.observer = &*trace;
  verdict const traced = simulate(p, how);
  auto const written = trace->finish();
  CHECK(written);
  CHECK(traced.trace_hash == whole.trace_hash);
  CHECK(traced.events == whole.events);

  std::ifstream in(file.path());
  std::string line;
  std::size_t datagrams = 0;
  std::size_t others = 0;
  std::uint64_t last_event = 0;
  while (std::getline(in, line)) {
    auto const one = nlohmann::json::parse(line);
    REQUIRE(one.at("event").get<std::uint64_t>() >= last_event);
    last_event = one.at("event").get<std::uint64_t>();
    if (one.contains("fate"))
      ++datagrams;
    else
      others += one.at("text").is_string() ? 1u : 0u;
  }
  CHECK(datagrams > 1000);
  CHECK(others > 4);

  run_options half;
  half.until_event = whole.events / 2;
  verdict const stopped = simulate(p, half);
  CHECK(stopped.events >= half.until_event);
  CHECK(stopped.events < whole.events);
}

TEST_CASE("campaign: real runs, and the number of workers makes no difference") {
  campaign_settings one = quiet(seeds("1..4"), 1);
  one.limits = small();
  one.simulate = [](plan const& of) { return simulate(of); };
  campaign_settings three = one;
  three.jobs = 3;
  report const a = run_campaign(one);
  report const b = run_campaign(three);
  CHECK(a.seeds == 4);
  CHECK(a.events > 4000);
  CHECK(without_time(a) == without_time(b));
}

TEST_CASE("campaign: sums, in the order of the seeds") {
  report const a = run_campaign(quiet(seeds("1..20"), 1));
  report const b = run_campaign(quiet(seeds("1..20"), 4));
  CHECK(without_time(a) == without_time(b));
  CHECK(a.good());
  CHECK(a.seeds == 20);
  CHECK(a.events == 20 * 100 + 210);
  CHECK(a.simulated_s == 20 * 3600);

  auto const json = a.to_json();
  CHECK(json.at("seeds") == 20);
  CHECK(json.at("faults").at("loss") == 210);
  CHECK(json.at("faults").at("nat_hard") == 0);
  CHECK(json.at("faults").size() == fault_count);
  CHECK(json.at("invariants").at("2_genuine") == 40);
  CHECK(json.at("invariants").size() == check_count);
  CHECK(json.at("failing").empty());
  CHECK(json.at("recall") == 1.0);
  CHECK(json.at("simulated_hours") == 20.0);
  CHECK(json.at("trace_hash").get<std::string>().size() == 16);

  std::vector<std::uint64_t> backwards = seeds("1..20");
  std::reverse(backwards.begin(), backwards.end());
  CHECK(run_campaign(quiet(backwards, 2)).trace_hash != a.trace_hash);
}

TEST_CASE("campaign: a broken invariant is in the list of what fails, with the command that replays it") {
  campaign_settings s = quiet(seeds("1..6"), 2);
  s.simulate = [](plan const& of) {
    verdict v = made_up(of);
    if (of.seed == 5) v.broken = violation{check::genuine, "somebody made 'a\xff' up", 104, 1.5};
    return v;
  };
  report const r = run_campaign(s);
  CHECK_FALSE(r.good());
  CHECK(r.seeds == 6);
  REQUIRE(r.failing.size() == 1);
  CHECK(r.failing[0].seed == 5u);
  CHECK(r.failing[0].invariant == "2_genuine");
  CHECK(r.failing[0].event == 104);
  CHECK(replay_command(r.failing[0], "kadoro-sim run --nodes 8") ==
        "kadoro-sim run --nodes 8 --seed 5 --until-event 104 --trace trace-5.jsonl");
  auto const failing = r.to_json().at("failing").at(0);
  CHECK(failing.at("seed") == 5);
  CHECK(failing.at("event") == 104);
  CHECK(r.to_text("kadoro-sim run").find("seed 5: 2_genuine: somebody made") != std::string::npos);
}

TEST_CASE("campaign: asked to stop at the first that fails, it finds the first") {
  campaign_settings s = quiet(seeds("1..1000"), 2);
  s.stop_at_first = true;
  s.simulate = [](plan const& of) {
    verdict v = made_up(of);
    if (of.seed >= 7) v.broken = violation{check::genuine, "no", 1, 1.5};
    return v;
  };
  report const r = run_campaign(s);
  CHECK_FALSE(r.good());
  CHECK(r.seeds < 20);
  REQUIRE_FALSE(r.failing.empty());
  CHECK(r.failing[0].seed == 7u);
}

TEST_CASE("campaign: a seed that crashes, throws or never ends has failed, the others have not") {
  campaign_settings s = quiet(seeds("1..12"), 2);
  s.hang_limit = std::chrono::duration<double>(0.5);
  s.simulate = [](plan const& of) {
    if (of.seed == 3) std::raise(SIGKILL);
    if (of.seed == 4) throw std::runtime_error("no such thing");
    if (of.seed == 8) std::raise(SIGSTOP);
    if (of.seed == 12) std::_Exit(9);
    return made_up(of);
  };
  report const r = run_campaign(s);
  CHECK(r.seeds == 12);
  REQUIRE(r.failing.size() == 4);
  CHECK(r.failing[0].seed == 3u);
  CHECK(r.failing[0].invariant == "crash");
  CHECK(r.failing[0].detail.find("signal 9") == 0);
  CHECK(r.failing[1].invariant == "exception");
  CHECK(r.failing[1].detail == "no such thing");
  CHECK(r.failing[2].seed == 8u);
  CHECK(r.failing[2].invariant == "hang");
  CHECK(r.failing[3].detail == "exit code 9");
  CHECK(replay_command(r.failing[0], "kadoro-sim run") == "kadoro-sim run --seed 3");
  CHECK(r.events == 8 * 100 + (78 - 3 - 4 - 8 - 12));
}

TEST_CASE("campaign: nothing that ran is no success, and part of it is") {
  report const none = run_campaign(quiet({}, 2));
  CHECK_FALSE(none.good());

  campaign_settings s = quiet(seeds("1..2"), 1);
  s.time_limit = std::chrono::duration<double>(0.3);
  s.simulate = [](plan const& of) {
    if (of.seed == 2) std::raise(SIGSTOP);
    return made_up(of);
  };
  report const part = run_campaign(s);
  CHECK(part.good());
  CHECK(part.seeds == 1);
  CHECK(part.wanted == 2);
  CHECK(part.to_text("kadoro-sim run").find("1 of 2 seeds") != std::string::npos);
}

TEST_CASE("campaign: recall is judged over all seeds, when there are enough lookups") {
  std::vector<std::optional<outcome>> all(100);
  for (std::uint64_t i = 0; i < all.size(); ++i) {
    verdict v;
    v.seed = i;
    v.recall_wanted = 20;
    v.recall_found = i < 2 ? 19 : 20;
    all[i] = outcome_of(v);
  }
  CHECK(merge(all).good());  // 1998 of 2000
  all[2]->ran.recall_found = 19;
  report const r = merge(all);
  CHECK_FALSE(r.good());
  REQUIRE(r.failing.size() == 1);
  CHECK_FALSE(r.failing[0].seed.has_value());
  CHECK(r.failing[0].invariant == "4_lookup_recall");
  CHECK_FALSE(r.to_json().at("failing").at(0).contains("seed"));
  all.resize(49);  // 977 of 980
  CHECK(merge(all).good());
}

TEST_CASE("campaign: an outcome survives the way from one process to another") {
  verdict v = made_up(draw_plan(9, {}));
  v.trace_hash = ~std::uint64_t{0};
  v.puts = 1;
  v.puts_ok = 2;
  v.gets = 3;
  v.gets_found = 4;
  v.storm_datagrams = 5;
  v.broken = violation{check::views_agree, "line\nbreak", 6, 0.125};
  auto const back = parse_outcome(to_line(outcome_of(v)));
  REQUIRE(back);
  CHECK(to_line(*back) == to_line(outcome_of(v)));
  CHECK(back->ran.trace_hash == ~std::uint64_t{0});
  REQUIRE(back->ran.broken);
  CHECK(back->ran.broken->detail == "line\nbreak");
  CHECK(back->ran.broken->at_s == 0.125);
  CHECK(to_line(*back).find('\n') == std::string::npos);
  CHECK_FALSE(parse_outcome("{\"seed\":1}"));
  CHECK_FALSE(parse_outcome("no"));
}

TEST_CASE("choices: seeds") {
  CHECK(seeds("7") == std::vector<std::uint64_t>{7});
  CHECK(seeds("1..3") == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(seeds("18446744073709551615..18446744073709551615").size() == 1);
  for (char const* bad : {"", "..", "1..", "..2", "2..1", "1...3", "a..b", "1..2 ", "-1..2", "1-3", "1.5",
                          "0..18446744073709551615", "1..18446744073709551616"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_seeds(bad));
  }

  scratch_file const good("# what they found\n\n12 lost wake-up\n  7\n9\tx\n");
  auto const read = read_seed_file(good.path());
  REQUIRE(read);
  CHECK(*read == std::vector<std::uint64_t>{12, 7, 9});
  scratch_file const bad("1\nseven\n");
  auto const refused = read_seed_file(bad.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find(":2:") != std::string::npos);
  CHECK_FALSE(read_seed_file("/no/such/file"));
}

TEST_CASE("choices: faults, and the words that repeat them") {
  auto const random = parse_faults("random");
  REQUIRE(random);
  CHECK_FALSE(random->all_faults);
  CHECK(random->faults.has(fault::stranger));
  auto const none = parse_faults("none");
  REQUIRE(none);
  CHECK(draw_plan(5, *none).faults.empty());
  auto const two = parse_faults("loss,nat_hard");
  REQUIRE(two);
  plan const p = draw_plan(5, *two);
  for (std::size_t i = 0; i < fault_count; ++i) {
    auto const f = static_cast<fault>(i);
    CHECK(p.faults.has(f) == (f == fault::loss || f == fault::nat_hard));
  }
  for (char const* bad : {"", "losses", "loss,", ",loss", "all,loss"}) {
    CAPTURE(bad);
    auto const refused = parse_faults(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().find("swallow_puts") != std::string::npos);  // it lists the known ones
  }

  choices c;
  CHECK(c.flags().empty());
  c.nodes = 8;
  c.minutes = 0.5;
  c.faults = "loss";
  c.transport = "stream";
  CHECK(c.flags() == " --nodes 8 --minutes 0.5 --faults loss --transport stream");
  auto const limits = c.limits();
  REQUIRE(limits);
  CHECK(limits->length == kadoro::duration(std::chrono::seconds(30)));
  CHECK(limits->transport == transport_kind::stream);
  c.transport = "pigeon";
  CHECK_FALSE(c.limits());
}

TEST_CASE("trace: what cannot be written is said") {
  CHECK_FALSE(trace_file::create("/no/such/folder/trace"));
  auto full = trace_file::create("/dev/full");
  REQUIRE(full);
  full->on_event({}, 1, "fault", "a \"quoted\" \xff");
  auto const written = full->finish();
  CHECK_FALSE(written);
}
