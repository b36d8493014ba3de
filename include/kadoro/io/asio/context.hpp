#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "kadoro/coro/spawned.hpp"
#include "kadoro/io/asio/tcp_state.hpp"
#include "kadoro/io/asio/udp_state.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/io/posix/boot_clock.hpp"
#include "kadoro/io/posix/interface_addresses.hpp"
#include "kadoro/io/posix/receive_block.hpp"
#include "kadoro/io/posix/send_queue.hpp"
#include "kadoro/io/ready_queue.hpp"
#include "kadoro/io/reset_on_exit.hpp"
#include "kadoro/io/spin_budget.hpp"
#include "kadoro/io/timer_wheel.hpp"

// Asio last: it configures itself by macros that any standard header defines, and must find them in every source file.
#include <asio/basic_waitable_timer.hpp>
#include <asio/io_context.hpp>

namespace kadoro::inline KADORO_ABI::io::asio {

/// The context of the real world, on an `::asio::io_context`: its own, or one that the program runs anyway. Of Asio it
/// uses the reactor and one timer; datagrams go through recvmmsg(2) and sendmmsg(2), in batches, and TCP through
/// recv(2) and send(2), between the caller's memory and the system's.
///
/// All its work happens in turns. A turn begins in a handler of asio (datagrams, the timer, a signal, a post), runs
/// what became ready, hands what was sent to the system, and ends with the timer set for the next due.
///
/// One thread only: the first to run a turn. A turn on another thread throws `std::logic_error` out of the handler, so
/// out of `io_context::run`. Not to be destroyed from inside a turn.
class context final : public io::context {
 public:
  /// On an io_context of its own, driven by `run`, which looks for work up to `spin_max` before it sleeps.
  KADORO_DECL explicit context(duration spin_max = {});

  /// On `loop`, which must outlive the context. The caller runs it, on one thread; `run` works too, while nobody else
  /// runs it. Timers that are armed, ports that have a receiver, and TCP sockets of which somebody waited for more
  /// count as work of `loop`.
  KADORO_DECL explicit context(::asio::io_context& loop);

  KADORO_DECL ~context() override;

  KADORO_DECL time_point now() const noexcept override;
  KADORO_DECL void post(coro::ready_node& node) noexcept override;
  KADORO_DECL void arm(coro::timer_node& node, time_point due) noexcept override;
  KADORO_DECL void disarm(coro::timer_node& node) noexcept override;

  random_source& random() noexcept override { return random_; }
  KADORO_DECL result<std::unique_ptr<udp_port>> open_udp(endpoint const& local,
                                                         udp_sharing sharing = udp_sharing::alone) override;
  KADORO_DECL result<std::unique_ptr<tcp_connection>> connect_tcp(endpoint const& remote) override;
  KADORO_DECL result<std::unique_ptr<tcp_acceptor>> listen_tcp(endpoint const& local, std::size_t backlog) override;
  boot_instant boot_now() const override { return posix::boot_now(); }
  std::vector<endpoint> local_addresses() const override { return posix::interface_addresses(); }
  KADORO_DECL coro::task<result<int>> wait_signal(std::initializer_list<int> signals) override;
  std::string_view backend() const noexcept override { return "asio"; }
  KADORO_DECL void spawn(coro::task<void> work) override;
  std::shared_ptr<io::inbox> inbox() override { return inbox_; }

  /// The io_context below, for other uses of Asio beside this one.
  ::asio::io_context& native() noexcept { return loop_; }

 protected:
  KADORO_DECL void run_until(bool const& done) override;

 private:
  friend class detail::udp_state;
  friend class detail::socket_state;
  friend class detail::acceptor_state;

  // With the executor of the loop, not any: that takes the compiler long, and every handler a detour.
  using steady_clock = std::chrono::steady_clock;
  using steady_timer =
      ::asio::basic_waitable_timer<steady_clock, ::asio::wait_traits<steady_clock>, ::asio::io_context::executor_type>;

  /// Handlers inside asio may outlive the context: they hold this, and it becomes null.
  using self_pointer = std::shared_ptr<context*>;

  template <class Work>
  void turn(Work&& work);
  KADORO_DECL coro::task<result<int>> wait_for_signal(std::vector<int> signals);
  KADORO_DECL void enter();
  KADORO_DECL void leave();
  KADORO_DECL void turn_later() noexcept;
  KADORO_DECL std::shared_ptr<io::inbox> make_inbox();
  KADORO_DECL std::unique_ptr<tcp_connection> adopt(int descriptor, endpoint const& remote, bool is_connected);
  KADORO_DECL void flush_later(std::shared_ptr<detail::udp_state> port);
  KADORO_DECL void flush();
  KADORO_DECL void set_timer();
  KADORO_DECL bool spin();

  std::optional<::asio::io_context> own_;
  ::asio::io_context& loop_;
  steady_timer timer_;
  self_pointer self_;
  std::shared_ptr<io::inbox> inbox_;
  system_random random_;

  ready_queue ready_;
  timer_wheel wheel_;
  coro::list_node ports_;                                     // open ones, as `udp_state`
  coro::list_node sockets_;                                   // open ones of TCP, as `socket_state`
  std::vector<std::shared_ptr<detail::udp_state>> unsent_;    // ports with something to flush
  std::vector<std::shared_ptr<detail::udp_state>> flushing_;  // the same, while they are flushed
  posix::receive_block received_;
  posix::send_pool sending_;
  coro::spawned_list roots_;

  spin_budget spin_;
  std::atomic<std::thread::id> thread_;
  time_point now_{};
  time_point timer_due_{};
  bool timer_set_ = false;
  bool in_turn_ = false;
  bool turn_posted_ = false;
  bool const* done_ = nullptr;  // what the running `run_until` waits for
};

template <class Work>
void context::turn(Work&& work) {
  enter();
  {
    reset_on_exit const ends(in_turn_);
    work();
    leave();
  }
  if (!ready_.empty() || !unsent_.empty()) turn_later();
  set_timer();
  if (done_ != nullptr && *done_) loop_.stop();
}

}  // namespace kadoro::inline KADORO_ABI::io::asio

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/asio/impl/context.ipp"
#include "kadoro/io/asio/impl/socket_state.ipp"
#include "kadoro/io/asio/impl/tcp_state.ipp"
#include "kadoro/io/asio/impl/udp_state.ipp"
#endif
