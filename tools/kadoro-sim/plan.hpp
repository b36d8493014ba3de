#pragma once

#include <cstdint>
#include <optional>

#include "fault.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/kad/node_options.hpp"

namespace kadoro_sim {

enum class transport_kind : std::uint8_t { datagram, stream };

/// What the user of a run fixes; the rest is drawn from the seed.
struct plan_limits {
  std::optional<std::size_t> nodes;
  std::optional<kadoro::duration> length;
  std::optional<transport_kind> transport;
  fault_set faults = fault_set::all();
  bool all_faults = false;  ///< use every one of `faults`, not a random part
};

/// Everything that a run is made of, drawn from its seed: other seeds are other kinds of swarms, not only other dice.
struct plan {
  std::uint64_t seed = 0;
  std::size_t nodes = 8;
  std::size_t shards = 4;       ///< announced by the first members, one each, in turn
  std::size_t directories = 8;  ///< so many members have one
  std::size_t k = 20;
  std::size_t replicas = 4;
  std::size_t keys = 8;               ///< that the members put under, and so many contents
  std::uint64_t content = 4;          ///< one operation in so many is on content; not between streams, which know none
  std::size_t provided = 0;           ///< contents that members provide; only where `has_providers`
  kadoro::duration lifetime{};        ///< of the records
  kadoro::duration announced{};       ///< lifetime of the announcements: their holders are gone long before them
  kadoro::duration think{};           ///< mean time between the operations of a member
  kadoro::duration length{};          ///< of the time with faults
  kadoro::duration calm{};            ///< of the time after them
  kadoro::duration fault_gap{};       ///< mean time between two faults
  kadoro::duration delay{};           ///< of a link
  kadoro::duration session_age{};     ///< after which a session is followed by another one
  std::uint64_t session_packets = 0;  ///< likewise, whichever comes first; 0: both are as by default
  bool secret = true;                 ///< there is a swarm key
  bool large_values = false;          ///< some values take many datagrams
  transport_kind transport = transport_kind::datagram;
  fault_set faults;
};

/// One seed in five; the others go as they went before there were providers, so that those of tests/sim/named_seeds.txt
/// still are what found a bug.
constexpr bool has_providers(std::uint64_t seed) noexcept {
  return seed % 15 == 2 || seed % 15 == 9 || seed % 15 == 13;
}

/// How the nodes of such a run speak, friends and foes.
kadoro::kad::transport_factory transport_of(plan const& p);

plan draw_plan(std::uint64_t seed, plan_limits const& limits);

/// A random length around `mean`: up to three times as long, as often shorter as longer.
kadoro::duration around(kadoro::duration mean, kadoro::random_source& random);

/// True once in `n`.
inline bool one_in(std::uint64_t n, kadoro::random_source& random) { return random.below(n) == 0; }

}  // namespace kadoro_sim
