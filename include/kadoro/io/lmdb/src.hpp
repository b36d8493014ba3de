#pragma once

/// @file
/// The function bodies of the LMDB database, for programs that define `KADORO_SEPARATE_COMPILATION`: one of their
/// source files includes this header, beside `kadoro/src.hpp`.

#if !defined(KADORO_SEPARATE_COMPILATION)
#error "kadoro/io/lmdb/src.hpp is for KADORO_SEPARATE_COMPILATION: define it for the whole program"
#endif

#include "kadoro/io/lmdb/impl/database.ipp"
