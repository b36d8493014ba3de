#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "kadoro/base/bytes.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// Lets the first few of each address range pass. Whoever is in no range always does.
class range_quota {
 public:
  explicit range_quota(std::size_t most) noexcept : most_(most) {}

  bool admits(std::optional<std::uint64_t> range) {
    if (!range) return true;
    auto at = std::find_if(passed_.begin(), passed_.end(), [&range](auto const& e) { return e.first == *range; });
    if (at == passed_.end()) at = passed_.emplace(passed_.end(), *range, 0);
    return ++at->second <= most_;
  }

 private:
  std::size_t most_;
  pooled_vector<std::pair<std::uint64_t, std::size_t>> passed_;
};

/// Calls `take` for the first `n` of a list in order of distance that are `wanted`, at most `most` of each address
/// range; where these are fewer than `n`, the others fill up. The order stays.
template <class List, class Wanted, class RangeOf, class Take>
void spread_over_ranges(List const& all, std::size_t n, std::size_t most, Wanted wanted, RangeOf range_of, Take take) {
  std::size_t left = n;  // places for those who would be too many
  range_quota first(most);
  for (auto const& each : all) {
    if (left == 0) break;
    if (wanted(each) && first.admits(range_of(each))) --left;
  }
  range_quota places(most);
  for (auto const& each : all) {
    if (n == 0) return;
    if (!wanted(each)) continue;
    if (!places.admits(range_of(each))) {
      if (left == 0) continue;
      --left;
    }
    --n;
    take(each);
  }
}

/// The same, of a whole list, as a list.
template <class List, class RangeOf>
List spread_over_ranges(List const& all, std::size_t n, std::size_t most, RangeOf range_of) {
  List out;
  out.reserve(std::min(n, all.size()));
  spread_over_ranges(
      all, n, most, [](auto const&) { return true; }, range_of, [&out](auto const& each) { out.push_back(each); });
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::kad
