#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kadoro/io/posix/file_storage.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

namespace detail {

/// Closes a file descriptor.
class file {
 public:
  explicit file(int descriptor) noexcept : descriptor_(descriptor) {}
  file(file const&) = delete;
  file& operator=(file const&) = delete;
  ~file() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

inline auto file_error(std::string const& path, char const* what, int cause) {
  errc const code = cause == ENOENT ? errc::not_found : cause == EFBIG ? errc::too_large : errc::io_failure;
  return fail(code, path + ": " + what + ": " + std::generic_category().message(cause));
}

/// The directory that holds `path`.
inline std::string parent(std::string const& path) {
  std::size_t const slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A rename or an unlink is on disk when its directory is.
inline int sync_directory(std::string const& path) noexcept {
  file const directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) return errno;
  return 0;
}

inline int write_and_sync(int descriptor, bytes_view content) noexcept {
  while (!content.empty()) {
    ssize_t const written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    content = content.subspan(static_cast<std::size_t>(written));
  }
  return ::fsync(descriptor) == 0 ? 0 : errno;
}

}  // namespace detail

KADORO_DECL file_storage::file_storage(std::string directory) : directory_(std::move(directory)) {}

KADORO_DECL result<std::string> file_storage::path_of(std::string_view name) const {
  bool const is_plain = name != "." && name != ".." && name.find('/') == std::string_view::npos;
  bool const is_text = !name.empty() && name.find('\0') == std::string_view::npos;
  if (!is_text || (!directory_.empty() && !is_plain))
    return fail(errc::invalid_argument, "not a name for a file: '" + std::string(name) + "'");
  return directory_.empty() ? std::string(name) : directory_ + '/' + std::string(name);
}

KADORO_DECL result<bytes> file_storage::read(std::string_view name) {
  auto const path = path_of(name);
  if (!path) return fail(path.error());
  detail::file const in(::open(path->c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) return detail::file_error(*path, "cannot open", errno);
  struct stat about{};
  if (::fstat(in.get(), &about) != 0) return detail::file_error(*path, "cannot read", errno);
  if (!S_ISREG(about.st_mode)) return detail::file_error(*path, "not a file", EINVAL);
  if (about.st_size > static_cast<off_t>(max_blob_bytes)) return detail::file_error(*path, "cannot read", EFBIG);
  // One byte more than it should be, to see that it did not grow beyond the limit meanwhile.
  bytes content(static_cast<std::size_t>(about.st_size) + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    ssize_t const got = ::read(in.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return detail::file_error(*path, "cannot read", errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size == content.size()) return detail::file_error(*path, "changed while it was read", EAGAIN);
  content.resize(size);
  return content;
}

KADORO_DECL result<void> file_storage::write(std::string_view name, bytes_view content) {
  auto const path = path_of(name);
  if (!path) return fail(path.error());
  if (content.size() > max_blob_bytes) return detail::file_error(*path, "cannot write", EFBIG);
  std::string const temporary = *path + ".tmp";
  ::unlink(temporary.c_str());  // what a crash left behind, perhaps with another mode
  int cause = 0;
  {
    detail::file const out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (out.get() < 0) {
      // A missing directory is a failure to write, not a missing blob.
      int const why = errno;
      return fail(errc::io_failure, temporary + ": cannot create: " + std::generic_category().message(why));
    }
    cause = detail::write_and_sync(out.get(), content);
  }
  if (cause == 0 && ::rename(temporary.c_str(), path->c_str()) != 0) cause = errno;
  if (cause != 0) {
    ::unlink(temporary.c_str());
    return detail::file_error(*path, "cannot write", cause);
  }
  cause = detail::sync_directory(detail::parent(*path));
  if (cause != 0) return detail::file_error(*path, "written, but cannot sync its directory", cause);
  return {};
}

KADORO_DECL result<void> file_storage::remove(std::string_view name) {
  auto const path = path_of(name);
  if (!path) return fail(path.error());
  if (::unlink(path->c_str()) != 0) {
    if (errno == ENOENT) return {};
    return detail::file_error(*path, "cannot remove", errno);
  }
  int const cause = detail::sync_directory(detail::parent(*path));
  if (cause != 0) return detail::file_error(*path, "removed, but cannot sync its directory", cause);
  return {};
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
