#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/io/ready_queue.hpp"
#include "kadoro/io/sim/flight.hpp"
#include "kadoro/io/sim/geography.hpp"
#include "kadoro/io/sim/host_key.hpp"
#include "kadoro/io/sim/link_policy.hpp"
#include "kadoro/io/sim/nat.hpp"
#include "kadoro/io/sim/observer.hpp"
#include "kadoro/io/sim/world_counters.hpp"
#include "kadoro/io/timer_wheel.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

class context;

namespace detail {
class port;
class stream;
class tcp_stack;
}  // namespace detail

/// A virtual network: any number of hosts (`sim::context`), one clock, one seed. The clock stands still while code runs
/// and jumps to the next event when nothing is ready, so a simulated hour costs what happens in it. The same seed and
/// the same program give the same run, byte for byte, on every platform: `trace_hash` tells.
///
/// The world is a scheduler too, for what belongs to no host: a test's own timers. Hosts must be gone before it.
class world final : public coro::scheduler {
 public:
  /// Sees every datagram when it is sent: false drops it, and `data` may be changed. Segments of TCP come by, too.
  using filter = std::function<bool(endpoint const& from, endpoint const& to, bytes& data)>;

  /// A run that takes more steps than this has lost its way: `std::logic_error`.
  static constexpr std::uint64_t max_steps = 1'000'000'000;
  /// Datagrams on their way; more are lost.
  static constexpr std::size_t max_in_flight = 1u << 22;
  /// Links with a bandwidth that are in use at the same time; what is sent over more finds the queue full.
  static constexpr std::size_t max_queues = 1u << 20;

  KADORO_DECL explicit world(std::uint64_t seed);
  world(world const&) = delete;
  world& operator=(world const&) = delete;
  KADORO_DECL ~world();

  /// A new host, owned by the world. The port of `address` does not matter. An address belongs to one host at a time.
  KADORO_DECL context& add_host(endpoint const& address);

  /// A NAT, owned by the world, whose public address is no host's. See `context::set_nat`.
  KADORO_DECL nat& add_nat(endpoint const& public_address, nat_policy const& policy = {});

  /// For all links without a policy of their own.
  void set_link(link_policy const& policy) noexcept { default_link_ = policy; }
  /// For datagrams from one address to another, as they are on the wire; the way back is a link of its own. Ports do
  /// not matter.
  KADORO_DECL void set_link(endpoint const& from, endpoint const& to, link_policy const& policy);

  /// With a geography, the delay of a link without a policy of its own is that of the two addresses.
  void set_geography(std::optional<geography> const& planet) noexcept { geography_ = planet; }

  /// Closes one direction between two addresses, or opens it. Also for what is on its way.
  KADORO_DECL void set_blocked(endpoint const& from, endpoint const& to, bool blocked);

  void set_filter(filter check) { filter_ = std::move(check); }

  /// Shows everything to `watcher`, which must outlive the world or the next call; null: nobody.
  void set_observer(observer* watcher) noexcept { observer_ = watcher; }

  /// Whether a sender hears, one link delay later, that nobody listens at a port of a live host. On by default.
  void set_unreachable_hints(bool on) noexcept { hints_ = on; }

  /// Sends as if from `from`, whoever owns that. Takes the link's delay, and no other fault of the link.
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
  /// Datagrams and ICMP messages that are on their way, or wait in a port to be taken.
  std::size_t in_flight() const noexcept { return flights_.size() - idle_.size(); }

  /// Timers of hosts and of the world itself that fired.
  std::uint64_t timers_fired() const noexcept { return fired_ - internal_fired_; }
  /// A datagram delivered or a timer fired is an event.
  std::uint64_t events() const noexcept { return counters_.delivered + timers_fired(); }

  /// Of every datagram so far: from where, where to, its bytes, its fate, and when.
  std::uint64_t trace_hash() const noexcept { return trace_; }

 private:
  friend class context;
  friend class detail::port;
  friend class detail::stream;
  friend class detail::tcp_stack;

  using flight = detail::flight;

  /// Who is at an address: a host or a NAT.
  struct place {
    context* host = nullptr;
    nat* box = nullptr;
  };

  KADORO_DECL bool step_before(std::uint64_t limit);
  KADORO_DECL void add_place(endpoint const& address, place const& who);
  KADORO_DECL place find_place(endpoint const& address) const;

  KADORO_DECL flight* new_flight(endpoint const& from, endpoint const& to, bytes_view data);
  KADORO_DECL void send(context& sender, endpoint const& from, endpoint const& to, bytes_view data, bool tcp = false);
  KADORO_DECL std::optional<fate> pass_gates(context& sender, flight& one);
  KADORO_DECL std::optional<fate> pass_link(flight& one, link_policy const& link, time_point& leaves);
  KADORO_DECL bool join_queue(flight const& one, link_policy const& link, time_point& leaves);
  KADORO_DECL void corrupt(flight& one);
  KADORO_DECL void depart(flight& one, link_policy const* own, time_point leaves);
  KADORO_DECL static void on_arrival(coro::timer_node& node);
  KADORO_DECL void arrive(flight& one);
  KADORO_DECL fate try_to_deliver(flight& one);
  KADORO_DECL void answer_unheard(flight& one);
  KADORO_DECL bool is_blocked(flight const& one) const;
  KADORO_DECL bool is_parted(flight const& one, context const& target) const;
  KADORO_DECL void finish(flight& one, fate what);
  KADORO_DECL void land(flight& one) noexcept;
  KADORO_DECL void report(flight& one, fate what);

  /// Null: the link has no policy of its own.
  KADORO_DECL link_policy const* own_link(endpoint const& from, endpoint const& to) const;
  KADORO_DECL duration draw_delay(flight& one, link_policy const* own);
  bool happens(double probability) noexcept { return probability > 0 && random_.unit() < probability; }

  std::uint64_t seed_;
  chacha20_random random_;
  time_point now_;
  ready_queue ready_;
  timer_wheel wheel_;
  std::uint64_t steps_ = 0;
  std::uint64_t trace_;
  std::uint64_t fired_ = 0;
  std::uint64_t internal_fired_ = 0;  // datagrams that arrived, and alarms of hosts

  link_policy default_link_;
  std::optional<geography> geography_;
  std::unordered_map<detail::direction, link_policy, detail::address_hash> links_;
  std::unordered_map<detail::direction, time_point, detail::address_hash> queues_;  // when each is empty
  std::unordered_set<detail::direction, detail::address_hash> blocked_;
  std::size_t islanders_ = 0;  // hosts that are not on island 0
  filter filter_;
  observer* observer_ = nullptr;
  bool hints_ = true;
  world_counters counters_;

  std::vector<std::unique_ptr<flight>> flights_;  // all there ever were
  std::vector<flight*> idle_;                     // the ones to use again
  std::unordered_map<endpoint, place, detail::address_hash> places_;
  std::uint64_t host_count_ = 0;
  std::uint64_t stream_count_ = 0;
  std::vector<std::unique_ptr<nat>> nats_;
  std::vector<std::unique_ptr<context>> owned_;  // last: hosts go before what they use
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/context.hpp"  // world and context need each other: its end has the bodies of both
#endif
