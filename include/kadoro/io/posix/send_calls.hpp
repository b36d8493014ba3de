#pragma once

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Room for datagrams that wait to be sent.
struct send_block {
  static constexpr std::size_t capacity = 64;

  send_block() noexcept {
    for (std::size_t i = 0; i < capacity; ++i) parts[i].iov_base = data[i];
  }
  send_block(send_block const&) = delete;
  send_block& operator=(send_block const&) = delete;

  std::unique_ptr<send_block> next;  // in a queue
  std::size_t begin = 0;
  std::size_t end = 0;
  iovec parts[capacity] = {};
  socket_address to[capacity];
  std::uint8_t data[capacity][max_datagram_bytes];
};

/// The datagrams of a block as sendmmsg(2) wants them.
class send_calls {
 public:
  send_calls() = default;
  send_calls(send_calls const&) = delete;
  send_calls& operator=(send_calls const&) = delete;

  /// Those of `from` that wait, in order, until the next call. With `join`, what goes to one address in pieces of one
  /// size (the last may be shorter) is one message of many parts, which the kernel cuts again (UDP_SEGMENT,
  /// Linux 4.18): they pass the network stack once.
  std::span<mmsghdr> lay_out(send_block& from, bool join) noexcept {
    std::size_t count = 0;
    for (std::size_t i = from.begin; i != from.end;) {
      std::size_t const parts = join ? train(from, i) : 1;
      msghdr& header = headers_[count].msg_hdr;
      header.msg_name = &from.to[i].storage;
      header.msg_namelen = from.to[i].size;
      header.msg_iov = &from.parts[i];
      header.msg_iovlen = parts;
      header.msg_control = nullptr;
      header.msg_controllen = 0;
      if (parts > 1) cut_into(header, control_[count], static_cast<std::uint16_t>(from.parts[i].iov_len));
      ++count;
      i += parts;
    }
    return {headers_, count};
  }

 private:
  static constexpr std::size_t max_train_bytes = 64'000;  // of 65,507 that one message can have

  struct alignas(cmsghdr) control {
    char bytes[CMSG_SPACE(sizeof(std::uint16_t))];
  };

  /// How many datagrams from `first` on are one message.
  static std::size_t train(send_block const& from, std::size_t first) noexcept {
    std::size_t const piece = from.parts[first].iov_len;
    if (piece == 0) return 1;
    std::size_t total = piece;
    std::size_t next = first + 1;
    while (next != from.end && from.parts[next].iov_len > 0 && from.parts[next].iov_len <= piece &&
           total + from.parts[next].iov_len <= max_train_bytes && from.to[next] == from.to[first]) {
      total += from.parts[next].iov_len;
      if (from.parts[next++].iov_len < piece) break;
    }
    return next - first;
  }

  static void cut_into(msghdr& header, control& room, std::uint16_t piece) noexcept {
    header.msg_control = room.bytes;
    header.msg_controllen = sizeof room.bytes;
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_UDP;
    part->cmsg_type = UDP_SEGMENT;
    part->cmsg_len = CMSG_LEN(sizeof piece);
    std::memcpy(CMSG_DATA(part), &piece, sizeof piece);
  }

  mmsghdr headers_[send_block::capacity] = {};
  control control_[send_block::capacity] = {};
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
