#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/directory/swarm_view.hpp"

namespace kadoro::inline KADORO_ABI::directory {

/// How holders are compared.
struct ranking_options {
  /// How much round-trip time one request that a holder has under way weighs: its cost is its RTT plus this for each of
  /// the `active_requests` that it declared.
  duration per_active_request = std::chrono::milliseconds(20);
  /// The RTT of a holder that has not been measured.
  duration unknown_rtt = std::chrono::milliseconds(500);
};

/// What it costs to ask that holder: zero round-trip time for this node itself, else see `ranking_options`.
KADORO_DECL duration cost_of(holder_view const& holder, ranking_options const& how = {}) noexcept;

/// Whether the first is the better one to ask: one that counts (contacted, not suspect) before one that does not, one
/// that has loaded its shard before one that has not, then the cheaper one, then the one that was heard last, then by
/// id. A strict order.
KADORO_DECL bool better(holder_view const& a, holder_view const& b, ranking_options const& how = {}) noexcept;

/// The `n` best holders of one shard, the best first. One that does not count is among them only where too few do; one
/// whose announcement is of another model is never. Empty for a shard that does not exist.
KADORO_DECL std::vector<holder_view> best_holders(swarm_view const& swarm, std::uint32_t shard, std::size_t n,
                                                  ranking_options const& how = {});

/// Whom to ask so that every shard of a model is there.
struct shard_cover {
  /// Who is to be asked for a shard.
  struct choice {
    std::uint32_t shard = 0;
    holder_view holder;
  };
  /// A shard that nobody can be asked for.
  struct hole {
    std::uint32_t shard = 0;
    std::string why;  ///< "nobody is known: ...", "2 holders, none of them answers"
  };

  std::string model_name;
  std::vector<choice> choices;  ///< by shard
  std::vector<hole> holes;      ///< by shard
  std::vector<peer_id> peers;   ///< who is in `choices`, each once, in the order of their ids

  /// Every shard has somebody to ask.
  bool complete() const noexcept { return holes.empty() && !choices.empty(); }
  /// And everybody has loaded the shard to be asked for.
  KADORO_DECL bool ready() const noexcept;
};

/// One holder for each shard, of those that count: few peers where some hold several shards (greedily, whoever covers
/// most of what is left), and of equally useful ones the better. A holder that has not loaded its shard is taken only
/// where none has. Holders of another model are passed over.
KADORO_DECL shard_cover cover(swarm_view const& swarm, ranking_options const& how = {});

}  // namespace kadoro::inline KADORO_ABI::directory

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/directory/impl/holder_ranking.ipp"
#endif
