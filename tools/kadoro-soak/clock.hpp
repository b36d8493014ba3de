#pragma once

#include <chrono>

namespace kadoro_soak {

/// Milliseconds of the machine's monotonic clock, which all processes share.
inline double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline constexpr double in_ms(std::chrono::nanoseconds d) { return static_cast<double>(d.count()) / 1e6; }

}  // namespace kadoro_soak
