#pragma once

#include <cstdint>

namespace io_test {

/// How often this program has called `operator new`.
std::uint64_t allocations() noexcept;

}  // namespace io_test
