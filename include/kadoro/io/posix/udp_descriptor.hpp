#pragma once

#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Asked of the system for both directions of a UDP socket, best effort: its limit may be lower.
inline constexpr int udp_buffer_bytes = 4 << 20;

/// A bound, non-blocking UDP socket with large buffers and an error queue for ICMP; IPv6 sockets are IPv6 only. Where
/// the kernel has UDP_GRO, one message may be several datagrams: see `receive_notes`. The caller closes it. Errors:
/// `address_in_use` (after 100 ms: see `bind_patiently`), `io_failure`, both naming `local` and the cause.
KADORO_DECL result<int> open_udp_descriptor(endpoint const& local, udp_sharing sharing = udp_sharing::alone);

/// The address that the system has bound `descriptor` to.
KADORO_DECL endpoint bound_address(int descriptor) noexcept;

/// Takes one message off the error queue. False if there is none. `refused` becomes the destination of the datagram
/// that ICMP called unreachable because nobody listens there, or an unspecified endpoint for any other message.
KADORO_DECL bool take_socket_error(int descriptor, endpoint& refused) noexcept;

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/udp_descriptor.ipp"
#endif
