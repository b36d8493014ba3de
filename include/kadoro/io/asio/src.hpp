#pragma once

/// @file
/// The function bodies of the Asio backend, for programs that define `KADORO_SEPARATE_COMPILATION`: one of their source
/// files includes this header, beside `kadoro/src.hpp` and `kadoro/io/posix/src.hpp`.

#if !defined(KADORO_SEPARATE_COMPILATION)
#error "kadoro/io/asio/src.hpp is for KADORO_SEPARATE_COMPILATION: define it for the whole program"
#endif

#include "kadoro/io/asio/impl/context.ipp"
#include "kadoro/io/asio/impl/socket_state.ipp"
#include "kadoro/io/asio/impl/tcp_state.ipp"
#include "kadoro/io/asio/impl/udp_state.ipp"
