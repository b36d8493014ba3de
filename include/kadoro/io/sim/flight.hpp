#pragma once

#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

class world;

namespace detail {

/// A datagram on its way, or an ICMP message about one. As a timer it is due when it arrives.
class flight final : public coro::timer_node {
 public:
  flight(world& owner, function on_arrival) noexcept : timer_node(on_arrival), in(owner) {}

  world& in;
  endpoint from;
  endpoint to;
  bytes data;
  bool hint = false;  ///< an ICMP message: nobody listens at `from`
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::sim
