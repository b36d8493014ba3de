#pragma once

#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kadoro/base/result.hpp"
#include "kadoro/io/posix/kernel_drops.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

/// Buffers that a ring's kernel side fills with datagrams as they come (a provided buffer ring), for all ports of a
/// context. Each holds a header, the sender's address, control data, and the datagram. Unregistered and unmapped when
/// it dies: the ring must live, and nothing that receives into them may be in flight.
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
    out.msg_controllen = posix::kernel_drops::control_bytes;
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
  };
  /// What came beside a datagram.
  struct aside {
    bytes_span control;
    bool truncated = false;
  };
  /// Notes that `of` holds buffer `id`, into which the kernel has put `size_bytes` in all. What is not a whole datagram
  /// is not among those of the list.
  KADORO_DECL aside hold(held_list& of, std::uint16_t id, std::size_t size_bytes) noexcept;
  /// The datagrams of a list, in order; valid until the next call.
  std::span<datagram> gather(held_list const& of) noexcept {
    batch_.clear();
    for (std::int32_t at = of.first_; at >= 0; at = held_[static_cast<std::size_t>(at)].next)
      if (held const& one = held_[static_cast<std::size_t>(at)]; one.whole()) batch_.push_back(one.what);
    return batch_;
  }
  /// How many that are.
  std::size_t count_of(held_list const& of) const noexcept {
    std::size_t count = 0;
    for (std::int32_t at = of.first_; at >= 0; at = held_[static_cast<std::size_t>(at)].next)
      count += held_[static_cast<std::size_t>(at)].whole() ? 1u : 0u;
    return count;
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
  void leak() noexcept { memory_ = nullptr; }

 private:
  static constexpr unsigned name_bytes = 32;  // a sockaddr_in6, and what aligns the control data behind it
  static_assert(sizeof(sockaddr_in6) <= name_bytes);
  static constexpr unsigned head_bytes =
      sizeof(io_uring_recvmsg_out) + name_bytes + static_cast<unsigned>(posix::kernel_drops::control_bytes);
  static constexpr unsigned room_bytes = head_bytes + static_cast<unsigned>(max_datagram_bytes);
  static constexpr unsigned stride_bytes = (room_bytes + 63) / 64 * 64;

  receive_buffers(io_uring& owner, void* memory, std::size_t bytes, unsigned count) noexcept
      : owner_(owner), memory_(memory), bytes_(bytes), ring_(static_cast<io_uring_buf_ring*>(memory)), count_(count) {}

  struct held {
    bool whole() const noexcept { return what.data.data() != nullptr; }

    datagram what;
    std::int32_t next = -1;
  };

  std::uint8_t* room(std::uint16_t id) noexcept {
    return static_cast<std::uint8_t*>(memory_) + count_ * sizeof(io_uring_buf) + std::size_t{id} * stride_bytes;
  }

  io_uring& owner_;
  void* memory_;
  std::size_t bytes_;
  io_uring_buf_ring* ring_;
  unsigned count_;
  int waiting_ = 0;
  std::vector<held> held_;       // by buffer
  std::vector<datagram> batch_;  // what a port hands out
};

}  // namespace kadoro::inline KADORO_ABI::io::uring

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/impl/receive_buffers.ipp"
#endif
