#pragma once

#include <algorithm>
#include <cassert>
#include <exception>
#include <stdexcept>
#include <utility>

#include "kadoro/io/reset_on_exit.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/host_key.hpp"
#include "kadoro/io/sim/port.hpp"
#include "kadoro/io/sim/sampling.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// A seed per host, so that the traffic of one does not change the randomness of another.
KADORO_DECL context::context(world& in, endpoint const& address)
    : world_(in),
      random_(detail::split_mix(in.seed_ + in.host_count_++ * 0x9e3779b97f4a7c15u).next()),
      alarm_(*this, &context::fire_timers),
      service_(*this, &context::serve),
      turn_(*this),
      arrivals_(*this) {
  add_address(address);
}

KADORO_DECL context::~context() { shut_down(); }

KADORO_DECL void context::crash() {
  if (!crashed_) ++world_.counters_.crashes;
  shut_down();
}

KADORO_DECL void context::shut_down() {
  assert(!in_turn_ && !firing_ && "kadoro: a host cannot crash or be destroyed from inside its own code");
  if (crashed_) return;
  if (inbox_) inbox_->close();
  tcp_.drop_all();  // before programs could close their streams politely
  roots_.destroy_all();
  crashed_ = true;
  while (!ports_.empty()) ports_.back()->close();
  for (endpoint const& address : addresses_) world_.places_.erase(address);
  set_island(0);
  wheel_.disarm_all(*this);
  world_.disarm(alarm_);
  world_.disarm(service_);
  ready_.clear();
  turn_.unlink();
}

KADORO_DECL boot_instant context::boot_now() const {
  boot_instant now;
  now.boot.front() = 1;  // a boot that is known
  store_be(now.boot.data() + 8, static_cast<std::uint64_t>(booted_at_.time_since_epoch().count()));
  now.elapsed = world_.now() - booted_at_;
  return now;
}

KADORO_DECL void context::add_address(endpoint const& address) {
  endpoint const key = detail::host_key(address);
  world_.add_place(key, {this, nullptr});
  addresses_.push_back(key);
}

KADORO_DECL void context::change_address(endpoint const& from, endpoint const& to) {
  endpoint const old_key = detail::host_key(from);
  endpoint const new_key = detail::host_key(to);
  auto const own = std::find(addresses_.begin(), addresses_.end(), old_key);
  if (own == addresses_.end() || crashed_ || old_key.is_v6() != new_key.is_v6())
    throw std::logic_error("kadoro: a simulated host cannot change " + from.to_string() + " to " + to.to_string());
  world_.add_place(new_key, {this, nullptr});
  world_.places_.erase(old_key);
  *own = new_key;
  for (detail::port* const each : ports_) {
    if (detail::host_key(each->local_) != old_key) continue;
    std::uint16_t const number = each->local_.port();
    each->local_ = new_key;
    each->local_.set_port(number);
  }
  tcp_.rebind(old_key, new_key);
  ++world_.counters_.address_changes;
}

KADORO_DECL void context::set_island(unsigned number) noexcept {
  if (island_ != 0) --world_.islanders_;
  island_ = crashed_ ? 0 : number;
  if (island_ != 0) ++world_.islanders_;
}

KADORO_DECL void context::set_firewall(duration memory) noexcept {
  firewall_memory_ = memory;
  firewall_.clear();
}

KADORO_DECL void context::post(coro::ready_node& node) noexcept {
  if (crashed_) return;
  ready_.push(node);
  if (!paused_) world_.post(turn_);
}

KADORO_DECL void context::turn() {
  if (paused_) return;
  clock_seen_ = true;
  in_turn_ = true;
  reset_on_exit const ends(in_turn_);
  if (inbox_ && inbox_->waiting()) ready_.push(arrivals_);
  ready_.run_pass();
  if (!ready_.empty() && !paused_) world_.post(turn_);
}

KADORO_DECL void context::arm(coro::timer_node& node, time_point due) noexcept {
  if (crashed_) return;
  clock_seen_ = true;
  wheel_.arm(*this, node, std::max(due, now()));
  if (!alarm_.armed() || node.due() < alarm_due_) set_alarm(node.due());
}

