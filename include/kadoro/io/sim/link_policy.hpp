#pragma once

#include <chrono>

#include "kadoro/base/time.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// What happens to a datagram between two addresses.
struct link_policy {
  duration delay = std::chrono::milliseconds(10);
  duration jitter{};  ///< up to so much more, uniform: datagrams may overtake each other
  double loss = 0;    ///< the probability that it never arrives
};

}  // namespace kadoro::inline KADORO_ABI::io::sim
