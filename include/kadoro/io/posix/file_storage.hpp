#pragma once

#include <string>

#include "kadoro/io/storage.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Blobs as files. With a directory, a name is the name of a file in it (no `/`, not `.` nor `..`); with an empty one,
/// a name is a path. The directory must exist. One process writes a name at a time.
class file_storage final : public io::storage {
 public:
  KADORO_DECL explicit file_storage(std::string directory = {});

  KADORO_DECL result<bytes> read(std::string_view name) override;

  /// Writes `<file>.tmp` beside the file (mode 0600), syncs it, renames it over the file, and syncs the directory.
  KADORO_DECL result<void> write(std::string_view name, bytes_view content) override;
  KADORO_DECL result<void> remove(std::string_view name) override;

 private:
  KADORO_DECL result<std::string> path_of(std::string_view name) const;

  std::string directory_;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/file_storage.ipp"
#endif