KADORO_DECL void context::disarm(coro::timer_node& node) noexcept {
  bool const was_first = node.due() == alarm_due_;
  wheel_.disarm(node);
  if (was_first) refresh_alarm();
}

KADORO_DECL void context::set_alarm(time_point due) noexcept {
  if (firing_ || paused_) return;  // who ends that sets the alarm
  alarm_due_ = due;
  world_.wheel_.arm(world_, alarm_, clock_.world_time(due));
}

KADORO_DECL void context::refresh_alarm() noexcept {
  if (firing_ || paused_ || crashed_) return;
  auto const next = wheel_.next_due();
  if (!next) return world_.disarm(alarm_);
  if (!alarm_.armed() || *next != alarm_due_) set_alarm(*next);
}

KADORO_DECL void context::fire_timers() {
  ++world_.internal_fired_;
  if (paused_) return;
  {
    firing_ = true;
    reset_on_exit const ends(firing_);
    wheel_.advance(now(), [this](coro::timer_node& node) {
      ++world_.fired_;
      node.fire();
    });
  }
  refresh_alarm();
}

KADORO_DECL void context::set_clock(duration offset, double drift) {
  clock_.set(world_.now(), offset, drift, clock_seen_);
  ++world_.counters_.clock_changes;
  world_.disarm(alarm_);
  refresh_alarm();
}

KADORO_DECL void context::pause() noexcept {
  if (paused_ || crashed_) return;
  paused_ = true;
  ++world_.counters_.pauses;
  world_.disarm(alarm_);
  world_.disarm(service_);
}

KADORO_DECL void context::resume() noexcept {
  if (!paused_) return;
  paused_ = false;
  if (!ready_.empty()) world_.post(turn_);
  refresh_alarm();
  serve_next();
}

KADORO_DECL void context::set_service_time(duration each) noexcept {
  service_time_ = each;
  world_.disarm(service_);
  for (detail::port* const port : ports_)
    if (port->waiting()) post(*port);
}

/// Arms the timer for the next datagram if one waits and none is being worked on.
KADORO_DECL void context::serve_next() noexcept {
  if (!is_slow() || paused_ || crashed_ || service_.armed()) return;
  bool some = false;
  for (detail::port const* const each : ports_) {
    if (each->served_) return;
    some = some || each->waiting();
  }
  if (some) world_.wheel_.arm(world_, service_, world_.now() + service_time_);
}

/// The datagram that came first, of all ports, is now delivered.
KADORO_DECL void context::serve() {
  ++world_.internal_fired_;
  auto const arrival = [](detail::port const& each) {
    return std::pair(each.inbox_.front()->due(), each.inbox_.front()->order());
  };
  detail::port* first = nullptr;
  for (detail::port* const each : ports_)
    if (each->waiting() && (first == nullptr || arrival(*each) < arrival(*first))) first = each;
  if (first == nullptr) return;
  ++world_.counters_.slowed;
  first->served_ = true;
  post(*first);
}

KADORO_DECL void context::add_port(detail::port& port) {
  auto const place = std::upper_bound(
      ports_.begin(), ports_.end(), &port,
      [](detail::port const* a, detail::port const* b) { return a->local_.port() < b->local_.port(); });
  ports_.insert(place, &port);
}

KADORO_DECL detail::port* context::find_port(endpoint const& bound) const noexcept {
  auto each =
      std::lower_bound(ports_.begin(), ports_.end(), bound.port(),
                       [](detail::port const* port, std::uint16_t number) { return port->local_.port() < number; });
  for (; each != ports_.end() && (*each)->local_.port() == bound.port(); ++each)
    if (std::ranges::equal((*each)->local_.address(), bound.address())) return *each;
  return nullptr;
}

