#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include "kadoro/io/posix/kernel_drops.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Room for the datagrams of one recvmmsg(2). One block serves all ports of a context, one after the other.
class receive_block {
 public:
  static constexpr std::size_t capacity = 64;
  static_assert(std::is_trivially_destructible_v<datagram>);  // a new one is made on top of the old

  receive_block() : rooms_(new room[capacity]) {
    for (std::size_t i = 0; i < capacity; ++i) {
      parts_[i] = {rooms_[i].data, max_datagram_bytes};
      headers_[i].msg_hdr.msg_name = &rooms_[i].from.storage;
      headers_[i].msg_hdr.msg_iov = &parts_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
      headers_[i].msg_hdr.msg_control = rooms_[i].control;
    }
  }
  receive_block(receive_block const&) = delete;
  receive_block& operator=(receive_block const&) = delete;

  /// Takes what the socket has, at most `capacity` datagrams. Returns how many the system gave, or minus its error
  /// number. `batch` views the ones that are whole, until the next call.
  int receive(int descriptor, udp_counters& counters, kernel_drops& drops, std::span<datagram>& batch) noexcept {
    for (std::size_t i = 0; i < used_; ++i) {
      headers_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6);
      headers_[i].msg_hdr.msg_controllen = kernel_drops::control_bytes;
    }
    batch = {};
    int const taken = ::recvmmsg(descriptor, headers_, capacity, MSG_DONTWAIT, nullptr);
    if (taken < 0) return -errno;
    used_ = static_cast<std::size_t>(taken);
    std::size_t whole = 0;
    for (std::size_t i = 0; i < used_; ++i) {
      if ((headers_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
        ++counters.truncated;
        continue;
      }
      ++counters.received;
      counters.received_bytes += headers_[i].msg_len;
      // In place: a copy of fields that were written just now would stall the processor (store forwarding).
      ::new (&datagrams_[whole++]) datagram{rooms_[i].from.to_endpoint(), {rooms_[i].data, headers_[i].msg_len}};
    }
    if (used_ > 0) {
      msghdr const& newest = headers_[used_ - 1].msg_hdr;
      drops.note(newest.msg_control, newest.msg_controllen, counters);
    }
    batch = {datagrams_, whole};
    return taken;
  }

 private:
  struct room {
    socket_address from;
    alignas(cmsghdr) char control[kernel_drops::control_bytes];
    std::uint8_t data[max_datagram_bytes];
  };

  std::unique_ptr<room[]> rooms_;
  mmsghdr headers_[capacity] = {};
  iovec parts_[capacity] = {};
  datagram datagrams_[capacity];
  std::size_t used_ = capacity;  // headers whose lengths the last call has changed
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
