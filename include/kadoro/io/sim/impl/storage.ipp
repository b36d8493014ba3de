#pragma once

#include <algorithm>
#include <utility>

#include "kadoro/io/sim/storage.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

namespace detail {

inline auto disk_error(errc code, std::string_view name, std::string_view why) {
  return fail(code, "simulated disk: '" + std::string(name) + "': " + std::string(why));
}

/// True, and one less to come, if this call is to fail.
inline bool use_up(std::uint64_t& failures, std::uint64_t& counter) noexcept {
  if (failures == 0) return false;
  --failures;
  ++counter;
  return true;
}

}  // namespace detail

KADORO_DECL result<bytes> storage::read(std::string_view name) {
  if (detail::use_up(failing_reads_, counters_.failed_reads))
    return detail::disk_error(errc::io_failure, name, "injected read failure");
  auto const found = blobs_.find(name);
  if (found == blobs_.end()) return detail::disk_error(errc::not_found, name, "no such blob");
  return found->second;
}

KADORO_DECL result<void> storage::write(std::string_view name, bytes_view content) {
  if (detail::use_up(failing_writes_, counters_.failed_writes))
    return detail::disk_error(errc::io_failure, name, "injected write failure");
  if (content.size() > max_blob_bytes) return detail::disk_error(errc::too_large, name, "too large");
  if (used_bytes_ > capacity_bytes_ || content.size() > capacity_bytes_ - used_bytes_) {
    ++counters_.refused_writes;
    return detail::disk_error(errc::io_failure, name,
                              "no space left: " + std::to_string(content.size()) + " bytes more than the " +
                                  std::to_string(used_bytes_) + " of " + std::to_string(capacity_bytes_) + " in use");
  }
  remember(name, replace(name, to_bytes(content)));
  ++writes_;
  return {};
}

KADORO_DECL result<void> storage::remove(std::string_view name) {
  if (detail::use_up(failing_writes_, counters_.failed_writes))
    return detail::disk_error(errc::io_failure, name, "injected write failure");
  if (blobs_.find(name) != blobs_.end()) remember(name, replace(name, std::nullopt));
  return {};
}

/// Sets or erases a blob; returns what it was.
KADORO_DECL std::optional<bytes> storage::replace(std::string_view name, std::optional<bytes> content) {
  std::optional<bytes> before;
  auto const found = blobs_.find(name);
  if (found != blobs_.end()) {
    used_bytes_ -= found->second.size();
    before = std::move(found->second);
    blobs_.erase(found);
  }
  if (content) {
    used_bytes_ += content->size();
    blobs_.emplace(std::string(name), std::move(*content));
  }
  return before;
}

KADORO_DECL void storage::remember(std::string_view name, std::optional<bytes> before) {
  if (unsynced_max_ == 0) return;
  if (unsynced_.size() == unsynced_max_) unsynced_.pop_front();
  unsynced_.push_back({std::string(name), std::move(before)});
}

KADORO_DECL void storage::lose_on_power_cut(std::size_t count) {
  unsynced_max_ = std::min(count, max_unsynced);
  while (unsynced_.size() > unsynced_max_) unsynced_.pop_front();
}

KADORO_DECL void storage::power_cut() {
  for (; !unsynced_.empty(); unsynced_.pop_back()) {
    change& latest = unsynced_.back();
    static_cast<void>(replace(latest.name, std::move(latest.before)));
    ++counters_.lost_writes;
  }
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
