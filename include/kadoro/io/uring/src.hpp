#pragma once

/// @file
/// The function bodies of the io_uring backend, for programs that define `KADORO_SEPARATE_COMPILATION`: one of their
/// source files includes this header, beside `kadoro/src.hpp` and `kadoro/io/posix/src.hpp`.

#if !defined(KADORO_SEPARATE_COMPILATION)
#error "kadoro/io/uring/src.hpp is for KADORO_SEPARATE_COMPILATION: define it for the whole program"
#endif

#include "kadoro/io/uring/impl/context.ipp"
#include "kadoro/io/uring/impl/features.ipp"
#include "kadoro/io/uring/impl/receive_buffers.ipp"
#include "kadoro/io/uring/impl/ring.ipp"
#include "kadoro/io/uring/impl/stream_operations.ipp"
#include "kadoro/io/uring/impl/tcp_state.ipp"
#include "kadoro/io/uring/impl/udp_state.ipp"
