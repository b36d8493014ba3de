#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "fault.hpp"

namespace kadoro_sim {

/// What must hold in every run, in the order of the eight invariants that docs/simulation.md states. Each is counted
/// whenever it was really put to the test.
enum class check : std::uint8_t {
  kept_by_holder,          ///< 1: whoever acknowledged a record serves it until its life ends
  kept_for_getter,         ///< 1: a majority GET that hears such a holder returns at least that sequence
  kept_in_calm,            ///< 1: when the faults have stopped, what is published is found by everybody
  durable_is_kept,         ///< 1: what a member called durable it has after any crash, and no more life than it had
  stored_is_stored,        ///< 2: at the moment of an acknowledgement the record is in the store
  receipt_true,            ///< 2: stored, refused and unanswered are those who did, refused, or said nothing
  receipt_counts,          ///< 2: |R|, needed, degraded and ok follow from each other
  receipt_closest,         ///< 2: in a calm swarm R is the true r closest
  outcome_true,            ///< 2: the outcome of a GET is the one that its answers say
  genuine,                 ///< 2: what a GET returns was published, with these very bytes
  no_resurrection,         ///< 3: nothing that ended is accepted or served by one who remembers it
  highest_wins,            ///< 3: among the answers to a GET the highest sequence wins
  readiness_honest,        ///< 3: who is gone counts nowhere
  lookup_recall,           ///< 4: in a calm swarm a lookup finds the true k closest
  names_closest,           ///< 4: who is asked names the closest that it knows
  lookup_bounded,          ///< 4: every lookup ends in bounded steps and time
  ends_once,               ///< 5: every request and operation completes exactly once
  leaves_nothing,          ///< 5: after close nothing is left
  within_bounds,           ///< 5: no table exceeds its limit
  views_agree,             ///< 6: in a calm swarm every directory equals the truth
  watch_tells,             ///< 6: who watches a key hears of all that happens there
  rest_budget,             ///< 7: traffic at rest
  storm_budget,            ///< 7: traffic under faults, against the same run without
  amplification,           ///< 7: at most three times what came from an address that is not validated
  stranger_silence,        ///< 8: no byte for those without the swarm key
  replay_one_answer,       ///< 8: a replayed datagram gets at most one shorter answer
  replay_teaches_nothing,  ///< 8: and nobody learns an address from it
  count_
};

inline constexpr std::size_t check_count = static_cast<std::size_t>(check::count_);

constexpr std::string_view to_string(check what) noexcept {
  constexpr std::string_view names[check_count] = {
      "1_kept_by_holder",   "1_kept_for_getter",   "1_kept_in_calm",          "1_durable_is_kept",
      "2_stored_is_stored", "2_receipt_true",      "2_receipt_counts",        "2_receipt_closest",
      "2_outcome_true",     "2_genuine",           "3_no_resurrection",       "3_highest_wins",
      "3_readiness_honest", "4_lookup_recall",     "4_names_closest",         "4_lookup_bounded",
      "5_ends_once",        "5_leaves_nothing",    "5_within_bounds",         "6_views_agree",
      "6_watch_tells",      "7_rest_budget",       "7_storm_budget",          "7_amplification",
      "8_stranger_silence", "8_replay_one_answer", "8_replay_teaches_nothing"};
  return what < check::count_ ? names[static_cast<std::size_t>(what)] : "unknown";
}

/// A broken invariant: the first one ends the run.
struct violation {
  check what{};
  std::string detail;
  std::uint64_t event = 0;  ///< of the world, when it was noticed
  double at_s = 0;          ///< simulated seconds since the start
};

/// What became of one run.
struct verdict {
  std::uint64_t seed = 0;
  std::uint64_t events = 0;
  std::uint64_t datagrams = 0;
  double simulated_s = 0;
  std::uint64_t trace_hash = 0;
  std::size_t nodes = 0;
  std::array<std::uint64_t, fault_count> faults{};  ///< how often each was really injected
  std::array<std::uint64_t, check_count> checks{};  ///< how often each was really put to the test
  std::uint64_t recall_found = 0;                   ///< of the true k closest, over all lookups in calm
  std::uint64_t recall_wanted = 0;
  std::uint64_t storm_datagrams = 0;  ///< sent by members while there were faults
  std::uint64_t puts = 0;
  std::uint64_t puts_ok = 0;
  std::uint64_t gets = 0;
  std::uint64_t gets_found = 0;
  std::optional<violation> broken;
};

}  // namespace kadoro_sim
