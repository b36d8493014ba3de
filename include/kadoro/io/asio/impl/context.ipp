#pragma once

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

#include "kadoro/coro/event.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/posix/tcp_descriptor.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"

// Asio last: see context.hpp.
#include <asio/basic_signal_set.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>

namespace kadoro::inline KADORO_ABI::io::asio {

namespace limits {

// After so many passes the sockets get a look, even if coroutines go on making each other ready.
inline constexpr int passes_per_turn = 64;

}  // namespace limits

KADORO_DECL context::context(duration spin_max)
    : own_(std::in_place, 1),
      loop_(*own_),
      timer_(loop_),
      self_(std::make_shared<context*>(this)),
      inbox_(make_inbox()),
      spin_(spin_max) {}

KADORO_DECL context::context(::asio::io_context& loop)
    : loop_(loop),
      timer_(loop_),
      self_(std::make_shared<context*>(this)),
      inbox_(make_inbox()),
      spin_(duration::zero()) {}

KADORO_DECL context::~context() {
  inbox_->close();
  roots_.destroy_all();
  while (ports_.linked()) static_cast<detail::udp_state*>(ports_.next())->close();
  while (sockets_.linked()) static_cast<detail::socket_state*>(sockets_.next())->close();
  *self_ = nullptr;
}

KADORO_DECL time_point context::now() const noexcept {
  return in_turn_ ? now_ : time_point(std::chrono::steady_clock::now().time_since_epoch());
}

KADORO_DECL void context::post(coro::ready_node& node) noexcept {
  ready_.push(node);
  turn_later();
}

KADORO_DECL void context::arm(coro::timer_node& node, time_point due) noexcept {
  wheel_.arm(*this, node, due);
  turn_later();
}

KADORO_DECL void context::disarm(coro::timer_node& node) noexcept {
  wheel_.disarm(node);
  if (timer_set_)
    turn_later();  // outside of a turn: asio's timer, if it is the last, must not keep the io_context at work
}

KADORO_DECL result<std::unique_ptr<udp_port>> context::open_udp(endpoint const& local, udp_sharing sharing) {
  auto const descriptor = posix::open_udp_descriptor(local, sharing);
  if (!descriptor) return fail(descriptor.error());
  auto state = std::make_shared<detail::udp_state>(*this, *descriptor);
  state->link_before(ports_);
  return std::make_unique<io::detail::udp_handle<detail::udp_state>>(std::move(state));
}

KADORO_DECL result<std::unique_ptr<tcp_connection>> context::connect_tcp(endpoint const& remote) {
  auto const descriptor = posix::start_tcp_connect(remote);
  if (!descriptor) return fail(descriptor.error());
  return adopt(*descriptor, remote, false);
}

KADORO_DECL result<std::unique_ptr<tcp_acceptor>> context::listen_tcp(endpoint const& local, std::size_t backlog) {
  auto const descriptor = posix::open_tcp_listener(local, backlog);
  if (!descriptor) return fail(descriptor.error());
  auto state = std::make_shared<detail::acceptor_state>(*this, *descriptor);
  state->link_before(sockets_);
  return std::make_unique<detail::acceptor>(std::move(state));
}

KADORO_DECL std::unique_ptr<tcp_connection> context::adopt(int descriptor, endpoint const& remote, bool is_connected) {
  auto state = std::make_shared<detail::tcp_state>(*this, descriptor, remote, is_connected);
  state->link_before(sockets_);
  return std::make_unique<io::detail::tcp_handle<std::shared_ptr<detail::tcp_state>>>(std::move(state));
}

KADORO_DECL void context::spawn(coro::task<void> work) {
  auto const ended = [](void*, std::exception_ptr error) noexcept {
    if (error) std::rethrow_exception(std::move(error));  // out of noexcept: the end of the program, with its text
  };
  coro::spawned& root = coro::spawned::create(std::move(work), coro::environment(*this), ended, nullptr);
  roots_.add(root);
  root.post();
}

KADORO_DECL void context::run_until(bool const& done) {
  if (in_turn_ || done_ != nullptr) throw std::logic_error("kadoro: run() from inside the loop");
  done_ = &done;
  std::optional<::asio::executor_work_guard<::asio::io_context::executor_type>> others;
  reset_on_exit const ends(done_);
  while (!done) {
    // Who has the inbox may post yet, though nothing is left to happen here.
    if (!others && inbox_.use_count() > 1) others.emplace(loop_.get_executor());
    loop_.restart();
    if (spin_.wanted()) {
      if (spin() || loop_.run_one() > 0) continue;
    } else {
      loop_.run();
    }
    if (done) return;
    bool const others_may_post = !others && inbox_.use_count() > 1;  // taken meanwhile
    std::atomic_thread_fence(std::memory_order_acquire);  // what the last one has posted, before it let go, is seen
    if (others_may_post || inbox_->waiting()) continue;
    throw std::logic_error("kadoro: stopped, or nothing left to happen: deadlock");
  }
}

/// Runs what is there, and looks for something as long as the budget lasts. False if there was nothing.
KADORO_DECL bool context::spin() {
  duration const budget = spin_.next();
  auto const end = std::chrono::steady_clock::now() + budget;
  do {
    if (loop_.poll() == 0) continue;
    spin_.found();
    return true;
  } while (!loop_.stopped() && std::chrono::steady_clock::now() < end);
  if (budget > duration::zero()) spin_.missed();
  return false;
}

namespace detail {

/// A wait for signals. The handler inside asio shares it with the coroutine.
class signal_state {
 public:
  explicit signal_state(::asio::io_context& loop) : set(loop) {}
  ::asio::basic_signal_set<::asio::io_context::executor_type> set;
  coro::event arrived;
  int number = 0;
};

/// Ends the wait with the coroutine, also when its frame is destroyed.
class signal_guard {
 public:
  explicit signal_guard(signal_state& state) noexcept : state_(state) {}
  signal_guard(signal_guard const&) = delete;
  signal_guard& operator=(signal_guard const&) = delete;
  ~signal_guard() {
    std::error_code ignored;
    state_.set.cancel(ignored);
  }

