#pragma once

#include <cstdint>
#include <vector>

#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/sim/flight.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

class context;

namespace detail {

/// A UDP port of a simulated host. What arrives at one instant is delivered as one batch; a slow host takes one
/// datagram at a time.
class port final : public udp_port, private coro::ready_node {
 public:
  KADORO_DECL port(context& host, endpoint const& local);
  KADORO_DECL ~port() override;

  KADORO_DECL void set_receiver(receiver* to) noexcept override;
  KADORO_DECL void send(endpoint const& to, bytes_view data) noexcept override;
  endpoint local() const noexcept override { return local_; }
  udp_counters const& counters() const noexcept override { return counters_; }

  /// Off the network, for good.
  KADORO_DECL void close() noexcept;

 private:
  friend class sim::context;
  friend class sim::world;
  static constexpr std::size_t batch_capacity = 64;

  KADORO_DECL bool arrive(flight& one);
  bool waiting() const noexcept { return receiver_ != nullptr && !inbox_.empty(); }
  KADORO_DECL void deliver();
  KADORO_DECL std::size_t hand_over(std::vector<flight*> const& arrived, std::size_t count, bool const& destroyed);
  static void on_ready(ready_node& node) { static_cast<port&>(node).deliver(); }

  context* host_;  // null once closed
  world& world_;
  endpoint local_;
  receiver* receiver_ = nullptr;
  udp_counters counters_;
  std::vector<flight*> inbox_;
  std::uint64_t sending_step_ = 0;  // the step of the world in which ...
  std::size_t sent_in_step_ = 0;    // ... so many were sent
  bool served_ = false;             // a slow host has come to the head of the inbox
  bool* destroyed_ = nullptr;       // set while a receiver runs: it may destroy the port
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/context.hpp"  // its end has the bodies
#endif
