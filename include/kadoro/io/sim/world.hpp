#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/io/ready_queue.hpp"
#include "kadoro/io/sim/flight.hpp"
#include "kadoro/io/sim/link_policy.hpp"
#include "kadoro/io/timer_wheel.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

class context;

namespace detail {
class port;
}

/// Where the datagrams of a world went. Sent and injected ones end in exactly one of the others, or are on their way.
struct world_counters {
  std::uint64_t sent = 0;       ///< by a port
  std::uint64_t injected = 0;   ///< by `inject`
  std::uint64_t delivered = 0;  ///< to a port
  std::uint64_t lost = 0;       ///< by the link's loss
  std::uint64_t filtered = 0;   ///< by the filter
  std::uint64_t vanished = 0;   ///< no host with that address, or it is offline
  std::uint64_t unheard = 0;    ///< the host has no such port open
  std::uint64_t overflow = 0;   ///< the port had `max_queued_datagrams` that nobody took
};

/// A virtual network: any number of hosts (`sim::context`), one clock, one seed. The clock stands still while code runs
/// and jumps to the next event when nothing is ready, so a simulated hour costs what happens in it. The same seed and
/// the same program give the same run, byte for byte, on every platform: `trace_hash` tells.
///
/// The world is a scheduler too, for what belongs to no host: a test's own timers. Hosts must be gone before it.
class world final : public coro::scheduler {
 public:
  /// Sees every datagram when it is sent: false drops it, and `data` may be changed.
  using filter = std::function<bool(endpoint const& from, endpoint const& to, bytes& data)>;

  /// A run that takes more steps than this has lost its way: `std::logic_error`.
  static constexpr std::uint64_t max_steps = 1'000'000'000;
  /// Datagrams on their way; more are lost.
  static constexpr std::size_t max_in_flight = 1u << 22;

  KADORO_DECL explicit world(std::uint64_t seed);
  world(world const&) = delete;
  world& operator=(world const&) = delete;
  KADORO_DECL ~world();

  /// A new host, owned by the world. The port of `address` does not matter. An address belongs to one host at a time.
  KADORO_DECL context& add_host(endpoint const& address);

  /// For all links without a policy of their own.
  void set_link(link_policy const& policy) noexcept { default_link_ = policy; }
  /// For datagrams from one address to another; the way back is a link of its own. Ports do not matter.
  KADORO_DECL void set_link(endpoint const& from, endpoint const& to, link_policy const& policy);

  void set_filter(filter check) { filter_ = std::move(check); }

  /// Whether a sender hears, one link delay later, that nobody listens at a port of a live host. On by default.
  void set_unreachable_hints(bool on) noexcept { hints_ = on; }

  /// Sends as if from `from`, whoever owns that. Takes the link's delay; is neither filtered nor lost.
  KADORO_DECL void inject(endpoint const& from, endpoint const& to, bytes_view data);

  time_point now() const noexcept override { return now_; }
  void post(coro::ready_node& node) noexcept override { ready_.push(node); }
  void arm(coro::timer_node& node, time_point due) noexcept override { wheel_.arm(*this, node, due); }
  void disarm(coro::timer_node& node) noexcept override { wheel_.disarm(node); }

  /// One pass over what is ready, after a jump of the clock to the next instant if nothing is. False if nothing is left
  /// to happen.
  KADORO_DECL bool step();

  /// Everything up to and including `end`; then it is `end`.
  KADORO_DECL void run_until(time_point end);
  void run_for(duration length) { run_until(now_ + length); }

  /// Until `done()`, which is asked after every step. False if nothing was left to happen before.
  template <std::predicate Done>
  bool run_until(Done done) {
    std::uint64_t const limit = steps_ + max_steps;
    while (!done()) {
      if (!step_before(limit)) return false;
    }
    return true;
  }

  /// Until nothing is left to happen. `std::logic_error` after `limit` steps: some timer is armed again and again.
  KADORO_DECL void run_until_idle(std::uint64_t limit = 10'000'000);

  world_counters const& counters() const noexcept { return counters_; }
  std::size_t in_flight() const noexcept { return flights_.size() - idle_.size(); }

  /// Of every datagram so far: when, from where, where to, its bytes, and its fate.
  std::uint64_t trace_hash() const noexcept { return trace_; }

 private:
  friend class context;
  friend class detail::port;

  using flight = detail::flight;

  KADORO_DECL bool step_before(std::uint64_t limit);
  KADORO_DECL void send(endpoint const& from, endpoint const& to, bytes_view data);
  KADORO_DECL flight* new_flight(endpoint const& from, endpoint const& to, bytes_view data);
  KADORO_DECL void depart(flight& one, link_policy const& link);
  KADORO_DECL static void on_arrival(coro::timer_node& node);
  KADORO_DECL void arrive(flight& one);
  KADORO_DECL void land(flight& one) noexcept;
  KADORO_DECL void trace(endpoint const& from, endpoint const& to, bytes_view data, std::uint64_t fate) noexcept;
  KADORO_DECL link_policy const& link(endpoint const& from, endpoint const& to) const;

  std::uint64_t seed_;
  chacha20_random random_;
  time_point now_;
  ready_queue ready_;
  timer_wheel wheel_;
  std::uint64_t steps_ = 0;
  std::uint64_t trace_;

  link_policy default_link_;
  std::map<std::pair<endpoint, endpoint>, link_policy> links_;
  filter filter_;
  bool hints_ = true;
  world_counters counters_;

  std::vector<std::unique_ptr<flight>> flights_;  // all there ever were
  std::vector<flight*> idle_;                     // the ones to use again
  std::map<endpoint, context*> hosts_;            // by address, port 0
  std::map<endpoint, detail::port*> ports_;       // by bound address
  std::uint64_t host_count_ = 0;
  std::vector<std::unique_ptr<context>> owned_;  // last: hosts go before what they use
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/context.hpp"  // world and context need each other: its end has the bodies of both
#endif
