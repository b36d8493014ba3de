#include "report.hpp"

#include <cstdio>

namespace kadoro_sim {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr double recall_least = 0.999;                     // invariant 4
constexpr std::uint64_t recall_sample = 1'000;             // fewer say nothing about one in a thousand
constexpr std::uint64_t hash_start = 0xcbf29ce484222325u;  // FNV-1a
constexpr std::uint64_t hash_prime = 0x100000001b3u;

std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  for (int shift = 0; shift < 64; shift += 8) hash = (hash ^ ((value >> shift) & 0xff)) * hash_prime;
  return hash;
}

/// A detail may quote a key, which may be any bytes.
template <class Json>
std::string dump(Json const& what) {
  return what.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <std::size_t N>
void add(std::array<std::uint64_t, N>& to, std::array<std::uint64_t, N> const& what) noexcept {
  for (std::size_t i = 0; i < N; ++i) to[i] += what[i];
}

template <class Name, std::size_t N>
std::string table(char const* title, char const* column, std::array<std::uint64_t, N> const& times) {
  char line[96];
  std::snprintf(line, sizeof line, "%-28s %14s\n", title, column);
  std::string text = line;
  for (std::size_t i = 0; i < N; ++i) {
    std::string const name(to_string(static_cast<Name>(i)));
    std::string const count = times[i] == 0 ? "never" : std::to_string(times[i]);
    std::snprintf(line, sizeof line, "  %-26s %14s\n", name.c_str(), count.c_str());
    text += line;
  }
  return text;
}

}  // namespace

outcome outcome_of(verdict ran) {
  outcome made;
  if (ran.broken)
    made.failed = finding{ran.seed, std::string(to_string(ran.broken->what)), ran.broken->detail, ran.broken->event};
  made.ran = std::move(ran);
  return made;
}

outcome unfinished(std::uint64_t seed, std::string how, std::string detail) {
  outcome made;
  made.ran.seed = seed;
  made.failed = finding{seed, std::move(how), std::move(detail), 0};
  return made;
}

std::string to_line(outcome const& what) {
  verdict const& v = what.ran;
  json line = {{"seed", v.seed},
               {"events", v.events},
               {"datagrams", v.datagrams},
               {"simulated_s", v.simulated_s},
               {"trace_hash", v.trace_hash},
               {"nodes", v.nodes},
               {"faults", v.faults},
               {"checks", v.checks},
               {"recall_found", v.recall_found},
               {"recall_wanted", v.recall_wanted},
               {"storm_datagrams", v.storm_datagrams},
               {"puts", v.puts},
               {"puts_ok", v.puts_ok},
               {"gets", v.gets},
               {"gets_found", v.gets_found}};
  if (v.broken)
    line["broken"] = {{"what", static_cast<unsigned>(v.broken->what)},
                      {"detail", v.broken->detail},
                      {"event", v.broken->event},
                      {"at_s", v.broken->at_s}};
  else if (what.failed)
    line["failed"] = {{"how", what.failed->invariant}, {"detail", what.failed->detail}};
  return dump(line);
}

kadoro::result<outcome> parse_outcome(std::string_view line) {
  try {
    json const in = json::parse(line);
    verdict v;
    in.at("seed").get_to(v.seed);
    if (in.contains("failed"))
      return unfinished(v.seed, in["failed"].at("how").get<std::string>(),
                        in["failed"].at("detail").get<std::string>());
    in.at("events").get_to(v.events);
    in.at("datagrams").get_to(v.datagrams);
    in.at("simulated_s").get_to(v.simulated_s);
    in.at("trace_hash").get_to(v.trace_hash);
    in.at("nodes").get_to(v.nodes);
    in.at("faults").get_to(v.faults);
    in.at("checks").get_to(v.checks);
    in.at("recall_found").get_to(v.recall_found);
    in.at("recall_wanted").get_to(v.recall_wanted);
    in.at("storm_datagrams").get_to(v.storm_datagrams);
    in.at("puts").get_to(v.puts);
    in.at("puts_ok").get_to(v.puts_ok);
    in.at("gets").get_to(v.gets);
    in.at("gets_found").get_to(v.gets_found);
    if (in.contains("broken")) {
      json const& broken = in["broken"];
      v.broken =
          violation{static_cast<check>(broken.at("what").get<unsigned>()), broken.at("detail").get<std::string>(),
                    broken.at("event").get<std::uint64_t>(), broken.at("at_s").get<double>()};
    }
    return outcome_of(std::move(v));
  } catch (json::exception const& e) {
    return kadoro::fail(kadoro::errc::malformed, "not an outcome: " + std::string(e.what()));
  }
}

