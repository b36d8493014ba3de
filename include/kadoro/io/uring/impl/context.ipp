#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "kadoro/coro/event.hpp"
#include "kadoro/io/posix/signal_watch.hpp"
#include "kadoro/io/posix/tcp_descriptor.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"
#include "kadoro/io/uring/context.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

namespace limits {

// After so many passes the kernel gets a look, even if coroutines go on making each other ready.
inline constexpr int passes_per_turn = 64;

// What connections hold when the context goes: both halves of a buffer, and a few sends that the kernel takes in parts.
inline constexpr int last_sends = 8;

}  // namespace limits

namespace detail {

inline time_point steady_now() noexcept { return time_point(std::chrono::steady_clock::now().time_since_epoch()); }

}  // namespace detail

KADORO_DECL result<std::unique_ptr<context>> context::open(options const& wanted) {
  auto on = ring::open(wanted);
  if (!on) return fail(on.error());
  int const descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor < 0) return fail(ring_error("no descriptor to wake it", errno));
  return std::unique_ptr<context>(new context(std::move(*on), descriptor, wanted));
}

KADORO_DECL context::context(std::unique_ptr<ring> on, int wake_descriptor, options const& wanted)
    : ring_(std::move(on)),
      wake_descriptor_(wake_descriptor),
      wake_(make_operation<poll_operation>(*ring_, wake_descriptor, unsigned{POLLIN}, true, &context::on_wake, this)),
      inbox_(std::make_shared<io::inbox>([wake_descriptor] {
        std::uint64_t const one = 1;
        return ::write(wake_descriptor, &one, sizeof one) == sizeof one || errno == EAGAIN;
      })),
      spin_(wanted.spin_max) {
  wake_->set_background();
  ring_->start(*wake_);
  set_backend_details(ring_->has().text());
}

KADORO_DECL context::~context() {
  inbox_->close();
  roots_.destroy_all();
  while (ports_.linked()) static_cast<detail::udp_state*>(ports_.next())->close();
  while (acceptors_.linked()) static_cast<detail::acceptor_state*>(acceptors_.next())->close();
  send_the_rest();
  while (connections_.linked()) static_cast<detail::tcp_state*>(connections_.next())->close();
  while (leaving_.linked()) leaving_.next()->link_before(ended_);
  bury_ended();
  wake_.reset();
  ring_.reset();  // waits until the kernel has let go
  ::close(wake_descriptor_);
}

KADORO_DECL time_point context::now() const noexcept { return in_turn_ ? now_ : detail::steady_now(); }

KADORO_DECL result<std::unique_ptr<udp_port>> context::open_udp(endpoint const& local, udp_sharing sharing) {
  auto const descriptor = posix::open_udp_descriptor(local, sharing);
  if (!descriptor) return fail(descriptor.error());
  auto state = std::make_shared<detail::udp_state>(*this, *descriptor);
  state->link_before(ports_);
  return std::make_unique<io::detail::udp_handle<detail::udp_state>>(std::move(state));
}

KADORO_DECL result<std::unique_ptr<tcp_connection>> context::connect_tcp(endpoint const& remote) {
  auto const descriptor = posix::open_tcp_socket(remote, posix::socket_mode::blocking);
  if (!descriptor) return fail(descriptor.error());
  return adopt(*descriptor, remote, false);
}

KADORO_DECL result<std::unique_ptr<tcp_acceptor>> context::listen_tcp(endpoint const& local, std::size_t backlog) {
  auto const descriptor = posix::open_tcp_listener(local, backlog, posix::socket_mode::blocking);
  if (!descriptor) return fail(descriptor.error());
  auto acceptor = std::make_unique<detail::acceptor_state>(*this, *descriptor);
  acceptor->link_before(acceptors_);
  return acceptor;
}

KADORO_DECL std::unique_ptr<tcp_connection> context::adopt(int descriptor, endpoint const& remote, bool is_connected) {
  auto state = std::make_unique<detail::tcp_state>(*this, descriptor, remote, is_connected);
  state->link_before(connections_);
  return std::make_unique<io::detail::tcp_handle<std::unique_ptr<detail::tcp_state>>>(std::move(state));
}

KADORO_DECL void context::bury_ended() noexcept {
  while (ended_.linked()) delete static_cast<detail::tcp_state*>(ended_.next());
}

KADORO_DECL void context::send_the_rest() noexcept {
  auto const unsent = [](coro::list_node const& all) {
    for (coro::list_node* each = all.next(); each != &all; each = each->next())
      if (static_cast<detail::tcp_state*>(each)->unsent()) return true;
    return false;
  };
  for (coro::list_node* each = connections_.next(); each != &connections_; each = each->next())
    static_cast<detail::tcp_state*>(each)->silence();
  try {
    for (int i = 0; i < limits::last_sends && (unsent(connections_) || unsent(leaving_)); ++i) {
      ring_->enter(duration::zero());
      ring_->complete();
    }
  } catch (std::system_error const&) {  // the wrong thread: what is left is lost, and the resets say so
  }
}

KADORO_DECL void context::spawn(coro::task<void> work) {
  auto const ended = [](void*, std::exception_ptr error) noexcept {
    if (error) std::rethrow_exception(std::move(error));  // out of noexcept: the end of the program, with its text
  };
  coro::spawned& root = coro::spawned::create(std::move(work), coro::environment(*this), ended, nullptr);
  roots_.add(root);
  root.post();
}

