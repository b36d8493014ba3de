#pragma once

#include <string>

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

// Options of UDP sockets that older headers do not have.
inline constexpr int udp_segment_option = 103;  // UDP_SEGMENT
inline constexpr int udp_gro_option = 104;      // UDP_GRO

/// Whether this kernel takes several datagrams to one address as one message (UDP_SEGMENT, 4.18), and gives several of
/// one sender as one (UDP_GRO, 5.0). A path may still be too narrow for the first.
struct udp_joining {
  int no_segment = 0;  ///< why not: an error number; 0: it does
  int no_gro = 0;

  /// Asks a socket that is bound to nothing.
  KADORO_DECL static udp_joining probe() noexcept;

  /// `UDP_SEGMENT, UDP_GRO`, and why not where something is missing: `UDP_SEGMENT, no UDP_GRO (Protocol not
  /// available)`.
  KADORO_DECL std::string text() const;
};

/// Whether `descriptor` can take several datagrams as one message.
KADORO_DECL bool takes_segments(int descriptor) noexcept;

}  // namespace kadoro::inline KADORO_ABI::io::posix

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/posix/impl/udp_joining.ipp"
#endif