report merge(std::vector<std::optional<outcome>> const& in_order) {
  report sum;
  sum.wanted = in_order.size();
  sum.trace_hash = hash_start;
  for (auto const& one : in_order) {
    if (!one) continue;
    verdict const& v = one->ran;
    ++sum.seeds;
    sum.events += v.events;
    sum.datagrams += v.datagrams;
    add(sum.faults, v.faults);
    add(sum.checks, v.checks);
    sum.recall_found += v.recall_found;
    sum.recall_wanted += v.recall_wanted;
    sum.simulated_s += v.simulated_s;
    sum.trace_hash = mix(sum.trace_hash, v.trace_hash);
    if (one->failed) sum.failing.push_back(*one->failed);
  }
  auto const recall = sum.recall();
  if (recall && sum.recall_wanted >= recall_sample && *recall < recall_least)
    sum.failing.push_back({std::nullopt, std::string(to_string(check::lookup_recall)),
                           "over the campaign " + std::to_string(sum.recall_found) + " of the " +
                               std::to_string(sum.recall_wanted) + " closest were found, less than " +
                               fixed(100 * recall_least, 1) + " %",
                           0});
  return sum;
}

std::optional<double> report::recall() const noexcept {
  if (recall_wanted == 0) return std::nullopt;
  return static_cast<double>(recall_found) / static_cast<double>(recall_wanted);
}

ordered_json report::to_json() const {
  ordered_json out;
  out["seeds"] = seeds;
  out["wanted"] = wanted;
  out["events"] = events;
  out["faults"] = ordered_json::object();
  for (std::size_t i = 0; i < fault_count; ++i)
    out["faults"][std::string(to_string(static_cast<fault>(i)))] = faults[i];
  out["invariants"] = ordered_json::object();
  for (std::size_t i = 0; i < check_count; ++i)
    out["invariants"][std::string(to_string(static_cast<check>(i)))] = checks[i];
  out["failing"] = ordered_json::array();
  for (finding const& f : failing) {
    ordered_json one = ordered_json::object();
    if (f.seed) one["seed"] = *f.seed;
    one["invariant"] = f.invariant;
    one["detail"] = f.detail;
    if (f.event > 0) one["event"] = f.event;
    out["failing"].push_back(std::move(one));
  }
  auto const r = recall();
  out["recall"] = r ? ordered_json(*r) : ordered_json();
  out["simulated_hours"] = simulated_s / 3600;
  out["seconds"] = seconds;
  out["trace_hash"] = to_hex(trace_hash);
  return out;
}

std::string report::to_text(std::string const& replay) const {
  std::string text = fault_table(faults) + "\n" + check_table(checks) + "\n";
  text += std::to_string(seeds) + (seeds < wanted ? " of " + std::to_string(wanted) : "") + " seeds, " +
          std::to_string(events) + " events, " + std::to_string(datagrams) + " datagrams, " +
          fixed(simulated_s / 3600, 2) + " simulated hours\n";
  text +=
      fixed(seconds, 1) + " s, " + fixed(seconds > 0 ? static_cast<double>(events) / seconds : 0, 0) + " events/s\n";
  auto const r = recall();
  text += "recall " +
          (r ? std::to_string(recall_found) + " of " + std::to_string(recall_wanted) + ", " + fixed(100 * *r, 4) + " %"
             : std::string("not measured")) +
          "\n";
  text += "trace " + to_hex(trace_hash) + "\n";
  for (finding const& f : failing) {
    text += f.seed ? "\nseed " + std::to_string(*f.seed) : "\nall seeds";
    text += ": " + f.invariant + ": " + f.detail + "\n";
    if (f.seed) text += "  replay: " + replay_command(f, replay) + "\n";
  }
  if (seeds == 0)
    text += "no seed has run\n";
  else
    text += failing.empty() ? "nothing is broken\n" : "\n" + std::to_string(failing.size()) + " broken\n";
  return text;
}

std::string replay_command(finding const& what, std::string const& replay) {
  std::string text = replay;
  if (!what.seed) return text;
  std::string const seed = std::to_string(*what.seed);
  text += " --seed " + seed;
  // The traffic of a whole run is compared with that of another: there is no event to stop at.
  if (what.event > 0 && what.invariant != to_string(check::storm_budget))
    text += " --until-event " + std::to_string(what.event) + " --trace trace-" + seed + ".jsonl";
  return text;
}

std::string fault_table(std::array<std::uint64_t, fault_count> const& times) {
  return table<fault>("fault", "injected", times);
}

std::string check_table(std::array<std::uint64_t, check_count> const& times) {
  return table<check>("invariant", "checked", times);
}

std::string to_hex(std::uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

}  // namespace kadoro_sim
