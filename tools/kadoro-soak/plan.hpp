#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kadoro_soak {

/// What is done to a process.
enum class deed : std::uint8_t {
  kill,       ///< SIGKILL, and a new start
  terminate,  ///< SIGTERM, and a new start
  stop        ///< SIGSTOP, and SIGCONT
};

std::string_view to_string(deed what) noexcept;

struct disturbance {
  double at_s = 0;
  deed what = deed::kill;
  std::size_t who = 0;
  double for_s = 0;    ///< until it starts again, or goes on
  bool seeded = true;  ///< it starts with addresses of the others; else it has to know them from its database
};

/// The first of the processes are never killed, so that their memory can be followed to the end.
inline constexpr std::size_t never_killed = 2;

/// What is done to whom in a run, in the order of time: the same for the same arguments. At most two are down or
/// stopped at a time, but every ten minutes all that may be killed are killed at once. The first minutes are the worst:
/// then that comes every minute, and those that are never killed are stopped for the longest time. What a process keeps
/// of what such moments take is to be there when its memory is measured. The last is back half a minute before the end,
/// or earlier in a short run.
std::vector<disturbance> draw_plan(std::uint64_t seed, double minutes, std::size_t processes, double gap_s);

}  // namespace kadoro_soak
