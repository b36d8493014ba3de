#include "choices.hpp"

#include <charconv>
#include <cmath>
#include <fstream>

namespace kadoro_sim {

using kadoro::errc;
using kadoro::fail;
using kadoro::result;

namespace {

/// The whole of `text` as a number.
std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string known_faults() {
  std::string text;
  for (std::size_t i = 0; i < fault_count; ++i) {
    if (i > 0) text += ", ";
    text += to_string(static_cast<fault>(i));
  }
  return text;
}

/// As short as it can be without another meaning.
std::string decimal(double value) {
  char text[32];
  auto const [end, problem] = std::to_chars(text, text + sizeof text, value);
  return problem == std::errc() ? std::string(text, end) : std::to_string(value);
}

}  // namespace

result<plan_limits> parse_faults(std::string_view text) {
  plan_limits limits;
  if (text == "random") return limits;
  limits.all_faults = true;
  if (text == "all") return limits;
  limits.faults = fault_set();
  if (text == "none") return limits;
  while (true) {
    std::size_t const comma = text.find(',');
    std::string_view const name = text.substr(0, comma);
    auto const known = fault_named(name);
    if (!known)
      return fail(errc::invalid_argument, "--faults: unknown fault '" + std::string(name) +
                                              "'; all, none, random, or some of " + known_faults());
    limits.faults.set(*known);
    if (comma == std::string_view::npos) return limits;
    text.remove_prefix(comma + 1);
  }
}

result<transport_kind> parse_transport(std::string_view text) {
  if (text == "datagram") return transport_kind::datagram;
  if (text == "stream") return transport_kind::stream;
  return fail(errc::invalid_argument, "--transport: '" + std::string(text) + "' is neither datagram nor stream");
}

result<plan_limits> choices::limits() const {
  auto limits = parse_faults(faults);
  if (!limits) return limits;
  limits->nodes = nodes;
  if (minutes) {
    if (!(*minutes > 0 && *minutes <= 1e6)) return fail(errc::invalid_argument, "--minutes: more than 0, at most 1e6");
    limits->length =
        std::chrono::duration_cast<kadoro::duration>(std::chrono::duration<double, std::ratio<60>>(*minutes));
  }
  if (transport) {
    auto const kind = parse_transport(*transport);
    if (!kind) return fail(kind.error());
    limits->transport = *kind;
  }
  return limits;
}

std::string choices::flags() const {
  std::string text;
  if (nodes) text += " --nodes " + std::to_string(*nodes);
  if (minutes) text += " --minutes " + decimal(*minutes);
  if (faults != choices().faults) text += " --faults " + faults;
  if (transport) text += " --transport " + *transport;
  return text;
}

result<std::vector<std::uint64_t>> parse_seeds(std::string_view text) {
  std::size_t const dots = text.find("..");
  auto const first = number(text.substr(0, dots));
  auto const last = dots == std::string_view::npos ? first : number(text.substr(dots + 2));
  if (!first || !last)
    return fail(errc::invalid_argument, "--seeds: '" + std::string(text) + "' is neither A..B nor a number");
  if (*last < *first)
    return fail(errc::invalid_argument, "--seeds: " + std::string(text) + ": the last is before the first");
  if (*last - *first >= max_seeds)
    return fail(errc::invalid_argument,
                "--seeds: " + std::string(text) + ": more than " + std::to_string(max_seeds) + " seeds");
  std::vector<std::uint64_t> seeds(static_cast<std::size_t>(*last - *first) + 1);
  for (std::size_t i = 0; i < seeds.size(); ++i) seeds[i] = *first + i;
  return seeds;
}

result<std::vector<std::uint64_t>> read_seed_file(std::string const& path) {
  std::ifstream file(path);
  if (!file) return fail(errc::io_failure, "--seed-file: cannot read " + path);
  std::vector<std::uint64_t> seeds;
  std::string line;
  for (std::size_t at = 1; std::getline(file, line); ++at) {
    std::string_view rest = line;
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r"), rest.size()));
    if (rest.empty() || rest.front() == '#') continue;
    auto const seed = number(rest.substr(0, rest.find_first_of(" \t\r")));
    if (!seed || seeds.size() == max_seeds)
      return fail(errc::invalid_argument, "--seed-file: " + path + ":" + std::to_string(at) +
                                              (seed ? ": too many seeds" : ": a line begins with a seed or with #"));
    seeds.push_back(*seed);
  }
  if (file.bad()) return fail(errc::io_failure, "--seed-file: cannot read all of " + path);
  return seeds;
}

}  // namespace kadoro_sim
