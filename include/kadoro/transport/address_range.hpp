#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::transport {

/// The range that a peer has proved to live in. Nothing if it has proved none, or a private one.
inline std::optional<std::uint64_t> proved_range(peer const& who) noexcept {
  for (peer::address const& a : who.addresses())
    if (a.confirmed) return a.range;
  return std::nullopt;
}

/// How much of something each address range has. Ranges that do not count are nobody's.
class range_tally {
 public:
  std::size_t of(std::optional<std::uint64_t> range) const noexcept {
    if (!range) return 0;
    auto const at = counts_.find(*range);
    return at == counts_.end() ? 0 : at->second;
  }

  void add(std::optional<std::uint64_t> range, std::size_t amount = 1) {
    if (range) counts_[*range] += amount;
  }

  /// What was added before.
  void remove(std::optional<std::uint64_t> range, std::size_t amount = 1) noexcept {
    if (!range) return;
    auto const at = counts_.find(*range);
    at->second -= amount;
    if (at->second == 0 && counts_.size() > max_idle) counts_.erase(at);
  }

 private:
  static constexpr std::size_t max_idle = 256;  ///< so many stay for the next time, which then need not allocate

  std::map<std::uint64_t, std::size_t> counts_;
};

}  // namespace kadoro::inline KADORO_ABI::transport
