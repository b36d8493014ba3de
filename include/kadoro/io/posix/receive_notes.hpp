#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "kadoro/io/posix/udp_joining.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// What the kernel tells beside the datagrams of a socket: how many it dropped on the way in, because the socket's
/// buffer was full (SO_RXQ_OVFL: the number of all up to then, modulo 2^32, and nothing before the first one), and
/// whether a message is several datagrams of one sender, one behind the other (UDP_GRO).
class receive_notes {
 public:
  static constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(std::uint32_t)) + CMSG_SPACE(sizeof(int));

  /// Looks into the control data of one message, and counts the drops. Returns the size of the datagrams in it, of
  /// which the last may be shorter; 0 if the message is one datagram.
  std::size_t note(void* control, std::size_t bytes, udp_counters& counters) noexcept {
    std::size_t segment_bytes = 0;
    if (bytes == 0) return segment_bytes;
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = bytes;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level == IPPROTO_UDP && part->cmsg_type == udp_gro_option) {
        int size = 0;
        std::memcpy(&size, CMSG_DATA(part), sizeof size);
        segment_bytes = size > 0 ? static_cast<std::size_t>(size) : 0;
      } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL) {
        std::uint32_t total = 0;
        std::memcpy(&total, CMSG_DATA(part), sizeof total);
        counters.dropped_unread += static_cast<std::uint32_t>(total - total_);
        total_ = total;
      }
    }
    return segment_bytes;
  }

 private:
  std::uint32_t total_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
