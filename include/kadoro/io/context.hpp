#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/coro/scheduler.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/io/boot_instant.hpp"
#include "kadoro/io/inbox.hpp"
#include "kadoro/io/tcp_acceptor.hpp"
#include "kadoro/io/tcp_connection.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// The seam between kadoro and the world: clock, ready queue, timers, UDP, TCP, signals, randomness. Virtual on
/// purpose: a virtual call costs 2 ns where a packet costs 1000, and everything above stays ordinary code that picks
/// its backend at run time. One context belongs to one thread; nothing in it may be touched from another, but its
/// `inbox`.
///
/// Implementations: `io::asio::context` and `io::uring::context` (real, `io::open` chooses), `io::sim::context`
/// (simulated). Name resolution joins here.
class context : public coro::scheduler {
 public:
  virtual ~context() = default;

  /// Keys come from here, and from nowhere else.
  virtual random_source& random() noexcept = 0;

  /// Binds a UDP port; port 0 asks for a free one. Errors: `address_in_use`, `io_failure`, both naming `local`. The
  /// real contexts give an address in use 100 ms to become free, and block meanwhile.
  virtual result<std::unique_ptr<udp_port>> open_udp(endpoint const& local,
                                                     udp_sharing sharing = udp_sharing::alone) = 0;

  /// Starts to connect; `tcp_stream::connect` is what waits for it. Errors: as there.
  virtual result<std::unique_ptr<tcp_connection>> connect_tcp(endpoint const& remote) = 0;

  /// Listens, with a `backlog` of 1 to `max_tcp_backlog`. Errors: as `tcp_listener::open`.
  virtual result<std::unique_ptr<tcp_acceptor>> listen_tcp(endpoint const& local, std::size_t backlog) = 0;

  /// Since when this machine runs: what is written down in terms of it still means something after a restart of the
  /// process, and is known to mean nothing after one of the machine. Counts while the machine is suspended.
  virtual boot_instant boot_now() const { return {}; }

  /// The addresses of this machine, port 0, in the system's order: what an unspecified address stands for.
  virtual std::vector<endpoint> local_addresses() const = 0;

  /// Completes with the number of the first of `signals` (copied by the call) that arrives. One wait at a time.
  /// Cancellable. In a coroutine, name the task before awaiting it: g++ 12 takes no braces in a `co_await` statement.
  virtual coro::task<result<int>> wait_signal(std::initializer_list<int> signals) = 0;

  /// Whether nothing will run on it any more: a simulated host without power. What belongs to it can only be destroyed.
  virtual bool dead() const noexcept { return false; }

  /// `asio`, `io_uring` or `sim`, for status and reports.
  virtual std::string_view backend() const noexcept = 0;

  /// The backend in more words: what it takes of its system, and why it was chosen.
  std::string backend_details() const { return details_.empty() ? std::string(backend()) : details_; }
  void set_backend_details(std::string text) { details_ = std::move(text); }

  /// What it has counted of its system that an operator may care about, ` name=value` each; empty if there was nothing.
  virtual std::string counters_text() const { return {}; }

  /// Starts `work` on this context and owns it until it ends; an exception out of it is a programming error and ends
  /// the program. Whatever has not ended when the context is destroyed is destroyed with it.
  virtual void spawn(coro::task<void> work) = 0;

  /// The way in for other threads, which take a copy of the pointer; this call itself is for the context's thread. A
  /// simulated context is woken by its own thread only, and so runs the same every time; what another thread posts runs
  /// at the host's next turn, whenever that comes.
  virtual std::shared_ptr<io::inbox> inbox() = 0;

  /// Drives the loop until `work` has completed, and returns or throws what it did. Not from inside the loop.
  template <class T>
  T run(coro::task<T> work);

 protected:
  /// Runs loop turns until `done` becomes true.
  virtual void run_until(bool const& done) = 0;

 private:
  std::string details_;
};

}  // namespace kadoro::inline KADORO_ABI::io

#include "kadoro/io/impl/context_run.hpp"
