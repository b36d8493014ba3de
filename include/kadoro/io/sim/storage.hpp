#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "kadoro/io/storage.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// The failures of a simulated disk that really happened.
struct storage_counters {
  std::uint64_t failed_reads = 0;
  std::uint64_t failed_writes = 0;
  std::uint64_t refused_writes = 0;  ///< no space left
  std::uint64_t lost_writes = 0;     ///< undone by a power cut
};

/// A disk in memory that fails when a test says so. It survives the crash of a host if the test keeps it.
class storage final : public io::storage {
 public:
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
  /// The most writes that a power cut can undo.
  static constexpr std::size_t max_unsynced = 1024;

  KADORO_DECL result<bytes> read(std::string_view name) override;
  KADORO_DECL result<void> write(std::string_view name, bytes_view content) override;
  KADORO_DECL result<void> remove(std::string_view name) override;

  /// The next `count` calls fail with `io_failure` and change nothing.
  void fail_reads(std::uint64_t count) noexcept { failing_reads_ = count; }
  void fail_writes(std::uint64_t count) noexcept { failing_writes_ = count; }  ///< `write` and `remove`

  /// Room for so many bytes of content; a write beyond fails with `io_failure` and changes nothing. A blob that is
  /// replaced needs room for the old and the new, because the old one stays until the new one is complete.
  void set_capacity(std::size_t size_bytes) noexcept { capacity_bytes_ = size_bytes; }
  std::size_t used_bytes() const noexcept { return used_bytes_; }

  /// From now on the disk lies: the latest `count` successful calls of `write` and `remove` (at most `max_unsynced`)
  /// are undone by the next `power_cut`. Zero: an honest disk again, everything so far is safe.
  KADORO_DECL void lose_on_power_cut(std::size_t count);

  /// Undoes what was not safe, the latest first. The disk goes on, as dishonest as before.
  KADORO_DECL void power_cut();

  /// Successful calls of `write`.
  std::uint64_t writes() const noexcept { return writes_; }
  storage_counters const& counters() const noexcept { return counters_; }

 private:
  /// What a name held before a change.
  struct change {
    std::string name;
    std::optional<bytes> before;
  };

  KADORO_DECL std::optional<bytes> replace(std::string_view name, std::optional<bytes> content);
  KADORO_DECL void remember(std::string_view name, std::optional<bytes> before);

  std::map<std::string, bytes, std::less<>> blobs_;
  std::size_t used_bytes_ = 0;
  std::size_t capacity_bytes_ = unlimited;
  std::deque<change> unsynced_;  // the latest last
  std::size_t unsynced_max_ = 0;
  std::uint64_t failing_reads_ = 0;
  std::uint64_t failing_writes_ = 0;
  std::uint64_t writes_ = 0;
  storage_counters counters_;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/storage.ipp"
#endif
