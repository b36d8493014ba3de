#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>

#include "kadoro/io/database.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// What happened to a simulated database.
struct database_counters {
  std::uint64_t commits = 0;          ///< successful ones
  std::uint64_t entries_written = 0;  ///< puts and erasures in them
  std::uint64_t bytes_written = 0;    ///< of their keys and values
  std::uint64_t failed_loads = 0;
  std::uint64_t failed_commits = 0;
  std::uint64_t refused_commits = 0;  ///< no space left
  std::uint64_t lost_commits = 0;     ///< undone by a power cut of a disk that lies
};

/// A database in memory that fails when a test says so. It survives the crash of a host if the test keeps it.
class database final : public io::database {
 public:
  using entries_map = std::map<bytes, bytes, bytes_less>;

  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
  /// The most commits that a power cut can undo.
  static constexpr std::size_t max_unsynced = 64;

  KADORO_DECL result<void> load(visitor const& visit) override;
  KADORO_DECL result<void> commit(std::span<database_change const> changes, batch kind) override;
  void close() noexcept override { open_ = false; }

  /// The next `load` fails so, and changes nothing.
  void fail_load(errc why) noexcept { load_failure_ = why; }
  /// The next `count` commits fail with `io_failure` and change nothing.
  void fail_commits(std::uint64_t count) noexcept { failing_commits_ = count; }
  /// Room for so many bytes of keys and values; a commit beyond fails with `storage_full` and changes nothing.
  void set_capacity(std::size_t size_bytes) noexcept { capacity_bytes_ = size_bytes; }
  KADORO_DECL std::size_t used_bytes() const noexcept;

  /// From now on the disk lies: the latest `count` commits (at most `max_unsynced`) are undone by the next `power_cut`.
  KADORO_DECL void lose_on_power_cut(std::size_t count);
  KADORO_DECL void power_cut();

  /// What is on the disk, for tests to look at and to damage.
  entries_map& entries() noexcept { return entries_; }
  database_counters const& counters() const noexcept { return counters_; }

 private:
  entries_map entries_;
  bool open_ = false;
  std::optional<errc> load_failure_;
  std::uint64_t failing_commits_ = 0;
  std::size_t capacity_bytes_ = unlimited;
  std::size_t unsynced_max_ = 0;
  std::deque<entries_map> unsynced_;  // what there was before each of the latest commits, the latest last
  database_counters counters_;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/database.ipp"
#endif
