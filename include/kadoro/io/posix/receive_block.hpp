#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "kadoro/io/posix/lazy_memory.hpp"
#include "kadoro/io/posix/receive_notes.hpp"
#include "kadoro/io/posix/received_batch.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Room for the messages of one recvmmsg(2). One block serves all ports of a context, one after the other.
class receive_block {
 public:
  static constexpr std::size_t capacity = 64;

  receive_block() : rooms_(capacity * stride_bytes) {
    if (rooms_.data() == nullptr) throw std::bad_alloc();
    for (std::size_t i = 0; i < capacity; ++i) {
      parts_[i] = {rooms_.data() + i * stride_bytes, max_message_bytes};
      headers_[i].msg_hdr.msg_name = &from_[i].storage;
      headers_[i].msg_hdr.msg_iov = &parts_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
      headers_[i].msg_hdr.msg_control = controls_[i].data;
    }
  }
  receive_block(receive_block const&) = delete;
  receive_block& operator=(receive_block const&) = delete;

  /// Takes what the socket has, at most `capacity` messages. Returns how many the system gave, or minus its error
  /// number. What is left of an earlier call is forgotten.
  int receive(int descriptor) noexcept {
    for (std::size_t i = 0; i < used_; ++i) {
      headers_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6);
      headers_[i].msg_hdr.msg_controllen = receive_notes::control_bytes;
    }
    // Of messages that were many datagrams each, so few that they are about `capacity` again: a turn has its bound.
    wanted_ = made_ > used_ ? std::max<std::size_t>(1, used_ * capacity / made_) : capacity;
    used_ = next_ = made_ = 0;
    at_ = {};
    int const taken = ::recvmmsg(descriptor, headers_, static_cast<unsigned>(wanted_), MSG_DONTWAIT, nullptr);
    if (taken < 0) return -errno;
    used_ = static_cast<std::size_t>(taken);
    return taken;
  }
  /// Whether the last call has taken less than it could.
  bool drained() const noexcept { return used_ < wanted_; }

  /// The datagrams that it took, in order, batch by batch; empty after the last. Valid until the next call.
  received_batch& next(udp_counters& counters, receive_notes& notes) noexcept {
    batch_.clear();
    while (next_ < used_ && !batch_.full()) {
      msghdr const& header = headers_[next_].msg_hdr;
      if (at_.offset == 0) segment_bytes_ = notes.note(header.msg_control, header.msg_controllen, counters);
      if ((header.msg_flags & MSG_TRUNC) != 0) {
        ++counters.truncated;
        at_.done = true;
      } else {
        batch_.add([&] { return from_[next_].to_endpoint(); },
                   {rooms_.data() + next_ * stride_bytes, headers_[next_].msg_len}, segment_bytes_, at_, counters);
      }
      if (!at_.done) break;
      at_ = {};
      ++next_;
    }
    made_ += batch_.datagrams().size();
    return batch_;
  }

 private:
  // No multiple of a page: the heads of all datagrams would share a few lines of the cache.
  static constexpr std::size_t stride_bytes = max_message_bytes + 128;
  struct control {
    alignas(cmsghdr) char data[receive_notes::control_bytes];
  };

  lazy_memory rooms_;
  mmsghdr headers_[capacity] = {};
  iovec parts_[capacity] = {};
  socket_address from_[capacity];
  control controls_[capacity];
  received_batch batch_;
  std::size_t wanted_ = capacity;
  std::size_t used_ = capacity;  // headers whose lengths the last call has changed
  std::size_t next_ = 0;         // of these, the first that is not yet taken apart
  message_cursor at_;            // in that one
  std::size_t segment_bytes_ = 0;
  std::size_t made_ = 0;  // datagrams, of the last call
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
