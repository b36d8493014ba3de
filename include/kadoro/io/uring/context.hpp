#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kadoro/coro/spawned.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/io/posix/boot_clock.hpp"
#include "kadoro/io/posix/interface_addresses.hpp"
#include "kadoro/io/posix/receive_block.hpp"
#include "kadoro/io/posix/send_queue.hpp"
#include "kadoro/io/ready_queue.hpp"
#include "kadoro/io/reset_on_exit.hpp"
#include "kadoro/io/spin_budget.hpp"
#include "kadoro/io/timer_wheel.hpp"
#include "kadoro/io/uring/tcp_state.hpp"
#include "kadoro/io/uring/udp_state.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

/// The context of the real world, on a ring of its own. Datagrams come by a receive of many shots into a ring of
/// buffers, where the kernel has that, and leave by sendmmsg(2); TCP connects, accepts, receives and sends on the ring;
/// a descriptor wakes it for other threads; timers stay in user space, and the next due is how long a turn may wait.
///
/// A turn: what was started goes to the kernel, which is waited for in the same system call; completions are noted;
/// datagrams go to their receivers; what became ready runs; then timers that are due, and what they made ready (after a
/// stall, an answer that came in beats its deadline); then what was sent is handed to the system.
///
/// Destroyed, it hands over what connections have taken, as far as the system takes it at once; the other end of one of
/// which something is left hears a reset.
///
/// One thread only: the first to run it; it must be destroyed there, too. Another is refused with `std::logic_error`.
class context final : public io::context {
 public:
  /// Errors: `io_failure`, with the cause in words, where io_uring cannot be had.
  KADORO_DECL static result<std::unique_ptr<context>> open(options const& wanted = {});
  KADORO_DECL ~context() override;

  KADORO_DECL time_point now() const noexcept override;
  void post(coro::ready_node& node) noexcept override { ready_.push(node); }
  void arm(coro::timer_node& node, time_point due) noexcept override { wheel_.arm(*this, node, due); }
  void disarm(coro::timer_node& node) noexcept override { wheel_.disarm(node); }

  random_source& random() noexcept override { return random_; }
  KADORO_DECL result<std::unique_ptr<udp_port>> open_udp(endpoint const& local,
                                                         udp_sharing sharing = udp_sharing::alone) override;
  KADORO_DECL result<std::unique_ptr<tcp_connection>> connect_tcp(endpoint const& remote) override;
  KADORO_DECL result<std::unique_ptr<tcp_acceptor>> listen_tcp(endpoint const& local, std::size_t backlog) override;
  boot_instant boot_now() const override { return posix::boot_now(); }
  std::vector<endpoint> local_addresses() const override { return posix::interface_addresses(); }
  KADORO_DECL coro::task<result<int>> wait_signal(std::initializer_list<int> signals) override;
  std::string_view backend() const noexcept override { return "io_uring"; }
  KADORO_DECL void spawn(coro::task<void> work) override;
  std::shared_ptr<io::inbox> inbox() override { return inbox_; }

  features const& has() const noexcept { return ring_->has(); }
  ring_counters const& counters() const noexcept { return ring_->counters(); }
  KADORO_DECL std::string counters_text() const override;
  /// What the kernel has been asked to do and has not ended, but for what is always there.
  std::size_t under_way() const noexcept { return ring_->busy(); }

 protected:
  KADORO_DECL void run_until(bool const& done) override;

 private:
  friend class detail::udp_state;
  friend class detail::tcp_state;
  friend class detail::acceptor_state;

  KADORO_DECL context(std::unique_ptr<ring> on, int wake_descriptor, options const& wanted);
  KADORO_DECL coro::task<result<int>> wait_for_signal(std::vector<int> signals);
  KADORO_DECL void claim_thread();
  KADORO_DECL bool idle() noexcept;
  KADORO_DECL void await();
  KADORO_DECL std::optional<duration> time_to_wait() noexcept;
  KADORO_DECL bool spin(std::optional<duration> limit);
  KADORO_DECL void turn();
  KADORO_DECL void run_ready();
  KADORO_DECL std::unique_ptr<tcp_connection> adopt(int descriptor, endpoint const& remote, bool is_connected);
  KADORO_DECL void bury_ended() noexcept;
  KADORO_DECL void send_the_rest() noexcept;
  /// `starved`: another port had taken all buffers. So this one receives before those who did not starve.
  void deliver_later(std::shared_ptr<detail::udp_state> port, bool starved) {
    auto const place = starved ? arrived_.begin() + starved_++ : arrived_.end();
    arrived_.insert(place, std::move(port));
  }
  void flush_later(std::shared_ptr<detail::udp_state> port) { unsent_.push_back(std::move(port)); }
  KADORO_DECL static void on_wake(void* self) noexcept;

  std::unique_ptr<ring> ring_;
  int wake_descriptor_;
  operation_ptr<operation> wake_;
  std::shared_ptr<io::inbox> inbox_;
  system_random random_;

  ready_queue ready_;
  timer_wheel wheel_;
  coro::list_node ports_;                                       // open ones, as `udp_state`
  std::vector<std::shared_ptr<detail::udp_state>> arrived_;     // ports with something to deliver
  std::ptrdiff_t starved_ = 0;                                  // so many of these, the first, were starved
  std::vector<std::shared_ptr<detail::udp_state>> delivering_;  // the same, meanwhile
  std::vector<std::shared_ptr<detail::udp_state>> unsent_;      // ports with something to flush
  std::vector<std::shared_ptr<detail::udp_state>> flushing_;    // the same, meanwhile
  posix::receive_block received_;
  posix::send_pool sending_;
  coro::list_node connections_;    // as `tcp_state`, of the program
  coro::list_node leaving_;        // the context's own: closed, but not everything has gone out
  coro::list_node ended_;          // the context's own: to be destroyed in this turn
  coro::list_node acceptors_;      // as `acceptor_state`
  std::size_t leaving_count_ = 0;  // `leaving_` and `ended_`
  coro::spawned_list roots_;

  spin_budget spin_;
  std::atomic<std::thread::id> thread_;
  time_point now_{};
  bool in_turn_ = false;
  bool running_ = false;
  bool woken_ = false;  // another thread has posted
};

}  // namespace kadoro::inline KADORO_ABI::io::uring

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/impl/context.ipp"
#include "kadoro/io/uring/impl/stream_operations.ipp"
#include "kadoro/io/uring/impl/tcp_state.ipp"
#include "kadoro/io/uring/impl/udp_state.ipp"
#endif
