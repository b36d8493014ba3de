#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/spawned.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/io/ready_queue.hpp"
#include "kadoro/io/sim/flow_table.hpp"
#include "kadoro/io/sim/local_clock.hpp"
#include "kadoro/io/sim/tcp_stack.hpp"
#include "kadoro/io/sim/world.hpp"
#include "kadoro/io/timer_wheel.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// A host of a simulated world. `run` drives the whole world until its task is done; when nothing is left to happen
/// before that, it throws `std::logic_error` ("deadlock").
class context final : public io::context {
 public:
  /// A host at `address` (its port does not matter) that must be gone before `in`. `world::add_host` makes one that the
  /// world owns. The address must be free: `std::logic_error`.
  KADORO_DECL context(world& in, endpoint const& address);
  context(context const&) = delete;
  context& operator=(context const&) = delete;
  KADORO_DECL ~context() override;

  /// The host's own clock: the world's, unless `set_clock` says otherwise.
  time_point now() const noexcept override { return clock_.at(world_.now()); }
  KADORO_DECL void post(coro::ready_node& node) noexcept override;
  KADORO_DECL void arm(coro::timer_node& node, time_point due) noexcept override;
  KADORO_DECL void disarm(coro::timer_node& node) noexcept override;

  /// A stream of this host's own: it depends on the seed and on how many hosts were made before.
  random_source& random() noexcept override { return random_; }

  /// Port 0 gives 49152, 49153, ...; an unspecified address gives the first of the host's own in that family.
  KADORO_DECL result<std::unique_ptr<udp_port>> open_udp(endpoint const& local,
                                                         udp_sharing sharing = udp_sharing::alone) override;
  /// From the first address of the family of `remote`. What a connection does on the simulated network: `stream.hpp`.
  KADORO_DECL result<std::unique_ptr<tcp_connection>> connect_tcp(endpoint const& remote) override;
  /// Addresses and ports as for `open_udp`, but of their own.
  KADORO_DECL result<std::unique_ptr<tcp_acceptor>> listen_tcp(endpoint const& local, std::size_t backlog) override;
  /// All hosts have booted long ago and at once, unless this says otherwise: what restarts is a process.
  KADORO_DECL boot_instant boot_now() const override;
  void set_booted_at(time_point when) noexcept { booted_at_ = when; }
  std::vector<endpoint> local_addresses() const override { return addresses_; }
  KADORO_DECL coro::task<result<int>> wait_signal(std::initializer_list<int> signals) override;
  std::string_view backend() const noexcept override { return "sim"; }
  KADORO_DECL void spawn(coro::task<void> work) override;
  KADORO_DECL std::shared_ptr<io::inbox> inbox() override;

  /// Another address of this host.
  KADORO_DECL void add_address(endpoint const& address);
  /// The first address, port 0.
  endpoint const& address() const noexcept { return addresses_.front(); }
  /// The network gives the host another address of the same family. What is bound to the old one is bound to the new
  /// one, as sockets on the wildcard are; what is sent to the old one vanishes, so TCP connections of it stall.
  KADORO_DECL void change_address(endpoint const& from, endpoint const& to);

  /// What `wait_signal` waits for. False if nobody waits for that signal.
  KADORO_DECL bool raise(int signal);

  /// Pulls the network cable, or plugs it in. The host runs on.
  void set_online(bool online) noexcept { online_ = online; }
  bool online() const noexcept { return online_; }

  /// Hosts hear only those on the same island. All start on island 0.
  KADORO_DECL void set_island(unsigned number) noexcept;
  unsigned island() const noexcept { return island_; }

  /// Puts the host behind a NAT of its world, or in front of all (null). From then on nobody outside reaches its own
  /// addresses.
  void set_nat(nat* box) noexcept { nat_ = box; }

  /// A stateful firewall: only those come in to whom the same port sent within `memory`. Zero: none.
  KADORO_DECL void set_firewall(duration memory) noexcept;

  /// The host's clock: ahead of the world's by `offset`, and gaining `drift` (0.01: 1 % fast) from now on. Timers
  /// follow it. It never goes back: where that would be behind what the host has seen, it goes on from there.
  KADORO_DECL void set_clock(duration offset, double drift);

  /// As a virtual machine that is stopped: nothing of the host runs; what arrives waits, up to the bound of a port
  /// (segments of TCP get lost, and are sent again).
  /// After `resume` time has jumped, and what is due happens.
  KADORO_DECL void pause() noexcept;
  KADORO_DECL void resume() noexcept;
  bool paused() const noexcept { return paused_; }

