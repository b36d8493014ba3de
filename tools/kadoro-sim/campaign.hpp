#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "plan.hpp"
#include "report.hpp"

namespace kadoro_sim {

/// Runs many seeds in worker processes, one seed at a time in each.
struct campaign_settings {
  std::vector<std::uint64_t> seeds;
  plan_limits limits;
  std::size_t jobs = 1;                           ///< worker processes
  std::chrono::duration<double> time_limit{};     ///< no seed counts that has not ended by then; 0: none
  std::chrono::duration<double> hang_limit{120};  ///< a run that takes longer is killed and has failed
  /// Hand out no more seeds once one has failed. The first of the failing is still the first of all that fail: those
  /// before it were handed out before it, and come to their end.
  bool stop_at_first = false;
  bool progress = true;  ///< say on stderr how far it is, and what fails as soon as it does
  /// What runs a plan; tests put another in its place. It is called in the workers.
  std::function<verdict(plan const&)> simulate;
};

/// The outcome does not depend on `jobs`: what the seeds gave is put together in the order of `seeds`. A worker that
/// dies is replaced, and the seed that it had has failed. For programs with one thread, for it forks.
report run_campaign(campaign_settings const& settings);

}  // namespace kadoro_sim