KADORO_DECL result<std::unique_ptr<udp_port>> context::open_udp(endpoint const& local, udp_sharing sharing) {
  auto const failed = [&](errc code, char const* why) {
    return fail(code, "UDP port " + local.to_string() + ": cannot bind: " + why);
  };
  if (crashed_) return failed(errc::io_failure, "the host has crashed");
  if (sharing == udp_sharing::shared) return failed(errc::invalid_argument, "a simulated port is not shared");
  if (failing_opens_ > 0) {
    --failing_opens_;
    ++world_.counters_.failed_opens;
    return fail(errc::io_failure, "UDP port " + local.to_string() + ": no socket: Too many open files");
  }
  endpoint const* const own = find_own(local);
  if (own == nullptr) return failed(errc::io_failure, "the host has no such address");
  endpoint bound = *own;
  bound.set_port(local.port());
  if (local.port() == 0) {
    for (int tries = 0; tries < 16384; ++tries) {
      bound.set_port(next_port_);
      next_port_ = next_port_ == 65535 ? 49152 : static_cast<std::uint16_t>(next_port_ + 1);
      if (find_port(bound) == nullptr) break;
    }
  }
  if (find_port(bound) != nullptr) return failed(errc::address_in_use, "the address is in use");
  return std::make_unique<detail::port>(*this, bound);
}

KADORO_DECL endpoint const* context::find_own(endpoint const& address) const noexcept {
  endpoint const key = detail::host_key(address);
  for (endpoint const& mine : addresses_)
    if (mine == key || (key.is_unspecified() && mine.is_v6() == key.is_v6())) return &mine;
  return nullptr;
}

KADORO_DECL result<std::unique_ptr<tcp_connection>> context::connect_tcp(endpoint const& remote) {
  auto const failed = [&](errc code, char const* why) {
    return fail(tcp_error(code, "TCP connection to", remote, why));
  };
  if (remote.port() == 0 || remote.is_unspecified())
    return failed(errc::invalid_argument, "that is no address to connect to");
  endpoint const* const own = find_own(remote.is_v6() ? endpoint::v6({}, 0) : endpoint::v4({}, 0));
  if (own == nullptr) return failed(errc::unreachable, "the host has no address of that family");
  if (crashed_) return failed(errc::io_failure, "the host has crashed");
  return tcp_.connect(*own, remote);
}

KADORO_DECL result<std::unique_ptr<tcp_acceptor>> context::listen_tcp(endpoint const& local, std::size_t backlog) {
  endpoint const* const own = find_own(local);
  if (own == nullptr) return fail(tcp_error(errc::io_failure, "TCP listener", local, "the host has no such address"));
  if (crashed_) return fail(tcp_error(errc::io_failure, "TCP listener", local, "the host has crashed"));
  endpoint bound = *own;
  bound.set_port(local.port());
  return tcp_.listen(bound, backlog);
}

KADORO_DECL void context::spawn(coro::task<void> work) {
  if (crashed_) return;
  auto const ended = [](void*, std::exception_ptr error) noexcept {
    if (error) std::rethrow_exception(std::move(error));  // out of noexcept: the end of the program, with its text
  };
  coro::spawned& root = coro::spawned::create(std::move(work), coro::environment(*this), ended, nullptr);
  roots_.add(root);
  root.post();
}

KADORO_DECL std::shared_ptr<io::inbox> context::inbox() {
  if (inbox_) return inbox_;
  thread_ = std::this_thread::get_id();
  inbox_ = std::make_shared<io::inbox>([this] {
    if (std::this_thread::get_id() != thread_) return false;
    post(arrivals_);
    return true;
  });
  if (crashed_) inbox_->close();
  return inbox_;
}

KADORO_DECL coro::task<result<int>> context::wait_signal(std::initializer_list<int> signals) {
  return wait_for_signal(std::vector<int>(signals));  // a copy: a coroutine would keep a view of a dead array
}

KADORO_DECL coro::task<result<int>> context::wait_for_signal(std::vector<int> signals) {
  awaited_signals_ = std::move(signals);
  signalled_.reset();
  auto const woken = co_await signalled_.wait();
  awaited_signals_.clear();
  if (!woken) co_return fail(woken.error());
  co_return signal_;
}

KADORO_DECL bool context::raise(int signal) {
  bool const awaited = std::count(awaited_signals_.begin(), awaited_signals_.end(), signal) > 0;
  if (!awaited || signalled_.is_set()) return false;
  signal_ = signal;
  signalled_.set();
  return true;
}

KADORO_DECL void context::run_until(bool const& done) {
  if (in_turn_) throw std::logic_error("kadoro: run() from inside the loop");
  if (!world_.run_until([&] { return done; })) throw std::logic_error("kadoro: nothing left to happen: deadlock");
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
