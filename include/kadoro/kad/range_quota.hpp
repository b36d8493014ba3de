#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

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
  std::vector<std::pair<std::uint64_t, std::size_t>> passed_;
};

/// The first `n` of a list in order of distance, at most `most` of each address range; where these are fewer than `n`,
/// the others fill up. The order stays.
template <class Element, class RangeOf>
std::vector<Element> spread_over_ranges(std::vector<Element> const& all, std::size_t n, std::size_t most,
                                        RangeOf range_of) {
  range_quota places(most);
  std::vector<bool> taken(all.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < all.size() && count < n; ++i) {
    taken[i] = places.admits(range_of(all[i]));
    count += taken[i] ? 1u : 0u;
  }
  for (std::size_t i = 0; i < all.size() && count < n; ++i) {
    if (taken[i]) continue;
    taken[i] = true;
    ++count;
  }
  std::vector<Element> out;
  out.reserve(count);
  for (std::size_t i = 0; i < all.size(); ++i)
    if (taken[i]) out.push_back(all[i]);
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::kad