 private:
  signal_state& state_;
};

}  // namespace detail

KADORO_DECL coro::task<result<int>> context::wait_signal(std::initializer_list<int> signals) {
  return wait_for_signal(std::vector<int>(signals));  // a copy: a coroutine would keep a view of a dead array
}

KADORO_DECL coro::task<result<int>> context::wait_for_signal(std::vector<int> signals) {
  auto const state = std::make_shared<detail::signal_state>(loop_);
  for (int const number : signals) {
    std::error_code failed;
    state->set.add(number, failed);
    if (failed) co_return fail(errc::io_failure, "signal " + std::to_string(number) + ": " + failed.message());
  }
  detail::signal_guard const guard(*state);
  state->set.async_wait([self = self_, state](std::error_code const& failed, int number) {
    if (failed || *self == nullptr) return;
    (*self)->turn([&] {
      state->number = number;
      state->arrived.set();
    });
  });
  auto const woken = co_await state->arrived.wait();
  if (!woken) co_return fail(woken.error());
  co_return state->number;
}

/// The beginning of a turn.
KADORO_DECL void context::enter() {
  auto const here = std::this_thread::get_id();
  std::thread::id first;
  if (thread_.load(std::memory_order_relaxed) != here && !thread_.compare_exchange_strong(first, here))
    throw std::logic_error("kadoro: a context belongs to one thread, but its io_context is run by several");
  if (in_turn_) throw std::logic_error("kadoro: the io_context is run from inside one of its own handlers");
  in_turn_ = true;
  now_ = time_point(std::chrono::steady_clock::now().time_since_epoch());
}

/// The second half of a turn.
KADORO_DECL void context::leave() {
  for (int pass = 0; pass < limits::passes_per_turn && !ready_.empty(); ++pass) ready_.run_pass();
  flush();
}

/// Makes sure that a turn will come.
KADORO_DECL void context::turn_later() noexcept {
  if (in_turn_ || turn_posted_) return;
  turn_posted_ = true;
  ::asio::post(loop_, [self = self_] {
    if (*self == nullptr) return;
    (*self)->turn([&] { (*self)->turn_posted_ = false; });
  });
}

/// Posting is all that another thread does: what it brings is looked at in a turn.
KADORO_DECL std::shared_ptr<io::inbox> context::make_inbox() {
  return std::make_shared<io::inbox>([&loop = loop_, self = self_] {
    ::asio::post(loop, [self] {
      if (*self == nullptr) return;
      (*self)->turn([&] { (*self)->inbox_->run(); });
    });
    return true;
  });
}

KADORO_DECL void context::flush_later(std::shared_ptr<detail::udp_state> port) {
  unsent_.push_back(std::move(port));
  turn_later();
}

/// What is queued from inside a flush (an answer to "unreachable") waits for the next turn.
KADORO_DECL void context::flush() {
  flushing_.swap(unsent_);
  for (auto const& port : flushing_) port->flush();
  flushing_.clear();
}

/// Sets asio's timer, unless it goes off early enough anyway: setting it costs a system call, and most timers of a
/// network are deadlines that are disarmed and replaced by later ones.
KADORO_DECL void context::set_timer() {
  auto const next = wheel_.next_due();
  if (!next) {
    if (timer_set_) timer_.cancel();  // or it would keep the io_context at work
    timer_set_ = false;
    return;
  }
  if (timer_set_ && timer_due_ <= *next) return;
  timer_set_ = true;
  timer_due_ = *next;
  timer_.expires_at(std::chrono::steady_clock::time_point(next->time_since_epoch()));
  timer_.async_wait([self = self_](std::error_code const& failed) {
    if (failed || *self == nullptr) return;
    context& owner = **self;
    owner.turn([&] {
      owner.timer_set_ = false;
      // Only here, and asio serves sockets before timers: after a stall, an answer that came in beats its deadline.
      owner.wheel_.advance(owner.now_, [](coro::timer_node& node) { node.fire(); });
    });
  });
}

}  // namespace kadoro::inline KADORO_ABI::io::asio
