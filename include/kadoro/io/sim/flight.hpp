#pragma once

#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

class nat;
class world;

namespace detail {

/// A datagram or a segment of TCP on its way, or an ICMP message about one. As a timer it is due when it arrives.
class flight final : public coro::timer_node {
 public:
  flight(world& owner, function on_arrival) noexcept : timer_node(on_arrival), in(owner) {}

  world& in;
  endpoint from;
  endpoint to;
  endpoint origin;  ///< `from` as the sender knows it, on the inside of its NAT
  bytes data;
  nat const* inside = nullptr;  ///< the NAT behind which it stays
  unsigned island = 0;          ///< of the sender when it was sent
  std::uint64_t digest = 0;     ///< of addresses and data; 0: not computed yet
  bool hint = false;            ///< an ICMP message: nobody listens at `from`
  bool tcp = false;             ///< a `segment`, not a datagram
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::sim
