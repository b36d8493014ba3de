#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/base/result.hpp"
#include "verdict.hpp"

namespace kadoro_sim {

/// Something that is not as it should be.
struct finding {
  std::optional<std::uint64_t> seed;  ///< none: it is about the campaign
  std::string invariant;              ///< a `check`; or crash, hang, exception: then there is no event
  std::string detail;
  std::uint64_t event = 0;
};

/// What became of one seed of a campaign.
struct outcome {
  verdict ran;  ///< only the seed, if the run did not come to its end
  std::optional<finding> failed;
};

/// Of a run that came to its end.
outcome outcome_of(verdict ran);
/// Of one that did not: `how` is crash, hang or exception.
outcome unfinished(std::uint64_t seed, std::string how, std::string detail);

/// The outcome as one line, to go from one process to another, and back.
std::string to_line(outcome const& what);
kadoro::result<outcome> parse_outcome(std::string_view line);

/// What a campaign says at its end.
struct report {
  std::size_t seeds = 0;   ///< that ran
  std::size_t wanted = 0;  ///< that it was to run
  std::uint64_t events = 0;
  std::uint64_t datagrams = 0;
  std::array<std::uint64_t, fault_count> faults{};
  std::array<std::uint64_t, check_count> checks{};
  std::vector<finding> failing;
  std::uint64_t recall_found = 0;
  std::uint64_t recall_wanted = 0;
  double simulated_s = 0;
  double seconds = 0;            ///< of real time
  std::uint64_t trace_hash = 0;  ///< of the hashes of all runs in the order of their seeds

  /// Nothing is broken, and something ran.
  bool good() const noexcept { return seeds > 0 && failing.empty(); }
  /// Nothing if no lookup was judged.
  std::optional<double> recall() const noexcept;
  nlohmann::ordered_json to_json() const;
  /// For people. `replay` is the command of a run without its seed, as `kadoro-sim run --faults all`.
  std::string to_text(std::string const& replay) const;
};

/// Puts together what the seeds of a campaign gave, in their order; nothing for those that did not run. Recall is
/// judged here, over all of them.
report merge(std::vector<std::optional<outcome>> const& in_order);

/// The command that repeats what was found, up to its event if it has one.
std::string replay_command(finding const& what, std::string const& replay);

/// Two columns: what, and how often. What never happened is said too.
std::string fault_table(std::array<std::uint64_t, fault_count> const& times);
std::string check_table(std::array<std::uint64_t, check_count> const& times);

std::string to_hex(std::uint64_t hash);
/// `value` with so many digits after the point.
std::string fixed(double value, int digits);

}  // namespace kadoro_sim
