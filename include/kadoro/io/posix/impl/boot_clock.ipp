#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <string>

#include "kadoro/io/posix/boot_clock.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

namespace detail {

/// As `/proc/sys/kernel/random/boot_id` has it: 32 hexadecimal digits, and hyphens between them.
inline byte_array<16> read_boot_id() noexcept {
  byte_array<16> id{};
#if defined(CLOCK_BOOTTIME)
  int const in = ::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (in < 0) return id;
  char text[64];
  ssize_t const size = ::read(in, text, sizeof text);
  ::close(in);
  std::string digits;
  for (ssize_t i = 0; i < size; ++i)
    if (text[i] != '-' && text[i] != '\n') digits += text[i];
  kadoro::bytes read;
  if (from_hex(digits, read) && read.size() == id.size()) std::copy(read.begin(), read.end(), id.begin());
#endif
  return id;
}

}  // namespace detail

KADORO_DECL boot_instant boot_now() noexcept {
  static byte_array<16> const id = detail::read_boot_id();
  boot_instant now;
#if defined(CLOCK_BOOTTIME)
  ::timespec t{};
  if (::clock_gettime(CLOCK_BOOTTIME, &t) != 0) return now;
  now.boot = id;
  now.elapsed = std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
#endif
  return now;
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
