#pragma once

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/posix/udp_joining.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Room for datagrams, packed one behind the other: most are far smaller than the longest. A message does not reach
/// over two blocks, and holds no more than a block.
struct send_block {
  static constexpr std::size_t capacity = 64;  // what the kernel cuts at most (UDP_MAX_SEGMENTS of older ones)
  static constexpr std::size_t capacity_bytes = 16 * max_datagram_bytes;

  struct entry {
    endpoint to;
    std::uint16_t begin;
    std::uint16_t size;
  };

  bool has_room(std::size_t bytes) const noexcept { return end < capacity && bytes <= capacity_bytes - used; }

  std::unique_ptr<send_block> next;  // in a queue
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t used = 0;  // bytes
  std::array<entry, capacity> entries;
  std::uint8_t data[capacity_bytes];
};

/// What sendmmsg(2) takes at once. Datagrams of one size to one address are one message, which the kernel cuts again
/// (UDP_SEGMENT): it goes through the stack once for all of them.
class send_batch {
 public:
  static constexpr std::size_t capacity = 64;

  std::span<mmsghdr> messages() noexcept { return {headers_.data(), size_}; }
  std::size_t datagrams(std::size_t index) const noexcept { return counts_[index]; }
  void clear() noexcept { size_ = 0; }
  bool full() const noexcept { return size_ == capacity; }

  /// `count` datagrams at `data`, each of `size` bytes but for the last, which may be shorter.
  void add(endpoint const& to, std::uint8_t* data, std::size_t bytes, std::size_t size, std::size_t count) noexcept {
    std::size_t const i = size_++;
    to_[i] = socket_address::from(to);
    parts_[i] = {data, bytes};
    counts_[i] = count;
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_name = &to_[i].storage;
    header.msg_namelen = to_[i].size;
    header.msg_iov = &parts_[i];
    header.msg_iovlen = 1;
    if (count == 1) return;
    header.msg_control = control_[i].data;
    header.msg_controllen = sizeof control_[i].data;
    cmsghdr* const cut = CMSG_FIRSTHDR(&header);
    cut->cmsg_level = IPPROTO_UDP;
    cut->cmsg_type = udp_segment_option;
    cut->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    auto const segment = static_cast<std::uint16_t>(size);
    std::memcpy(CMSG_DATA(cut), &segment, sizeof segment);
  }

 private:
  struct control {
    alignas(cmsghdr) char data[CMSG_SPACE(sizeof(std::uint16_t))];
  };

  std::size_t size_ = 0;
  std::array<mmsghdr, capacity> headers_;
  std::array<iovec, capacity> parts_;
  std::array<socket_address, capacity> to_;
  std::array<control, capacity> control_;
  std::array<std::size_t, capacity> counts_;
};

/// The blocks of all queues of a context: who has nothing to send has none, and a few idle ones stay warm. Only one
/// queue at a time is handed to the system, so there is one batch for all.
class send_pool {
 public:
  send_pool() { idle_.reserve(max_idle); }
  send_pool(send_pool const&) = delete;
  send_pool& operator=(send_pool const&) = delete;

  /// Null if there is no memory.
  std::unique_ptr<send_block> take() noexcept {
    if (idle_.empty()) return std::unique_ptr<send_block>(new (std::nothrow) send_block);
    std::unique_ptr<send_block> warm = std::move(idle_.back());
    idle_.pop_back();
    return warm;
  }

  void give_back(std::unique_ptr<send_block> used) noexcept {
    used->begin = used->end = used->used = 0;
    if (idle_.size() < max_idle) idle_.push_back(std::move(used));
  }

  send_batch& batch() noexcept { return batch_; }

 private:
  static constexpr std::size_t max_idle = 4;

  std::vector<std::unique_ptr<send_block>> idle_;
  send_batch batch_;
};

/// Datagrams that wait for sendmmsg(2), in order, in blocks of a pool.
class send_queue {
 public:
  /// `pool` must outlive everything that is queued.
  explicit send_queue(send_pool& pool) noexcept : pool_(pool) {}

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }

  /// Copies `data`, at most `max_datagram_bytes`. False if the queue is full.
  bool push(endpoint const& to, bytes_view data) noexcept {
    if (size_ == max_queued_datagrams) return false;
    if (last_ == nullptr || !last_->has_room(data.size())) {
      if (!grow()) return false;
    }
    std::uint8_t* const at = last_->data + last_->used;
    last_->entries[last_->end++] = {to, static_cast<std::uint16_t>(last_->used),
                                    static_cast<std::uint16_t>(data.size())};
    if (!data.empty()) std::memcpy(at, data.data(), data.size());
    last_->used += data.size();
    ++size_;
    return true;
  }

  /// The oldest datagrams, ready for the call; valid until the next call for any queue of the pool. `runs`: with those
  /// of one size to one address as one message.
  send_batch& front(bool runs) noexcept {
    send_batch& out = pool_.batch();
    out.clear();
    for (send_block* block = first_.get(); block != nullptr; block = block->next.get())
      for (std::size_t i = block->begin; i < block->end; i = add_run(out, *block, i, runs))
        if (out.full()) return out;
    return out;
  }

  /// Forgets the oldest `count`.
  void pop(std::size_t count) noexcept {
    size_ -= count;
    while (count > 0) {
      std::size_t const here = std::min(count, first_->end - first_->begin);
      first_->begin += here;
      count -= here;
      if (first_->begin != first_->end) continue;
      std::unique_ptr<send_block> used = std::exchange(first_, std::move(first_->next));
      if (first_ == nullptr) last_ = nullptr;
      pool_.give_back(std::move(used));
    }
  }

  /// Forgets everything.
  void clear() noexcept { pop(size_); }

 private:
  /// Returns where the next one begins. A block is smaller than what one message may carry, in bytes and in datagrams.
  static std::size_t add_run(send_batch& out, send_block& block, std::size_t begin, bool runs) noexcept {
    send_block::entry const& first = block.entries[begin];
    std::size_t end = begin + 1;
    std::size_t bytes = first.size;
    for (; runs && first.size > 0 && end < block.end; ++end) {
      send_block::entry const& next = block.entries[end];
      bool const closed = block.entries[end - 1].size < first.size;  // only the last one may be shorter
      if (closed || next.size == 0 || next.size > first.size || next.to != first.to) break;
      bytes += next.size;
    }
    out.add(first.to, block.data + first.begin, bytes, first.size, end - begin);
    return end;
  }

  bool grow() noexcept {
    std::unique_ptr<send_block> room = pool_.take();
    if (room == nullptr) return false;
    send_block* const added = room.get();
    (last_ == nullptr ? first_ : last_->next) = std::move(room);
    last_ = added;
    return true;
  }

  send_pool& pool_;
  std::unique_ptr<send_block> first_;
  send_block* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
