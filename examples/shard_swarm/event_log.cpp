#include "event_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>

namespace shard_swarm {

double monotonic_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double process_started() noexcept {
  static double const at = monotonic_ms();
  return at;
}

event_log::~event_log() {
  if (file_ >= 0) ::close(file_);
}

kadoro::result<void> event_log::open(std::string const& path) {
  if (path.empty()) return {};
  file_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) return kadoro::fail(kadoro::errc::io_failure, path + ": " + std::strerror(errno));
  return {};
}

void event_log::write(std::string_view event, nlohmann::ordered_json const& fields) {
  if (file_ < 0) return;
  double const now = monotonic_ms();
  auto const micro = [](double ms) { return std::round(ms * 1e3) / 1e3; };
  nlohmann::ordered_json line = {{"event", event}, {"ms", micro(now - process_started())}, {"mono_ms", micro(now)}};
  line.update(fields);
  std::string const text = line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  [[maybe_unused]] auto const written = ::write(file_, text.data(), text.size());
}

}  // namespace shard_swarm
