#pragma once

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include "kadoro/io/lmdb/database.hpp"

namespace kadoro::inline KADORO_ABI::io::lmdb {

namespace detail {

inline errc code_of(int cause) noexcept {
  switch (cause) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT: return errc::storage_full;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC: return errc::corrupt;
    case MDB_VERSION_MISMATCH: return errc::wrong_version;
    default: return errc::io_failure;
  }
}

inline auto problem(std::string const& path, char const* what, int cause) {
  std::string text = path + ": " + what + ": ";
  if (cause == MDB_MAP_FULL)
    text += "no space left in the size that it may grow to (database_options::max_bytes)";
  else if (code_of(cause) == errc::corrupt)
    text += "damaged, or no LMDB file: put a copy in its place, or remove it to start again";
  else
    text += mdb_strerror(cause);
  return fail(code_of(cause), std::move(text));
}

inline MDB_val val_of(bytes_view data) noexcept { return {data.size(), const_cast<std::uint8_t*>(data.data())}; }
inline bytes_view view_of(MDB_val const& data) noexcept {
  return {static_cast<std::uint8_t const*>(data.mv_data), data.mv_size};
}

/// Where in this process an open file is mapped and shared, by Linux's list; empty where that cannot be read. LMDB does
/// not say it.
inline std::span<std::uint8_t> mapping_of(int file) noexcept {
  struct ::stat what{};
  if (::fstat(file, &what) != 0) return {};
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> const maps(std::fopen("/proc/self/maps", "re"), &std::fclose);
  char line[512];
  while (maps && std::fgets(line, sizeof line, maps.get()) != nullptr) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char access[5] = "";
    unsigned long inode = 0;
    if (std::sscanf(line, "%lx-%lx %4s %*s %*s %lu", &begin, &end, access, &inode) != 4) continue;
    if (inode == what.st_ino && access[3] == 's') return {reinterpret_cast<std::uint8_t*>(begin), end - begin};
  }
  return {};
}

/// A transaction that is undone unless it is committed.
class transaction {
 public:
  transaction(MDB_env* env, unsigned flags) noexcept : cause_(mdb_txn_begin(env, nullptr, flags, &txn_)) {}
  transaction(transaction const&) = delete;
  transaction& operator=(transaction const&) = delete;
  ~transaction() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  int cause() const noexcept { return cause_; }
  MDB_txn* get() const noexcept { return txn_; }
  int commit() noexcept { return mdb_txn_commit(std::exchange(txn_, nullptr)); }

 private:
  MDB_txn* txn_ = nullptr;
  int cause_;
};

}  // namespace detail

/// The open file: its lock and LMDB's environment.
class database::environment {
 public:
  environment(std::string const& path, database_options const& options) noexcept : path_(path), options_(options) {}
  environment(environment const&) = delete;
  environment& operator=(environment const&) = delete;
  ~environment() {
    if (env_ != nullptr) mdb_env_close(env_);
    if (lock_ >= 0) ::close(lock_);
  }

