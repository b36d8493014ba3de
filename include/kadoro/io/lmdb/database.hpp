#pragma once

#include <memory>
#include <string>

#include "kadoro/io/database.hpp"

namespace kadoro::inline KADORO_ABI::io::lmdb {

struct database_options {
  /// What the file may grow to; it is as large as what is in it, plus what commits need to write beside the old. That
  /// is twice as much where all is written anew: a node's store, full of records of 4 KiB, takes 1 GiB so.
  std::size_t max_bytes = std::size_t{4} << 30;
  /// LMDB trusts its file, and can crash on a damaged one: with this a child process reads it first. Costs a fork, and
  /// reading it twice.
  bool probe = true;
};

/// A database in one file, by LMDB (liblmdb 0.9): link `kadoro::lmdb`, or `-llmdb`. The directory must exist. The file
/// is readable and writable by its owner only, and locked as long as it is open: another process gets `in_use`.
///
/// A commit syncs the file twice: the pages, then the root that points at them. Whatever kills the process or the
/// machine, the file is as it was before or after the commit.
class database final : public io::database {
 public:
  KADORO_DECL explicit database(std::string path, database_options options = {});
  database(database const&) = delete;
  database& operator=(database const&) = delete;
  KADORO_DECL ~database() override;

  KADORO_DECL result<void> load(visitor const& visit) override;
  KADORO_DECL result<void> commit(std::span<database_change const> changes, batch kind) override;
  KADORO_DECL void close() noexcept override;

  std::string const& path() const noexcept { return path_; }

 private:
  class environment;

  std::string path_;
  database_options options_;
  std::unique_ptr<environment> open_;
};

}  // namespace kadoro::inline KADORO_ABI::io::lmdb

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/lmdb/impl/database.ipp"
#endif
