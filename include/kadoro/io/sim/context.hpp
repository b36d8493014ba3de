#pragma once

#include <memory>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/spawned.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/io/ready_queue.hpp"
#include "kadoro/io/sim/world.hpp"

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

  time_point now() const noexcept override { return world_.now(); }
  KADORO_DECL void post(coro::ready_node& node) noexcept override;
  KADORO_DECL void arm(coro::timer_node& node, time_point due) noexcept override;
  KADORO_DECL void disarm(coro::timer_node& node) noexcept override;

  /// A stream of this host's own: it depends on the seed and on how many hosts were made before.
  random_source& random() noexcept override { return random_; }

  /// Port 0 gives 49152, 49153, ...; an unspecified address gives the first of the host's own in that family.
  KADORO_DECL result<std::unique_ptr<udp_port>> open_udp(endpoint const& local) override;
  std::vector<endpoint> local_addresses() const override { return addresses_; }
  KADORO_DECL coro::task<result<int>> wait_signal(std::initializer_list<int> signals) override;
  std::string_view backend() const noexcept override { return "sim"; }
  KADORO_DECL void spawn(coro::task<void> work) override;

  /// Another address of this host.
  KADORO_DECL void add_address(endpoint const& address);
  /// The first address, port 0.
  endpoint const& address() const noexcept { return addresses_.front(); }

  /// What `wait_signal` waits for. False if nobody waits for that signal.
  KADORO_DECL bool raise(int signal);

  /// Pulls the network cable, or plugs it in. The host runs on.
  void set_online(bool online) noexcept { online_ = online; }
  bool online() const noexcept { return online_; }

  /// A power cut: unfinished coroutines are destroyed, ports and addresses are given up, timers and posts of whatever
  /// still refers to this context do nothing. Not from inside its own code. A new host may take the address.
  KADORO_DECL void crash();
  bool crashed() const noexcept { return crashed_; }

 protected:
  KADORO_DECL void run_until(bool const& done) override;

 private:
  friend class world;
  friend class detail::port;

  /// This host's place in the ready queue of the world.
  class turn_node final : public coro::ready_node {
   public:
    explicit turn_node(context& owner) noexcept : ready_node(&turn_node::on_turn), host(owner) {}
    context& host;

   private:
    static void on_turn(ready_node& node) { static_cast<turn_node&>(node).host.turn(); }
  };

  KADORO_DECL coro::task<result<int>> wait_for_signal(std::vector<int> signals);
  KADORO_DECL void turn();

  world& world_;
  chacha20_random random_;
  std::vector<endpoint> addresses_;
  std::vector<detail::port*> ports_;
  std::uint16_t next_port_ = 49152;
  bool online_ = true;
  bool crashed_ = false;
  bool in_turn_ = false;

  std::vector<int> awaited_signals_;
  int signal_ = 0;
  coro::event signalled_;

  ready_queue ready_;
  turn_node turn_;
  coro::spawned_list roots_;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/context.ipp"
#include "kadoro/io/sim/impl/port.ipp"
#include "kadoro/io/sim/impl/world.ipp"
#endif
