#pragma once

#include <sys/socket.h>

#include <cstring>

#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Counts what the kernel dropped on the way into a socket, because its buffer was full. The kernel tells it beside the
/// datagrams (SO_RXQ_OVFL): the number of all drops up to then, modulo 2^32, and nothing before the first one.
class kernel_drops {
 public:
  static constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(std::uint32_t));

  /// Looks into the control data of what came in last.
  void note(void* control, std::size_t bytes, udp_counters& counters) noexcept {
    if (bytes == 0) return;
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = bytes;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SO_RXQ_OVFL) continue;
      std::uint32_t total = 0;
      std::memcpy(&total, CMSG_DATA(part), sizeof total);
      counters.dropped_unread += static_cast<std::uint32_t>(total - total_);
      total_ = total;
    }
  }

 private:
  std::uint32_t total_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