  /// A slow host takes so long for each datagram that arrives, one after the other. Its timers are on time, and so is
  /// its TCP.
  KADORO_DECL void set_service_time(duration each) noexcept;

  /// The next `count` attempts to open a UDP port, to listen, to connect or to accept by TCP, fail as if the process
  /// had too many open files.
  void fail_opens(std::uint64_t count) noexcept { failing_opens_ = count; }

  /// A power cut: unfinished coroutines are destroyed, ports and addresses are given up, timers and posts of whatever
  /// still refers to this context do nothing. Not from inside its own code. A new host may take the address; TCP
  /// connections of the old one get a reset from it, and no answer at all before.
  KADORO_DECL void crash();
  bool crashed() const noexcept { return crashed_; }
  bool dead() const noexcept override { return crashed_; }

 protected:
  KADORO_DECL void run_until(bool const& done) override;

 private:
  friend class world;
  friend class detail::port;
  friend class detail::stream;
  friend class detail::tcp_stack;

  /// This host's place in the ready queue of the world.
  class turn_node final : public coro::ready_node {
   public:
    explicit turn_node(context& owner) noexcept : ready_node(&turn_node::on_turn), host(owner) {}
    context& host;

   private:
    static void on_turn(ready_node& node) { static_cast<turn_node&>(node).host.turn(); }
  };

  /// Looks into the inbox.
  class inbox_node final : public coro::ready_node {
   public:
    explicit inbox_node(context& owner) noexcept : ready_node(&inbox_node::on_turn), host_(owner) {}

   private:
    static void on_turn(ready_node& node) { static_cast<inbox_node&>(node).host_.inbox_->run(); }
    context& host_;
  };

  /// Something that the world's clock does to this host.
  class world_timer final : public coro::timer_node {
   public:
    world_timer(context& owner, void (context::*then)())
        : timer_node(&world_timer::on_due), host_(owner), then_(then) {}

   private:
    static void on_due(timer_node& node) {
      auto& self = static_cast<world_timer&>(node);
      (self.host_.*self.then_)();
    }
    context& host_;
    void (context::*then_)();
  };

  KADORO_DECL coro::task<result<int>> wait_for_signal(std::vector<int> signals);
  KADORO_DECL void shut_down();
  KADORO_DECL void turn();
  KADORO_DECL void fire_timers();
  KADORO_DECL void set_alarm(time_point due) noexcept;
  KADORO_DECL void refresh_alarm() noexcept;

  KADORO_DECL void add_port(detail::port& port);
  KADORO_DECL endpoint const* find_own(endpoint const& address) const noexcept;
  KADORO_DECL detail::port* find_port(endpoint const& bound) const noexcept;
  bool is_slow() const noexcept { return service_time_ > duration::zero(); }
  KADORO_DECL void serve_next() noexcept;
  KADORO_DECL void serve();

  world& world_;
  chacha20_random random_;
  std::vector<endpoint> addresses_;
  std::vector<detail::port*> ports_;  // by port number
  std::uint16_t next_port_ = 49152;
  detail::tcp_stack tcp_{*this};
  time_point booted_at_{};
  bool online_ = true;
  bool crashed_ = false;
  bool paused_ = false;
  bool in_turn_ = false;
  bool clock_seen_ = false;

  unsigned island_ = 0;
  nat* nat_ = nullptr;
  duration firewall_memory_{};
  detail::flow_table firewall_;
  std::uint64_t failing_opens_ = 0;

  std::vector<int> awaited_signals_;
  int signal_ = 0;
  coro::event signalled_;

  local_clock clock_;
  timer_wheel wheel_;     // in the host's time
  world_timer alarm_;     // when the first of them is due
  time_point alarm_due_;  // in the host's time
  bool firing_ = false;

  duration service_time_{};
  world_timer service_;  // when a slow host has come to the next datagram

  ready_queue ready_;
  turn_node turn_;
  std::thread::id thread_;            // where `inbox` was made
  std::shared_ptr<io::inbox> inbox_;  // made when somebody wants it
  inbox_node arrivals_;
  coro::spawned_list roots_;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/context.ipp"
#include "kadoro/io/sim/impl/port.ipp"
#include "kadoro/io/sim/impl/stream.ipp"
#include "kadoro/io/sim/impl/tcp_stack.ipp"
#include "kadoro/io/sim/impl/world.ipp"
#include "kadoro/io/sim/impl/world_network.ipp"
#endif
