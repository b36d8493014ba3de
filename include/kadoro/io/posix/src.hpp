#pragma once

/// @file
/// The function bodies of the POSIX parts, for programs that define `KADORO_SEPARATE_COMPILATION`: one of their source
/// files includes this header, beside `kadoro/src.hpp`.

#if !defined(KADORO_SEPARATE_COMPILATION)
#error "kadoro/io/posix/src.hpp is for KADORO_SEPARATE_COMPILATION: define it for the whole program"
#endif

#include "kadoro/io/posix/impl/boot_clock.ipp"
#include "kadoro/io/posix/impl/file_storage.ipp"
#include "kadoro/io/posix/impl/interface_addresses.ipp"
#include "kadoro/io/posix/impl/signal_watch.ipp"
#include "kadoro/io/posix/impl/tcp_descriptor.ipp"
#include "kadoro/io/posix/impl/udp_channel.ipp"
#include "kadoro/io/posix/impl/udp_descriptor.ipp"
#include "kadoro/io/posix/impl/udp_joining.ipp"
