#include "recording.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "kadoro/kad/node_options.hpp"

namespace kadoro_sim {

using namespace kadoro;
using nlohmann::json;

namespace {

/// The first event of each name, a bench under "put" and "get"; each has its times.
using events = std::map<std::string, json>;

/// Null if `of` has no such finite number.
double const* number_in(json const& of, char const* name) {
  auto const found = of.find(name);
  if (found == of.end()) return nullptr;
  auto const* value = found->get_ptr<json::number_float_t const*>();
  return value != nullptr && std::isfinite(*value) ? value : nullptr;
}

/// All numbers of one line as floating point, so that there is one kind of them.
json parse_line(std::string const& line) {
  json object = json::parse(line, nullptr, false);
  if (object.is_object())
    for (auto& value : object)
      if (value.is_number()) value = value.get<double>();
  return object;
}

result<events> read_events(std::string const& path) {
  std::ifstream in(path);
  if (!in) return fail(errc::io_failure, path + ": cannot be read");
  events found;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    json event = parse_line(line);
    auto const place = [&] { return path + ", line " + std::to_string(number) + ": "; };
    if (!event.is_object()) return fail(errc::invalid_argument, place() + "is no JSON object");
    auto const name = event.find("event");
    if (name == event.end() || !name->is_string() || number_in(event, "ms") == nullptr ||
        number_in(event, "mono_ms") == nullptr)
      return fail(errc::invalid_argument, place() + "is no event with \"event\", \"ms\" and \"mono_ms\"");
    auto const op = event.find("op");
    bool const bench = *name == "bench" && op != event.end() && op->is_string();
    std::string key = bench ? op->get<std::string>() : name->get<std::string>();
    found.try_emplace(std::move(key), std::move(event));
  }
  if (in.bad()) return fail(errc::io_failure, path + ": cannot be read");
  return found;
}

/// What one process wrote, and where: for the errors.
class reader {
 public:
  reader(std::string path, events found) : path_(std::move(path)), events_(std::move(found)) {}

  result<double> number(char const* event, char const* name) const {
    auto const found = events_.find(event);
    if (found == events_.end()) return fail(errc::invalid_argument, path_ + ": no event says '" + event + "'");
    double const* value = number_in(found->second, name);
    if (value == nullptr)
      return fail(errc::invalid_argument, path_ + ": '" + event + "' says no " + name + " that is a number");
    return *value;
  }

  /// When it began and listened, and who it is.
  result<recorded_process> start() const {
    recorded_process made;
    auto const ms = number("listening", "ms");
    if (!ms) return fail(ms.error());
    auto const mono_ms = number("listening", "mono_ms");
    if (!mono_ms) return fail(mono_ms.error());
    if (*ms < 0 || *ms > recording::max_offset_ms)
      return fail(errc::invalid_argument, path_ + ": 'listening' has an ms that makes no sense");
    made.listening_ms = *ms;
    made.began_ms = *mono_ms - *ms;
    auto const text = events_.at("listening").value("peer_id", json());
    auto id = multiformats::peer_id::parse(text.is_string() ? text.get<std::string>() : std::string());
    if (!id) return fail(errc::invalid_argument, path_ + ": 'listening' says no peer_id: " + id.error().message());
    made.id = std::move(*id);
    return made;
  }

  result<std::size_t> count(char const* event, char const* name, std::size_t most) const {
    auto const value = number(event, name);
    if (!value) return fail(value.error());
    if (*value < 1 || *value > static_cast<double>(most))
      return fail(errc::invalid_argument, path_ + ": '" + event + "' has a " + name + " that makes no sense");
    return static_cast<std::size_t>(*value);
  }

  /// The first node's are timed; what others put is there to be read.
  result<recorded_bench> bench(char const* op, bool timed) const {
    recorded_bench made;
    if (!timed && events_.count(op) == 0) return made;
    auto const n = count(op, "n", recording::max_operations);
    if (!n) return fail(n.error());
    made.count = *n;
    if (!timed) return made;
    auto const p50 = number(op, "p50");
    if (!p50) return fail(p50.error());
    made.p50_ms = *p50;
    return made;
  }

 private:
  std::string path_;
  events events_;
};

result<recorded_process> read_process(std::string const& path, std::size_t index) {
  auto found = read_events(path);
  if (!found) return fail(found.error());
  reader const from(path, std::move(*found));
  auto made = from.start();
  if (!made || index == 0) return made;
  auto const announced = from.number("announced", "ms");
  if (!announced) return fail(announced.error());
  made->announced_ms = *announced;
  auto const replicas = from.count("announced", "r", kad::table_options().k);
  if (!replicas) return fail(replicas.error());
  made->replicas = *replicas;
  auto const complete = from.number("complete", "ms");
  if (!complete) return fail(complete.error());
  made->complete_ms = *complete;
  auto const puts = from.bench("put", index == 1);
  if (!puts) return fail(puts.error());
  made->puts = *puts;
  auto const gets = from.bench("get", index == 1);
  if (!gets) return fail(gets.error());
  made->gets = *gets;
  return made;
}

}  // namespace

result<recording> recording::read(std::string const& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) return fail(errc::io_failure, folder + ": no such folder");
  recording made;
  auto const path = [&](std::size_t i) {
    return (std::filesystem::path(folder) / (std::to_string(i) + ".jsonl")).string();
  };
  // Without the first three files there is no swarm: to read them says so.
  for (std::size_t i = 0; i < 3 || std::filesystem::exists(path(i), ignored); ++i) {
    if (i > max_nodes)
      return fail(errc::invalid_argument, folder + ": more than " + std::to_string(max_nodes) + " nodes");
    auto one = read_process(path(i), i);
    if (!one) return fail(one.error());
    made.processes.push_back(std::move(*one));
  }
  auto const [first, last] = std::minmax_element(made.processes.begin(), made.processes.end(),
                                                 [](auto const& a, auto const& b) { return a.began_ms < b.began_ms; });
  if (!(last->began_ms - first->began_ms <= max_offset_ms))  // nor if it is no number
    return fail(errc::invalid_argument, folder + ": the processes began more than an hour apart");
  return made;
}

}  // namespace kadoro_sim
