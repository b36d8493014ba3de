#pragma once

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <type_traits>

#include "kadoro/io/uring/receive_buffers.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

KADORO_DECL result<std::unique_ptr<receive_buffers>> receive_buffers::open(io_uring& ring, unsigned count) {
  auto const failed = [](int cause) { return fail(error(std::error_code(cause, std::generic_category()))); };
  count = std::bit_ceil(std::clamp(count, 1u, max_count));
  std::size_t const bytes = count * (sizeof(io_uring_buf) + std::size_t{stride_bytes});
  posix::lazy_memory memory(bytes);
  if (memory.data() == nullptr) return failed(errno);
  io_uring_buf_reg about{};
  about.ring_addr = reinterpret_cast<std::uintptr_t>(memory.data());
  about.ring_entries = count;
  about.bgid = group;
  int const refused = ::io_uring_register_buf_ring(&ring, &about, 0);
  if (refused != 0) return failed(-refused);
  std::unique_ptr<receive_buffers> made(new receive_buffers(ring, std::move(memory), count));
  made->held_.resize(count);
  ::io_uring_buf_ring_init(made->ring_);
  for (unsigned id = 0; id < count; ++id) made->give_back(static_cast<std::uint16_t>(id));
  made->publish();
  return made;
}

KADORO_DECL receive_buffers::~receive_buffers() {
  if (memory_.data() != nullptr) ::io_uring_unregister_buf_ring(&owner_, group);
}

KADORO_DECL void receive_buffers::hold(held_list& of, std::uint16_t id, std::size_t size_bytes,
                                       posix::receive_notes& notes, udp_counters& counters) noexcept {
  if (id >= count_) return;
  held& here = held_[id];
  (of.empty() ? of.first_ : held_[static_cast<std::size_t>(of.last_)].next) = id;
  of.last_ = id;
  if (of.next_ < 0) of.next_ = id;
  here = {};
  if (size_bytes < head_bytes || size_bytes > room_bytes) return;
  std::uint8_t* const at = room(id);
  io_uring_recvmsg_out about{};
  std::memcpy(&about, at, sizeof about);
  std::size_t const segment_bytes =
      notes.note(at + sizeof about + name_bytes,
                 std::min<std::size_t>(about.controllen, posix::receive_notes::control_bytes), counters);
  if ((about.flags & MSG_TRUNC) != 0) {
    ++counters.truncated;
    return;
  }
  posix::socket_address from;
  if (about.namelen >= sizeof(sockaddr_in)) std::memcpy(&from.storage, at + sizeof about, sizeof from.storage);
  // In place: a copy of fields that were written just now would stall the processor (store forwarding).
  static_assert(std::is_trivially_destructible_v<held>);
  ::new (&here) held{from.to_endpoint(), {at + head_bytes, size_bytes - head_bytes}, segment_bytes};
}

}  // namespace kadoro::inline KADORO_ABI::io::uring
