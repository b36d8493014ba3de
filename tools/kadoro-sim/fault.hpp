#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kadoro_sim {

/// Everything that can go wrong in a run. What each does is said in docs/simulation.md.
enum class fault : std::uint8_t {
  // between hosts
  geography,
  jitter,
  spread,
  loss,
  duplicate,
  reorder,
  corrupt,
  mtu,
  bandwidth,
  one_way,
  partition,
  partial_partition,
  flapping,
  nat_easy,
  nat_hard,
  address_change,
  // of one host
  restart,
  restart_empty,
  restart_amnesia,
  leave,
  pause,
  slow,
  clock_offset,
  clock_drift,
  no_sockets,
  disk_error,
  disk_full,
  full_store,
  old_version,
  // of malice: of members, then of strangers
  lie_contacts,
  forge_records,
  stale_records,
  swallow_puts,
  sybils,
  flood,
  replay,
  spoof,
  stranger,
  count_
};

inline constexpr std::size_t fault_count = static_cast<std::size_t>(fault::count_);

constexpr std::string_view to_string(fault what) noexcept {
  constexpr std::string_view names[fault_count] = {
      "geography",   "jitter",         "spread",        "loss",          "duplicate",         "reorder",   "corrupt",
      "mtu",         "bandwidth",      "one_way",       "partition",     "partial_partition", "flapping",  "nat_easy",
      "nat_hard",    "address_change", "restart",       "restart_empty", "restart_amnesia",   "leave",     "pause",
      "slow",        "clock_offset",   "clock_drift",   "no_sockets",    "disk_error",        "disk_full", "full_store",
      "old_version", "lie_contacts",   "forge_records", "stale_records", "swallow_puts",      "sybils",    "flood",
      "replay",      "spoof",          "stranger"};
  return what < fault::count_ ? names[static_cast<std::size_t>(what)] : "unknown";
}

/// Some of them.
class fault_set {
 public:
  static fault_set all() noexcept {
    fault_set s;
    s.bits_.set();
    return s;
  }

  bool has(fault what) const noexcept { return bits_[static_cast<std::size_t>(what)]; }
  void set(fault what, bool on = true) noexcept { bits_[static_cast<std::size_t>(what)] = on; }
  bool empty() const noexcept { return bits_.none(); }

 private:
  std::bitset<fault_count> bits_;
};

inline std::optional<fault> fault_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < fault_count; ++i)
    if (to_string(static_cast<fault>(i)) == name) return static_cast<fault>(i);
  return std::nullopt;
}

}  // namespace kadoro_sim
