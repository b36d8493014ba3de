#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/context.hpp"

/// @file
/// What the tests of the backends have in common: a port that counts, echoes and is waited for.

namespace io_test {

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;

// Real timers appear only as deadlines that are never reached, or as the shortest possible.
inline constexpr auto patience = 20s;

inline endpoint at(std::string_view text) { return *endpoint::parse(text); }

/// Counts, sends back if asked to, and remembers what ICMP said.
class peer final : public io::udp_port::receiver {
 public:
  void on_datagrams(std::span<io::datagram> batch) override {
    largest_batch = std::max(largest_batch, batch.size());
    for (io::datagram const& one : batch) {
      ++received;
      if (echoes) port->send(one.from, one.data);
    }
    changed.set();
  }
  void on_unreachable(endpoint const& to) override {
    unreachable.push_back(to);
    changed.set();
  }

  bool echoes = false;
  std::uint64_t received = 0;
  std::size_t largest_batch = 0;
  std::vector<endpoint> unreachable;
  coro::event changed;
  std::unique_ptr<io::udp_port> port;
};

inline void listen(peer& on, io::context& context, endpoint const& local,
                   io::udp_sharing sharing = io::udp_sharing::alone) {
  auto opened = context.open_udp(local, sharing);
  REQUIRE_MESSAGE(opened.has_value(), opened.error().message());
  on.port = std::move(*opened);
  on.port->set_receiver(&on);
}

/// Completes when `on.received` has reached `count`, or fails.
inline coro::task<result<void>> until_received(peer& on, std::uint64_t count) {
  while (on.received < count) {
    on.changed.reset();
    auto const woken = co_await on.changed.wait();
    if (!woken) co_return fail(woken.error());
  }
  co_return result<void>();
}

inline coro::task<result<void>> until_unreachable(peer& on, std::size_t count) {
  while (on.unreachable.size() < count) {
    on.changed.reset();
    auto const woken = co_await on.changed.wait();
    if (!woken) co_return fail(woken.error());
  }
  co_return result<void>();
}

/// `count` datagrams in windows, each window sent in one turn and answered before the next.
inline coro::task<result<void>> ask(peer& client, endpoint server, std::uint64_t count, std::uint64_t window) {
  byte_array<100> data{};
  for (std::uint64_t done = 0; done < count; done += window) {
    for (std::uint64_t i = 0; i < window; ++i) client.port->send(server, data);
    auto const back = co_await coro::with_deadline(until_received(client, done + window), duration(patience));
    if (!back) co_return fail(back.error());
  }
  co_return result<void>();
}

inline coro::task<void> note(std::vector<int>& order, int number, duration after) {
  co_await coro::sleep_for(after);
  order.push_back(number);
}

inline coro::task<void> run_for(duration length) { co_await coro::sleep_for(length); }

}  // namespace io_test
