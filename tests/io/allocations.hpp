#pragma once

#include <cstdint>

namespace io_test {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KADORO_TEST_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KADORO_TEST_SANITIZED
#endif

/// How often this program has called `operator new`. Always zero under sanitizers, which bring their own.
std::uint64_t allocations() noexcept;

}  // namespace io_test
