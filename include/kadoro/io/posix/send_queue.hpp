#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Room for datagrams, laid out as sendmmsg(2) wants them.
struct send_block {
  static constexpr std::size_t capacity = 64;

  send_block() noexcept {
    for (std::size_t i = 0; i < capacity; ++i) {
      parts[i].iov_base = data[i];
      headers[i].msg_hdr.msg_name = &to[i].storage;
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
  }
  send_block(send_block const&) = delete;
  send_block& operator=(send_block const&) = delete;

  std::unique_ptr<send_block> next;  // in a queue
  std::size_t begin = 0;
  std::size_t end = 0;
  mmsghdr headers[capacity] = {};
  iovec parts[capacity] = {};
  socket_address to[capacity];
  std::uint8_t data[capacity][max_datagram_bytes];
};

/// The blocks of all queues of a context: who has nothing to send has none, and a few idle ones stay warm.
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
    used->begin = used->end = 0;
    if (idle_.size() < max_idle) idle_.push_back(std::move(used));
  }

 private:
  static constexpr std::size_t max_idle = 4;

  std::vector<std::unique_ptr<send_block>> idle_;
};

/// Datagrams that wait for sendmmsg(2), in order, in blocks of a pool.
class send_queue {
 public:
  /// `pool` must outlive everything that is queued.
  explicit send_queue(send_pool& pool) noexcept : pool_(pool) {}

  bool empty() const noexcept { return size_ == 0; }

  /// Copies `data`, at most `max_datagram_bytes`. False if the queue is full.
  bool push(endpoint const& to, bytes_view data) noexcept {
    if (size_ == max_queued_datagrams) return false;
    if (last_ == nullptr || last_->end == send_block::capacity) {
      if (!grow()) return false;
    }
    std::size_t const i = last_->end++;
    last_->to[i] = socket_address::from(to);
    last_->headers[i].msg_hdr.msg_namelen = last_->to[i].size;
    last_->parts[i].iov_len = data.size();
    if (!data.empty()) std::memcpy(last_->data[i], data.data(), data.size());
    ++size_;
    return true;
  }

  /// The oldest datagrams, ready for the call; empty if there are none.
  std::span<mmsghdr> front() noexcept {
    if (first_ == nullptr) return {};
    return {first_->headers + first_->begin, first_->end - first_->begin};
  }

  std::size_t front_bytes(std::size_t index) const noexcept { return first_->parts[first_->begin + index].iov_len; }

  /// Forgets the oldest `count` of `front()`.
  void pop(std::size_t count) noexcept {
    first_->begin += count;
    size_ -= count;
    if (first_->begin != first_->end) return;
    std::unique_ptr<send_block> used = std::exchange(first_, std::move(first_->next));
    if (first_ == nullptr) last_ = nullptr;
    pool_.give_back(std::move(used));
  }

  /// Forgets everything.
  void clear() noexcept {
    while (!empty()) pop(front().size());
  }

 private:
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
