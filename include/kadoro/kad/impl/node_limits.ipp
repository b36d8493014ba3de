#pragma once

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// Whoever asks too much is told when to come again.
KADORO_DECL bool node_core::turned_away(peer_ref const& from, transport::message const& request,
                                        transport::message& answer) {
  auto const wait = gate_.check(*from, request, context_.now());
  if (!wait) return false;
  answer.refusal = errc::refused_rate;
  answer.retry_after_ms = static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::milliseconds>(*wait).count());
  return true;
}

/// Somebody would have taken the record later: what this node publishes is placed once more then.
KADORO_DECL void node_core::place_again(record const& what, duration after) {
  static constexpr duration soonest = std::chrono::seconds(1);
  static constexpr duration latest = std::chrono::minutes(1);
  if (publication* const p = published(what))
    p->next_renewal = std::min(p->next_renewal, context_.now() + std::clamp(after, soonest, latest));
}

KADORO_DECL std::string node_core::refusals_text() const {
  request_counters const& asked = gate_.counters();
  store_counters const& stored = store_.counters();
  std::pair<char const*, std::uint64_t> const all[] = {
      {"refused_reads", asked.refused_reads},
      {"refused_writes", asked.refused_writes},
      {"refused_written_bytes", asked.refused_written_bytes},
      {"refused_watch_requests", asked.refused_watches},
      {"store_full", stored.refused_full},
      {"store_full_publisher", stored.refused_full_publisher},
      {"store_full_range", stored.refused_full_range},
      {"watches_full", watchers_.counters().refused_full},
      {"watches_full_peer", watchers_.counters().refused_full_peer},
      {"watches_full_range", watchers_.counters().refused_full_range},
      {"contacts_range_full", table_.counters().rejected_range},
      {"crowded_keys", crowded_},
      {"members_turned_away", members_.turned_away()},
  };
  std::string text;
  for (auto const& [name, count] : all)
    if (count > 0) text += " " + std::string(name) + "=" + std::to_string(count);
  return text;
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
