#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// What happens to a datagram between two addresses. Everything but the delay is off by default and then costs nothing,
/// not even a random number. Probabilities are between 0 and 1, sizes are those of the UDP payload.
struct link_policy {
  duration delay = std::chrono::milliseconds(10);  ///< one way, the least (with `spread`: the median)
  duration jitter{};                               ///< up to so much more, uniform: datagrams may overtake each other
  double loss = 0;                                 ///< it never arrives
  double spread = 0;                               ///< sigma of a log-normal factor on the delay

  double duplicate = 0;                                    ///< a second copy arrives, with a delay of its own
  double corrupt = 0;                                      ///< 1 to 8 bits are flipped
  double reorder = 0;                                      ///< it is held back ...
  duration reorder_delay = std::chrono::milliseconds(50);  ///< ... by up to so much, uniform

  std::size_t mtu_bytes = 0;                ///< larger ones vanish without a word; 0: none
  std::uint64_t bandwidth_bytes_per_s = 0;  ///< 0: no limit
  std::size_t queue_bytes = 64 * 1024;      ///< what waits for the bandwidth; more is dropped
};

}  // namespace kadoro::inline KADORO_ABI::io::sim
