#pragma once

/// @file
/// The version of kadoro, and the two macros that every other header builds on.
///
/// `KADORO_ABI` names the inline namespace that carries the version, so that two versions in one program never merge
/// silently. `KADORO_DECL` marks a function whose body lives in `impl/*.ipp`: it is `inline` by default (header-only),
/// and empty when `KADORO_SEPARATE_COMPILATION` is defined; then exactly one source file includes `kadoro/src.hpp`.

#define KADORO_VERSION_MAJOR 0
#define KADORO_VERSION_MINOR 1
#define KADORO_VERSION_PATCH 0
#define KADORO_VERSION_STRING "0.1.0"

#define KADORO_ABI v0_1

#if defined(KADORO_SEPARATE_COMPILATION)
#define KADORO_DECL
#else
#define KADORO_DECL inline
#endif
