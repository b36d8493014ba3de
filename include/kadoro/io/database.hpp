#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// One entry of a database as it is to be.
struct database_change {
  bytes key;                   ///< 1 to `database::max_key_bytes`
  std::optional<bytes> value;  ///< nothing: there is to be no such entry
};

/// An ordered map from bytes to bytes that survives crashes: changed by whole batches, read as a whole at the start.
/// Who uses it keeps what it needs in memory. Implementations: `io::lmdb::database`, and a simulated one.
///
/// Calls block, a commit for as long as the disk takes to sync. One user at a time, one thread at a time.
class database {
 public:
  static constexpr std::size_t max_key_bytes = 500;

  /// Sees one entry; an error ends the reading and is passed on.
  using visitor = std::function<result<void>(bytes_view key, bytes_view value)>;

  /// What a batch stands for.
  enum class batch {
    changes,  ///< the other entries stay as they are
    whole     ///< there are to be no other entries
  };

  virtual ~database() = default;

  /// Opens the database, unless it is open, and visits every entry in the order of keys. A database that is not there
  /// is made, empty. Errors name the file: `in_use` (by another process), `corrupt`, `storage_full`, `io_failure`.
  virtual result<void> load(visitor const& visit) = 0;

  /// All of it or nothing, whatever happens meanwhile; once it has returned, neither a crash of the process nor of the
  /// machine undoes it. After an error the entries are as they were before, unless the detail says otherwise. Errors:
  /// `storage_full`, `corrupt`, `io_failure`, `closed` if it was not loaded.
  virtual result<void> commit(std::span<database_change const> changes, batch kind) = 0;

  /// Gives the file up; others may open it. `load` opens it again.
  virtual void close() noexcept = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io
