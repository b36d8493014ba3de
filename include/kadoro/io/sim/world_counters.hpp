#pragma once

#include <array>
#include <cstdint>

#include "kadoro/io/sim/fate.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// What happened in a world. Of datagrams (segments of TCP are some, too), those `sent`, `injected` and `duplicated`
/// end in exactly one fate from `delivered` to `overflow`, or are on their way; ICMP messages are not counted. Faults
/// of hosts count when they had an effect, not when they were asked for.
struct world_counters {
  std::uint64_t sent = 0;        ///< by a port
  std::uint64_t injected = 0;    ///< by `inject`
  std::uint64_t duplicated = 0;  ///< by the link

  std::uint64_t corrupted = 0;
  std::uint64_t reordered = 0;

  std::uint64_t delivered = 0;
  std::uint64_t filtered = 0;
  std::uint64_t lost = 0;
  std::uint64_t black_holed = 0;
  std::uint64_t queue_full = 0;
  std::uint64_t blocked = 0;
  std::uint64_t partitioned = 0;
  std::uint64_t nat_dropped = 0;
  std::uint64_t firewalled = 0;
  std::uint64_t vanished = 0;
  std::uint64_t unheard = 0;
  std::uint64_t overflow = 0;

  std::uint64_t crashes = 0;
  std::uint64_t pauses = 0;           ///< of hosts that run
  std::uint64_t slowed = 0;           ///< datagrams that waited for a slow host
  std::uint64_t clock_changes = 0;    ///< of a clock's offset or drift
  std::uint64_t address_changes = 0;  ///< of hosts
  std::uint64_t failed_opens = 0;     ///< of UDP ports and TCP sockets, on purpose
  std::uint64_t calls_ignored = 0;    ///< to TCP listeners with a full backlog; the callers try again

  /// Datagrams that came to their end.
  std::uint64_t ended() const noexcept {
    return delivered + filtered + lost + black_holed + queue_full + blocked + partitioned + nat_dropped + firewalled +
           vanished + unheard + overflow;
  }

  /// One more of `what`; none for `departed`.
  void count(fate what) noexcept {
    static constexpr std::array<std::uint64_t world_counters::*, 16> where{
        nullptr,
        &world_counters::duplicated,
        &world_counters::corrupted,
        &world_counters::reordered,
        &world_counters::delivered,
        &world_counters::filtered,
        &world_counters::lost,
        &world_counters::black_holed,
        &world_counters::queue_full,
        &world_counters::blocked,
        &world_counters::partitioned,
        &world_counters::nat_dropped,
        &world_counters::firewalled,
        &world_counters::vanished,
        &world_counters::unheard,
        &world_counters::overflow,
    };
    auto const counter = where[static_cast<std::size_t>(what)];
    if (counter != nullptr) ++(this->*counter);
  }
};

}  // namespace kadoro::inline KADORO_ABI::io::sim
