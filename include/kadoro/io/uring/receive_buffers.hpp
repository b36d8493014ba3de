#pragma once

#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kadoro/base/result.hpp"
#include "kadoro/io/posix/lazy_memory.hpp"
#include "kadoro/io/posix/receive_notes.hpp"
#include "kadoro/io/posix/received_batch.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

/// Buffers that a ring's kernel side fills with messages as they come (a provided buffer ring), for all ports of a
/// context. Each holds a header, the sender's address, control data, and a datagram, or several of one sender.
/// Unregistered and unmapped when it dies: the ring must live, and nothing that receives into them may be in flight.
class receive_buffers {
 public:
  static constexpr std::uint16_t group = 0;
  static constexpr unsigned max_count = 32768;

  /// At most `max_count`, rounded up to a power of two. Errors: `io_failure`; the code's value is the error number.
  KADORO_DECL static result<std::unique_ptr<receive_buffers>> open(io_uring& ring, unsigned count);
  KADORO_DECL ~receive_buffers();
  receive_buffers(receive_buffers const&) = delete;
  receive_buffers& operator=(receive_buffers const&) = delete;

  /// What a receive into these buffers must be given. It says how they are divided.
  static msghdr header() noexcept {
    msghdr out{};
    out.msg_namelen = name_bytes;
    out.msg_controllen = posix::receive_notes::control_bytes;
    return out;
  }

  /// Buffers that one port holds until it has served what is in them: a list through `held_`, which all ports share.
  class held_list {
   public:
    bool empty() const noexcept { return first_ < 0; }

   private:
    friend class receive_buffers;
    std::int32_t first_ = -1;
    std::int32_t last_ = -1;
    std::int32_t next_ = -1;    // the first that is not yet taken apart
    posix::message_cursor at_;  // in that one
  };
  /// Notes that `of` holds buffer `id`, into which the kernel has put `size_bytes` in all. What is not whole is
  /// counted, and not among the datagrams of the list.
  KADORO_DECL void hold(held_list& of, std::uint16_t id, std::size_t size_bytes, posix::receive_notes& notes,
                        udp_counters& counters) noexcept;
  /// The datagrams of a list, in order, batch by batch; empty after the last. Valid until the next call for any list.
  posix::received_batch& next(held_list& of, udp_counters& counters) noexcept {
    batch_.clear();
    while (of.next_ >= 0 && !batch_.full()) {
      held const& one = held_[static_cast<std::size_t>(of.next_)];
      if (one.whole())
        batch_.add([&one]() -> endpoint const& { return one.from; }, one.data, one.segment_bytes, of.at_, counters);
      if (one.whole() && !of.at_.done) break;
      of.at_ = {};
      of.next_ = one.next;
    }
    return batch_;
  }
  /// Counts a list of which nothing was taken as not read. It may be called while the batch of another one is in use.
  void count_unread(held_list const& of, udp_counters& counters) const noexcept {
    for (std::int32_t at = of.first_; at >= 0; at = held_[static_cast<std::size_t>(at)].next)
      if (held const& one = held_[static_cast<std::size_t>(at)]; one.whole())
        posix::received_batch::count_unread(one.data.size(), one.segment_bytes, counters);
  }
  /// All buffers of a list go back to the kernel.
  void give_back(held_list& of) noexcept {
    for (std::int32_t at = of.first_; at >= 0; at = held_[static_cast<std::size_t>(at)].next)
      give_back(static_cast<std::uint16_t>(at));
    publish();
    of = {};
  }

  /// Back to the kernel, which sees it after `publish`.
  void give_back(std::uint16_t id) noexcept {
    ::io_uring_buf_ring_add(ring_, room(id), room_bytes, id, static_cast<int>(count_ - 1), waiting_++);
  }
  void publish() noexcept {
    if (waiting_ == 0) return;
    ::io_uring_buf_ring_advance(ring_, waiting_);
    waiting_ = 0;
  }

  unsigned count() const noexcept { return count_; }
  /// Gives everything up without a word, where the kernel cannot be asked to let go any more.
  void leak() noexcept { memory_.leak(); }

 private:
  static constexpr unsigned name_bytes = 32;  // a sockaddr_in6, and what aligns the control data behind it
  static_assert(sizeof(sockaddr_in6) <= name_bytes);
  static constexpr unsigned head_bytes =
      sizeof(io_uring_recvmsg_out) + name_bytes + static_cast<unsigned>(posix::receive_notes::control_bytes);
  static constexpr unsigned room_bytes = head_bytes + static_cast<unsigned>(posix::max_message_bytes);
  // No multiple of a page: the heads of all buffers would share a few lines of the cache.
  static constexpr unsigned stride_bytes = (room_bytes + 63) / 64 * 64;
  static_assert(stride_bytes % 4096 != 0);

  receive_buffers(io_uring& owner, posix::lazy_memory memory, unsigned count) noexcept
      : owner_(owner),
        memory_(std::move(memory)),
        ring_(reinterpret_cast<io_uring_buf_ring*>(memory_.data())),
        count_(count) {}

  struct held {
    bool whole() const noexcept { return data.data() != nullptr; }

    endpoint from;
    bytes_span data;  // a datagram, or several
    std::size_t segment_bytes = 0;
    std::int32_t next = -1;
  };

  std::uint8_t* room(std::uint16_t id) noexcept {
    return memory_.data() + count_ * sizeof(io_uring_buf) + std::size_t{id} * stride_bytes;
  }

  io_uring& owner_;
  posix::lazy_memory memory_;
  io_uring_buf_ring* ring_;
  unsigned count_;
  int waiting_ = 0;
  std::vector<held> held_;       // by buffer
  posix::received_batch batch_;  // what a port hands out
};

}  // namespace kadoro::inline KADORO_ABI::io::uring

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/impl/receive_buffers.ipp"
#endif
