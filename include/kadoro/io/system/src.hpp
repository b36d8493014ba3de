#pragma once

/// @file
/// The function bodies of `io::open`, for programs that define `KADORO_SEPARATE_COMPILATION`: one of their source files
/// includes this header, beside those of the backends. `KADORO_WITH_URING` must be the same for the whole program.

#if !defined(KADORO_SEPARATE_COMPILATION)
#error "kadoro/io/system/src.hpp is for KADORO_SEPARATE_COMPILATION: define it for the whole program"
#endif

#include "kadoro/io/system/impl/open.ipp"
