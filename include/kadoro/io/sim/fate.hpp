#pragma once

#include <cstdint>
#include <string_view>

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// What becomes of a datagram. Every one that is sent, injected or duplicated ends in exactly one of the last group;
/// the first group is what may happen to it before.
enum class fate : std::uint8_t {
  departed,    ///< on its way, it will arrive
  duplicated,  ///< a second copy was made; this is the copy
  corrupted,   ///< bits were flipped
  reordered,   ///< held back, so that later ones may overtake it

  delivered,    ///< to a port
  filtered,     ///< by the world's filter
  lost,         ///< by the link's loss, or too much is on its way
  black_holed,  ///< larger than the link's MTU
  queue_full,   ///< by the link's queue
  blocked,      ///< that direction between two addresses is closed
  partitioned,  ///< the two hosts are on different islands
  nat_dropped,  ///< a NAT had no mapping, or a filter, or no room
  firewalled,   ///< the host has not sent to that remote lately
  vanished,     ///< no host with that address, or an end is offline
  unheard,      ///< the host has no such port open
  overflow,     ///< the port had `max_queued_datagrams` that nobody took
};

constexpr std::string_view to_string(fate what) noexcept {
  switch (what) {
    case fate::departed: return "departed";
    case fate::duplicated: return "duplicated";
    case fate::corrupted: return "corrupted";
    case fate::reordered: return "reordered";
    case fate::delivered: return "delivered";
    case fate::filtered: return "filtered";
    case fate::lost: return "lost";
    case fate::black_holed: return "black-holed";
    case fate::queue_full: return "queue full";
    case fate::blocked: return "blocked";
    case fate::partitioned: return "partitioned";
    case fate::nat_dropped: return "dropped by NAT";
    case fate::firewalled: return "firewalled";
    case fate::vanished: return "vanished";
    case fate::unheard: return "unheard";
    case fate::overflow: return "overflow";
  }
  return "?";
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
