#pragma once

#include <cstdint>

/// How often this program's `operator new` was called. Zero for ever in builds with sanitizers, which have their own.
std::uint64_t allocations() noexcept;
/// Whether it counts.
bool counts_allocations() noexcept;
