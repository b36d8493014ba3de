#pragma once

#include <algorithm>
#include <map>
#include <queue>
#include <tuple>

#include "kadoro/directory/holder_ranking.hpp"

namespace kadoro::inline KADORO_ABI::directory {

namespace detail {

inline bool of_model(holder_view const& holder, swarm_view const& swarm) {
  return !holder.details || holder.details->model_name == swarm.model_name;
}

/// The holders of a shard that may be chosen: of those that count the ones that have loaded it, else all that count.
inline std::vector<holder_view const*> eligible(swarm_view const& swarm, std::uint32_t shard) {
  std::vector<holder_view const*> out;
  bool loaded = false;
  for (holder_view const& h : swarm.shards[shard]) {
    if (!h.counts() || !of_model(h, swarm)) continue;
    out.push_back(&h);
    loaded = loaded || h.loaded;
  }
  if (loaded) std::erase_if(out, [](holder_view const* h) { return !h->loaded; });
  return out;
}

inline std::string why_hole(swarm_view const& swarm, std::uint32_t shard) {
  auto const& holders = swarm.shards[shard];
  if (holders.empty()) {
    auto const said = swarm.why_missing.find(shard);
    return said == swarm.why_missing.end() || said->second.empty() ? "nobody is known"
                                                                   : "nobody is known: " + said->second;
  }
  std::string const count = std::to_string(holders.size()) + (holders.size() == 1 ? " holder" : " holders");
  auto const all = [&holders](auto const& what) { return std::all_of(holders.begin(), holders.end(), what); };
  if (all([&swarm](holder_view const& h) { return !of_model(h, swarm); })) return count + ", of another model";
  if (all([](holder_view const& h) { return !h.verified && !h.suspect; })) return count + ", not contacted yet";
  if (all([](holder_view const& h) { return h.suspect; }))
    return count + (holders.size() == 1 ? ", which does not answer" : ", none of which answers");
  return count + ", none of which was contacted and answers";
}

}  // namespace detail

KADORO_DECL duration cost_of(holder_view const& holder, ranking_options const& how) noexcept {
  duration cost = holder.own ? duration::zero() : holder.rtt.value_or(how.unknown_rtt);
  if (holder.details)
    cost += how.per_active_request * static_cast<duration::rep>(holder.details->capabilities.active_requests);
  return cost;
}

KADORO_DECL bool better(holder_view const& a, holder_view const& b, ranking_options const& how) noexcept {
  auto const rank = [&how](holder_view const& h) {
    return std::tuple(!h.counts(), !h.loaded, cost_of(h, how),
                      h.own ? duration::zero() : h.heard.value_or(duration::max()));
  };
  auto const rank_a = rank(a);
  auto const rank_b = rank(b);
  return rank_a != rank_b ? rank_a < rank_b : a.peer < b.peer;
}

KADORO_DECL std::vector<holder_view> best_holders(swarm_view const& swarm, std::uint32_t shard, std::size_t n,
                                                  ranking_options const& how) {
  std::vector<holder_view> out;
  if (shard >= swarm.shards.size()) return out;
  for (holder_view const& h : swarm.shards[shard])
    if (detail::of_model(h, swarm)) out.push_back(h);
  std::sort(out.begin(), out.end(), [&how](holder_view const& a, holder_view const& b) { return better(a, b, how); });
  if (out.size() > n) out.erase(out.begin() + static_cast<std::ptrdiff_t>(n), out.end());
  return out;
}

KADORO_DECL bool shard_cover::ready() const noexcept {
  return complete() && std::all_of(choices.begin(), choices.end(), [](choice const& c) { return c.holder.loaded; });
}

KADORO_DECL shard_cover cover(swarm_view const& swarm, ranking_options const& how) {
  shard_cover out;
  out.model_name = swarm.model_name;
  auto const total = static_cast<std::uint32_t>(swarm.shards.size());

  /// A peer, what may be asked of it, and how good it is where it is best.
  struct candidate {
    std::vector<std::pair<std::uint32_t, holder_view const*>> holds;
    holder_view const* best = nullptr;
  };
  std::map<peer_id, candidate> candidates;
  for (std::uint32_t shard = 0; shard < total; ++shard) {
    auto const holders = detail::eligible(swarm, shard);
    if (holders.empty()) out.holes.push_back({shard, detail::why_hole(swarm, shard)});
    for (holder_view const* h : holders) {
      candidate& c = candidates[h->peer];
      c.holds.emplace_back(shard, h);
      if (c.best == nullptr || better(*h, *c.best, how)) c.best = h;
    }
  }

  // What a peer adds only shrinks, so one that is still the first after it was counted again is the best there is.
  struct entry {
    std::size_t adds;
    candidate const* who;
  };
  auto const behind = [&how](entry const& a, entry const& b) {
    return a.adds != b.adds ? a.adds < b.adds : better(*b.who->best, *a.who->best, how);
  };
  std::priority_queue<entry, std::vector<entry>, decltype(behind)> queue(behind);
  for (auto const& [id, c] : candidates) queue.push({c.holds.size(), &c});
  std::vector<holder_view const*> chosen(total);
  while (!queue.empty()) {
    entry first = queue.top();
    queue.pop();
    auto const open = [&chosen](auto const& held) { return chosen[held.first] == nullptr; };
    auto const adds = static_cast<std::size_t>(std::count_if(first.who->holds.begin(), first.who->holds.end(), open));
    if (adds == 0) continue;
    if (adds < first.adds) {
      queue.push({adds, first.who});
      continue;
    }
    for (auto const& [shard, holder] : first.who->holds)
      if (chosen[shard] == nullptr) chosen[shard] = holder;
    out.peers.push_back(first.who->best->peer);
  }
  std::sort(out.peers.begin(), out.peers.end());

  // Of those that are asked anyway, each shard goes to the best.
  for (std::uint32_t shard = 0; shard < total; ++shard) {
    if (chosen[shard] == nullptr) continue;
    holder_view const* best = chosen[shard];
    for (holder_view const* h : detail::eligible(swarm, shard))
      if (std::binary_search(out.peers.begin(), out.peers.end(), h->peer) && better(*h, *best, how)) best = h;
    out.choices.push_back({shard, *best});
  }
  // Some may have lost all their shards to better ones.
  out.peers.clear();
  for (auto const& each : out.choices) out.peers.push_back(each.holder.peer);
  std::sort(out.peers.begin(), out.peers.end());
  out.peers.erase(std::unique(out.peers.begin(), out.peers.end()), out.peers.end());
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::directory
