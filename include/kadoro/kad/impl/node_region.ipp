#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

// Whoever makes up identities until enough of them lie close to a key owns the r closest to it, in however many address
// ranges they live. What it cannot do is hide that they are too many for so small a region. As in "Content Censorship
// in the InterPlanetary File System" (Sridhar et al., NDSS 2024) the remedy is to store in the whole region that should
// hold as many honest peers as one wants.

/// How far apart two are, of all keys: 0 to 1.
inline double distance_of(key const& a, key const& b) noexcept {
  return std::ldexp(static_cast<double>(a.leading_distance(b)), -64);
}

/// How surprised one must be to meet `count` where `expected` are due: the negative logarithm of a bound on its
/// probability (Chernoff's, for a Poisson distribution).
inline double surprise_at(double count, double expected) noexcept {
  if (expected >= count) return 0;
  return expected - count + count * std::log(count / std::max(expected, 1e-9));
}

/// By how close those are that this node knows around itself; 0 if they are too few to say.
KADORO_DECL double node_core::estimated_servers() const {
  static constexpr std::size_t fewest = 8;
  auto const near = table_.nearest(table_.self(), k());
  if (near.size() < std::max(fewest, k())) return 0;
  return static_cast<double>(near.size() - 1) / distance_of(table_.self(), near.back()->id);
}

/// How many servers should lie closer to `where` than `id` does; infinitely many if nobody can say.
KADORO_DECL double node_core::due_closer(key const& where, key const& id) const {
  double const servers = estimated_servers();
  return servers == 0 ? std::numeric_limits<double>::infinity() : servers * distance_of(where, id);
}

/// How many of those that a lookup has found make up the region in which to store and to seek; 0: nobody crowds there.
KADORO_DECL std::size_t node_core::region_width(lookup const& seek) const {
  static constexpr double suspicious = 14;  // once in a million
  static constexpr std::size_t safe = 8;    // so many are due in a region in which at least one is
  double const servers = options_.max_region > 0 ? estimated_servers() : 0;
  if (servers == 0) return 0;
  pooled_vector<double> due;  // up to each of them
  double surprise = 0;
  std::size_t answered = 0;  // the others may be made up
  for (lookup::candidate const* c : seek.racing()) {
    due.push_back(servers * distance_of(seek.target(), c->id));
    if (c->now == lookup::state::answered)
      surprise = std::max(surprise, surprise_at(static_cast<double>(++answered), due.back()));
  }
  if (surprise < suspicious) return 0;
  auto const wanted = static_cast<double>(std::max(options_.replicas, safe));
  auto const within = std::count_if(due.begin(), due.end(), [wanted](double d) { return d <= wanted; });
  return std::min(static_cast<std::size_t>(within), options_.max_region);
}

/// After a lookup: where others crowd around the target, it goes on until the whole region has been asked.
KADORO_DECL coro::task<void> node_core::seek_region(node_core& core, lookup& seek, lookup::visitor& sees) {
  static constexpr int max_rounds = 3;
  for (int round = 0; round < max_rounds && !core.closed_; ++round) {
    std::size_t const width = core.region_width(seek);
    if (width <= seek.width()) co_return;
    if (round == 0) ++core.crowded_;
    seek.widen(width);
    co_await seek_all(core, seek, sees);
  }
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
