#pragma once

#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// A few named blobs that survive a restart: identities, sequences. Implementations: `io::posix::file_storage`, and a
/// simulated disk that can fail. Calls block; they are rare and small (at most `max_blob_bytes`).
class storage {
 public:
  static constexpr std::size_t max_blob_bytes = 16u << 20;

  virtual ~storage() = default;

  /// The whole blob. Errors: `not_found`, `too_large`, `io_failure`, each naming the blob and the cause.
  virtual result<bytes> read(std::string_view name) = 0;

  /// Replaces the blob: after success the new content is on disk, after failure or a crash the old one is untouched.
  /// Created readable and writable by the owner only (0600).
  virtual result<void> write(std::string_view name, bytes_view content) = 0;

  /// Success also if there was none.
  virtual result<void> remove(std::string_view name) = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io