  /// Makes the file if there is none. LMDB's own locks are not needed: nobody else has the file.
  result<void> lock() {
    lock_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_ < 0) return fail(errc::io_failure, path_ + ": cannot open: " + mdb_strerror(errno));
    if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) return {};
    if (errno == EWOULDBLOCK) return fail(errc::in_use, path_ + ": another process has it open");
    return fail(errc::io_failure, path_ + ": cannot lock: " + mdb_strerror(errno));
  }

  result<void> open(bool loud) {
    int cause = mdb_env_create(&env_);
    if (cause != 0) return detail::problem(path_, "cannot open", cause);
    if (!loud) mdb_env_set_assert(env_, [](MDB_env*, char const*) { ::_exit(1); });
    auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    std::size_t const size = std::max(options_.max_bytes / page, std::size_t{16}) * page;
    cause = mdb_env_set_mapsize(env_, size);
    if (cause == 0) cause = mdb_env_open(env_, path_.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
    if (cause != 0) return detail::problem(path_, "cannot open", cause);
    detail::transaction begin(env_, 0);
    if (begin.cause() != 0) return detail::problem(path_, "cannot open", begin.cause());
    cause = mdb_dbi_open(begin.get(), nullptr, 0, &entries_);
    if (cause == 0) cause = begin.commit();
    if (cause != 0) return detail::problem(path_, "cannot open", cause);
    mapped_ = detail::mapping_of(lock_);
    return {};
  }

  result<void> read(visitor const& visit) {
    detail::transaction look(env_, MDB_RDONLY);
    if (look.cause() != 0) return detail::problem(path_, "cannot read", look.cause());
    MDB_cursor* cursor = nullptr;
    int cause = mdb_cursor_open(look.get(), entries_, &cursor);
    if (cause != 0) return detail::problem(path_, "cannot read", cause);
    std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> const closes(cursor, &mdb_cursor_close);
    MDB_val key{};
    MDB_val value{};
    while ((cause = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
      auto const seen = visit(detail::view_of(key), detail::view_of(value));
      if (!seen) return fail(error(seen.error().code(), path_ + ": " + seen.error().message()));
    }
    if (cause != MDB_NOTFOUND) return detail::problem(path_, "cannot read", cause);
    forget_pages();
    return {};
  }

  result<void> write(std::span<database_change const> changes, batch kind) {
    detail::transaction change(env_, 0);
    if (change.cause() != 0) return detail::problem(path_, "cannot write", change.cause());
    int cause = kind == batch::whole ? mdb_drop(change.get(), entries_, 0) : 0;
    for (database_change const& c : changes) {
      if (cause != 0) break;
      MDB_val key = detail::val_of(c.key);
      if (c.value) {
        MDB_val value = detail::val_of(*c.value);
        cause = mdb_put(change.get(), entries_, &key, &value, 0);
      } else {
        cause = mdb_del(change.get(), entries_, &key, nullptr);
        if (cause == MDB_NOTFOUND) cause = 0;
      }
    }
    if (cause == 0) cause = change.commit();
    if (cause != 0) return detail::problem(path_, "cannot write", cause);
    forget_pages();
    return {};
  }

  /// Reads everything, and tries a change that comes to nothing, in a child process: a damaged file can make LMDB touch
  /// memory that is not there. True if the child came to its end; what it found, the caller finds too.
  bool survives_reading() noexcept {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return true;
    pid_t const child = ::fork();
    if (child == 0) {
      ::close(std::exchange(lock_, -1));  // it may outlive a parent that is killed, and must not keep the next one out
      for (int const number : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) ::signal(number, SIG_DFL);
      ::rlimit const no_core{};
      ::setrlimit(RLIMIT_CORE, &no_core);
      ::alarm(60);  // links that go round in a circle
      read_as_child();
      ssize_t const told = ::write(ends[1], "", 1);
      ::_exit(told == 1 ? 0 : 1);
    }
    ::close(ends[1]);
    char end = 0;
    ssize_t got = 0;
    if (child > 0) {
      do got = ::read(ends[0], &end, 1);
      while (got < 0 && errno == EINTR);
      while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    ::close(ends[0]);
    return child < 0 || got == 1;
  }

 private:
  void read_as_child() {
    if (!open(false)) return;
    std::uint64_t sum = 0;
    auto const done = read([&sum](bytes_view key, bytes_view value) -> result<void> {
      sum = std::accumulate(key.begin(), key.end(), sum);
      sum = std::accumulate(value.begin(), value.end(), sum);
      return {};
    });
    if (!done) return;
    detail::transaction change(env_, 0);
    if (change.cause() != 0) return;
    std::string const content(8192 + sum % 2, 'x');  // large: pages are taken from those that are free
    MDB_val key = detail::val_of(as_bytes("~probe"));
    MDB_val value = detail::val_of(as_bytes(content));
    static_cast<void>(mdb_put(change.get(), entries_, &key, &value, 0));
  }

  /// What was looked at stays in the system's cache, and is no longer counted as this process's memory: else that grows
  /// to the size of the file, as each commit takes other pages.
  void forget_pages() noexcept {
    if (!mapped_.empty()) static_cast<void>(::madvise(mapped_.data(), mapped_.size(), MADV_DONTNEED));
  }

  std::string const& path_;
  database_options const& options_;
  int lock_ = -1;
  MDB_env* env_ = nullptr;
  MDB_dbi entries_ = 0;
  std::span<std::uint8_t> mapped_;  ///< LMDB's
};

KADORO_DECL database::database(std::string path, database_options options)
    : path_(std::move(path)), options_(options) {}

KADORO_DECL database::~database() = default;

KADORO_DECL result<void> database::load(visitor const& visit) {
  if (!open_) {
    auto made = std::make_unique<environment>(path_, options_);
    auto const locked = made->lock();
    if (!locked) return locked;
    if (options_.probe && !made->survives_reading())
      return fail(
          errc::corrupt,
          path_ + ": damaged: reading it kills a process; put a copy in its place, or remove it to start again");
    auto const opened = made->open(true);
    if (!opened) return opened;
    open_ = std::move(made);
  }
  return open_->read(visit);
}

KADORO_DECL result<void> database::commit(std::span<database_change const> changes, batch kind) {
  if (!open_) return fail(errc::closed, path_ + ": not open");
  for (database_change const& c : changes)
    if (c.key.empty() || c.key.size() > max_key_bytes)
      return fail(errc::invalid_argument, path_ + ": a key of " + std::to_string(c.key.size()) + " bytes; 1 to " +
                                              std::to_string(max_key_bytes) + " are allowed");
  return open_->write(changes, kind);
}

KADORO_DECL void database::close() noexcept { open_.reset(); }

}  // namespace kadoro::inline KADORO_ABI::io::lmdb
