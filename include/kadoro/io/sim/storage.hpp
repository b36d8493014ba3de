#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "kadoro/io/storage.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// A disk in memory that fails when a test says so. It survives the crash of a host if the test keeps it.
class storage final : public io::storage {
 public:
  KADORO_DECL result<bytes> read(std::string_view name) override;
  KADORO_DECL result<void> write(std::string_view name, bytes_view content) override;
  KADORO_DECL result<void> remove(std::string_view name) override;

  /// The next `count` calls fail with `io_failure` and change nothing.
  void fail_reads(std::uint64_t count) noexcept { failing_reads_ = count; }
  void fail_writes(std::uint64_t count) noexcept { failing_writes_ = count; }  ///< `write` and `remove`

  /// Successful calls of `write`.
  std::uint64_t writes() const noexcept { return writes_; }

 private:
  std::map<std::string, bytes, std::less<>> blobs_;
  std::uint64_t failing_reads_ = 0;
  std::uint64_t failing_writes_ = 0;
  std::uint64_t writes_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/storage.ipp"
#endif
