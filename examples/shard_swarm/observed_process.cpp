#include "observed_process.hpp"

#include <cstdio>

#include "event_log.hpp"

namespace shard_swarm {

observed_process::observed_process(std::string name, std::string const& folder)
    : name_(std::move(name)), base_(folder + "/" + name_) {}

void observed_process::start(std::vector<std::string> arguments) {
  read_events();  // of the process before, if there was one
  events_.clear();
  map_.clear();
  complete_ = false;
  last_event_.clear();
  std::remove((base_ + ".addr").c_str());
  arguments.insert(arguments.end(), {"--events", base_ + ".jsonl", "--addr-file", base_ + ".addr"});
  started_ms_ = monotonic_ms();
  process_ = child_process(std::move(arguments), base_ + ".out");
}

void observed_process::read_events() {
  if (!log_.is_open()) {
    log_.open(base_ + ".jsonl");
    if (!log_.is_open()) return;
  }
  log_.clear();  // the end of the file that was reached last time
  char block[4096];
  while (log_.read(block, sizeof block), log_.gcount() > 0)
    partial_.append(block, static_cast<std::size_t>(log_.gcount()));
  for (std::size_t end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n')) {
    auto const event =
        nlohmann::json::parse(partial_.begin(), partial_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    partial_.erase(0, end + 1);
    if (event.is_object() && event.contains("event")) take(event);
  }
}

void observed_process::take(nlohmann::json const& event) {
  std::string const kind = event["event"];
  if (kind == "listening") {
    peer_id_ = event["peer_id"];
    backend_ = event["backend"];
    io_backend_ = event["io_backend"];
  }
  last_event_ = kind;
  if (event.contains("holder")) {
    std::uint32_t const shard = event["shard"];
    std::string const holder = event["holder"];
    last_event_ += " " + std::to_string(shard);
    auto& holders = map_[shard];
    if (kind == "lost") holders.erase(holder);
    if (kind == "found" || kind == "recovered") holders[holder] = false;
    if (kind == "suspect") holders[holder] = true;
  }
  if (kind == "complete") complete_ = true;
  if (kind == "incomplete") complete_ = false;
  events_.push_back(event);
}

std::string observed_process::address() const {
  std::ifstream file(base_ + ".addr");
  std::string address;
  file >> address;
  return address;
}

std::optional<double> observed_process::saw(std::string const& event, double after) const {
  for (nlohmann::json const& e : events_)
    if (e["event"] == event && e["mono_ms"] >= after) return e["mono_ms"].get<double>();
  return {};
}

std::optional<double> observed_process::saw(std::string const& event, std::string const& holder, double after) const {
  for (nlohmann::json const& e : events_)
    if (e["event"] == event && e["mono_ms"] >= after && e.contains("holder") && e["holder"] == holder)
      return e["mono_ms"].get<double>();
  return {};
}

nlohmann::json observed_process::bench(std::string const& op) const {
  for (nlohmann::json const& e : events_)
    if (e["event"] == "bench" && e["op"] == op) return e;
  return nullptr;
}

}  // namespace shard_swarm
