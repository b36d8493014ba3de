#pragma once

#include <algorithm>
#include <utility>

#include "kadoro/io/sim/database.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

namespace detail {

inline std::size_t size_of(database::entries_map const& entries) noexcept {
  std::size_t size = 0;
  for (auto const& [key, value] : entries) size += key.size() + value.size();
  return size;
}

}  // namespace detail

KADORO_DECL std::size_t database::used_bytes() const noexcept { return detail::size_of(entries_); }

KADORO_DECL result<void> database::load(visitor const& visit) {
  if (load_failure_) {
    ++counters_.failed_loads;
    errc const why = *load_failure_;
    load_failure_.reset();
    return fail(why, "simulated database: injected: " + make_error_code(why).message());
  }
  open_ = true;
  for (auto const& [key, value] : entries_) {
    auto const seen = visit(key, value);
    if (!seen) return seen;
  }
  return {};
}

KADORO_DECL result<void> database::commit(std::span<database_change const> changes, batch kind) {
  if (!open_) return fail(errc::closed, "simulated database: not open");
  if (failing_commits_ > 0) {
    --failing_commits_;
    ++counters_.failed_commits;
    return fail(errc::io_failure, "simulated database: injected write failure");
  }
  entries_map next;
  if (kind == batch::changes) next = entries_;
  std::uint64_t written = 0;
  for (database_change const& change : changes) {
    if (change.key.empty() || change.key.size() > max_key_bytes)
      return fail(errc::invalid_argument,
                  "simulated database: a key of " + std::to_string(change.key.size()) + " bytes");
    written += change.key.size() + (change.value ? change.value->size() : 0);
    if (change.value)
      next[change.key] = *change.value;
    else
      next.erase(change.key);
  }
  std::size_t const size = detail::size_of(next);
  if (size > capacity_bytes_ && size > used_bytes()) {
    ++counters_.refused_commits;
    return fail(errc::storage_full, "simulated database: no space left: " + std::to_string(size) + " bytes, " +
                                        std::to_string(capacity_bytes_) + " fit");
  }
  if (unsynced_max_ > 0) {
    if (unsynced_.size() == unsynced_max_) unsynced_.pop_front();
    unsynced_.push_back(std::move(entries_));
  }
  entries_ = std::move(next);
  ++counters_.commits;
  counters_.entries_written += changes.size();
  counters_.bytes_written += written;
  return {};
}

KADORO_DECL void database::lose_on_power_cut(std::size_t count) {
  unsynced_max_ = std::min(count, max_unsynced);
  while (unsynced_.size() > unsynced_max_) unsynced_.pop_front();
}

KADORO_DECL void database::power_cut() {
  if (unsynced_.empty()) return;
  counters_.lost_commits += unsynced_.size();
  entries_ = std::move(unsynced_.front());
  unsynced_.clear();
}

}  // namespace kadoro::inline KADORO_ABI::io::sim