KADORO_DECL void context::claim_thread() {
  auto const here = std::this_thread::get_id();
  std::thread::id first;
  if (thread_.load(std::memory_order_relaxed) != here && !thread_.compare_exchange_strong(first, here))
    throw std::logic_error("kadoro: a context belongs to one thread, but is run by several");
}

KADORO_DECL void context::run_until(bool const& done) {
  claim_thread();
  if (running_) throw std::logic_error("kadoro: run() from inside the loop");
  running_ = true;
  reset_on_exit const ends(running_);
  while (!done) {
    if (idle()) throw std::logic_error("kadoro: stopped, or nothing left to happen: deadlock");
    await();
    turn();
  }
}

/// Nothing will ever happen, unless somebody who has the inbox posts.
KADORO_DECL bool context::idle() noexcept {
  bool const alone = inbox_.use_count() == 1;
  std::atomic_thread_fence(std::memory_order_acquire);  // what the last one has posted, before it let go, is seen below
  return alone && ready_.empty() && unsent_.empty() && arrived_.empty() && ring_->busy() == 0 && !woken_ &&
         !inbox_->waiting() && !wheel_.next_due();
}

/// Submits, and waits for something to do.
KADORO_DECL void context::await() {
  std::optional<duration> limit = time_to_wait();
  if (limit != duration::zero() && spin_.wanted()) limit = spin(limit) ? duration::zero() : time_to_wait();
  ring_->enter(limit);
}

/// Nothing: as long as it takes.
KADORO_DECL std::optional<duration> context::time_to_wait() noexcept {
  if (!ready_.empty() || !unsent_.empty() || !arrived_.empty()) return duration::zero();
  auto const due = wheel_.next_due();
  return due ? std::optional(std::max(duration::zero(), *due - detail::steady_now())) : std::nullopt;
}

/// True if something came while the loop looked for it.
KADORO_DECL bool context::spin(std::optional<duration> limit) {
  duration budget = spin_.next();
  if (budget <= duration::zero()) return false;
  if (limit) budget = std::min(budget, *limit);
  ring_->enter(duration::zero());
  time_point const end = detail::steady_now() + budget;
  do {
    if (!ring_->ready()) continue;
    spin_.found();
    return true;
  } while (detail::steady_now() < end);
  spin_.missed();
  return false;
}

KADORO_DECL void context::turn() {
  in_turn_ = true;
  reset_on_exit const ends(in_turn_);
  now_ = detail::steady_now();
  ring_->complete();
  if (woken_) {
    woken_ = false;
    inbox_->run();
  }
  delivering_.swap(arrived_);
  starved_ = 0;
  for (auto const& port : delivering_) port->deliver();
  delivering_.clear();
  run_ready();
  wheel_.advance(now_, [](coro::timer_node& node) { node.fire(); });
  run_ready();
  bury_ended();
  // What is queued from inside a flush (an answer to "unreachable") is flushed in the next turn.
  flushing_.swap(unsent_);
  for (auto const& port : flushing_) port->flush();
  flushing_.clear();
}

KADORO_DECL std::string context::counters_text() const {
  std::string text;
  for (auto const& [name, count] : {std::pair{" out_of_buffers=", counters().out_of_buffers},
                                    std::pair{" completion_overflows=", counters().completion_overflows},
                                    std::pair{" streams_cut_off=", counters().streams_cut_off}})
    if (count > 0) text += name + std::to_string(count);
  return text;
}

KADORO_DECL void context::run_ready() {
  for (int pass = 0; pass < limits::passes_per_turn && !ready_.empty(); ++pass) ready_.run_pass();
}

KADORO_DECL void context::on_wake(void* self) noexcept {
  auto& owner = *static_cast<context*>(self);
  owner.woken_ = true;
  if (owner.wake_->idle()) owner.ring_->start(*owner.wake_);  // the kernel has ended it, for want of room
}

namespace detail {

/// A wait for signals.
class signal_wait {
 public:
  explicit signal_wait(ring& on) noexcept : ring_(on) {}
  result<void> open(std::vector<int> const& signals) {
    auto const watched = watch_.open(signals);
    if (!watched) return watched;
    readable_ = make_operation<poll_operation>(ring_, watch_.descriptor(), unsigned{POLLIN}, false,
                                               &signal_wait::on_readable, this);
    ring_.start(*readable_);
    return {};
  }
  coro::event& arrived() noexcept { return arrived_; }
  int number() noexcept { return watch_.take(); }

 private:
  static void on_readable(void* self) noexcept { static_cast<signal_wait*>(self)->arrived_.set(); }

  ring& ring_;
  posix::signal_watch watch_;
  coro::event arrived_;
  operation_ptr<operation> readable_;  // goes first
};

}  // namespace detail

KADORO_DECL coro::task<result<int>> context::wait_signal(std::initializer_list<int> signals) {
  return wait_for_signal(std::vector<int>(signals));  // a copy: a coroutine would keep a view of a dead array
}

KADORO_DECL coro::task<result<int>> context::wait_for_signal(std::vector<int> signals) {
  detail::signal_wait waiting(*ring_);
  auto const opened = waiting.open(signals);
  if (!opened) co_return fail(opened.error());
  auto const woken = co_await waiting.arrived().wait();
  if (!woken) co_return fail(woken.error());
  co_return waiting.number();
}

}  // namespace kadoro::inline KADORO_ABI::io::uring
