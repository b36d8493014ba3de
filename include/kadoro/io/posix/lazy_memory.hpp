#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <utility>

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Memory that is resident only where it has been written to, page by page: for rooms that are far larger than what
/// mostly comes in.
class lazy_memory {
 public:
  /// `errno` says why where there is none.
  explicit lazy_memory(std::size_t bytes) noexcept : bytes_(bytes) {
    void* const got =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) return;
    ::madvise(got, bytes, MADV_NOHUGEPAGE);  // one byte would make 2 MiB of them resident
    data_ = static_cast<std::uint8_t*>(got);
  }
  lazy_memory(lazy_memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  lazy_memory& operator=(lazy_memory&&) = delete;
  ~lazy_memory() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }

  /// Null if there is none.
  std::uint8_t* data() const noexcept { return data_; }
  /// It stays for ever.
  void leak() noexcept { data_ = nullptr; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
