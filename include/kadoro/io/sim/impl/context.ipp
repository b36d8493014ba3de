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

namespace kadoro::inline KADORO_ABI::io::sim {

namespace detail {

/// A seed per host, so that the traffic of one does not change the randomness of another (the finaliser of SplitMix64).
inline std::uint64_t host_seed(std::uint64_t seed, std::uint64_t number) noexcept {
  std::uint64_t mixed = seed + (number + 1) * 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
  return mixed ^ mixed >> 31;
}

}  // namespace detail

KADORO_DECL context::context(world& in, endpoint const& address)
    : world_(in), random_(detail::host_seed(in.seed_, in.host_count_++)), turn_(*this) {
  add_address(address);
}

KADORO_DECL context::~context() { crash(); }

KADORO_DECL void context::crash() {
  assert(!in_turn_ && "kadoro: a host cannot crash or be destroyed from inside its own code");
  if (crashed_) return;
  roots_.destroy_all();
  crashed_ = true;
  while (!ports_.empty()) ports_.back()->close();
  for (endpoint const& address : addresses_) world_.hosts_.erase(address);
  world_.wheel_.disarm_all(*this);
  ready_.clear();
  turn_.unlink();
}

KADORO_DECL void context::add_address(endpoint const& address) {
  endpoint const key = detail::host_key(address);
  if (key.is_unspecified()) throw std::logic_error("kadoro: a simulated host needs an address");
  if (!world_.hosts_.emplace(key, this).second)
    throw std::logic_error("kadoro: two simulated hosts with the address " + key.to_string());
  addresses_.push_back(key);
}

KADORO_DECL void context::post(coro::ready_node& node) noexcept {
  if (crashed_) return;
  ready_.push(node);
  world_.post(turn_);
}

KADORO_DECL void context::arm(coro::timer_node& node, time_point due) noexcept {
  if (!crashed_) world_.wheel_.arm(*this, node, due);
}

KADORO_DECL void context::disarm(coro::timer_node& node) noexcept { world_.wheel_.disarm(node); }

KADORO_DECL void context::turn() {
  in_turn_ = true;
  reset_on_exit const ends(in_turn_);
  ready_.run_pass();
  if (!ready_.empty()) world_.post(turn_);
}

KADORO_DECL result<std::unique_ptr<udp_port>> context::open_udp(endpoint const& local) {
  auto const failed = [&](errc code, char const* why) {
    return fail(code, "UDP port " + local.to_string() + ": cannot bind: " + why);
  };
  if (crashed_) return failed(errc::io_failure, "the host has crashed");
  endpoint bound = detail::host_key(local);
  auto const own = std::find_if(addresses_.begin(), addresses_.end(), [&](endpoint const& mine) {
    return mine == bound || (bound.is_unspecified() && mine.is_v6() == bound.is_v6());
  });
  if (own == addresses_.end()) return failed(errc::io_failure, "the host has no such address");
  bound = *own;
  bound.set_port(local.port());
  if (local.port() == 0) {
    for (int tries = 0; tries < 16384; ++tries) {
      bound.set_port(next_port_);
      next_port_ = next_port_ == 65535 ? 49152 : static_cast<std::uint16_t>(next_port_ + 1);
      if (world_.ports_.count(bound) == 0) break;
    }
  }
  if (world_.ports_.count(bound) != 0) return failed(errc::address_in_use, "the address is in use");
  return std::make_unique<detail::port>(*this, bound);
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
