#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kadoro/base/result.hpp"
#include "plan.hpp"

namespace kadoro_sim {

/// What a user may fix of a swarm, as words of a command line. Everything else is drawn from the seed.
struct choices {
  std::optional<std::size_t> nodes;
  std::optional<double> minutes;         ///< of the time with faults
  std::string faults = "random";         ///< see `parse_faults`
  std::optional<std::string> transport;  ///< datagram or stream

  /// The limits that a plan is drawn within. Fails with `invalid_argument`, naming the word that makes no sense.
  kadoro::result<plan_limits> limits() const;
  /// The same choices as words again, each after a space: for the command that replays a run.
  std::string flags() const;
};

/// `all`: every one. `none`. `random`: a part that the seed draws. `a,b,c`: exactly these. Sets `faults` and
/// `all_faults`; fails with `invalid_argument`, naming the unknown fault and those that are known.
kadoro::result<plan_limits> parse_faults(std::string_view text);

kadoro::result<transport_kind> parse_transport(std::string_view text);

/// Reads `A..B`, both included, or `A`. Fails with `invalid_argument`: no such numbers, B before A, too many.
kadoro::result<std::vector<std::uint64_t>> parse_seeds(std::string_view text);

/// Reads a file of seeds, one a line, before anything else that the line says. Empty lines and those that begin with
/// `#` are for people. Fails with `io_failure` or `invalid_argument`, naming the line.
kadoro::result<std::vector<std::uint64_t>> read_seed_file(std::string const& path);

inline constexpr std::uint64_t max_seeds = 10'000'000;

}  // namespace kadoro_sim
