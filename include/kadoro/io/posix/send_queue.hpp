#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <deque>
#include <memory>
#include <new>
#include <span>

#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/udp_port.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

/// Datagrams that wait for sendmmsg(2), in order, in pooled blocks that are laid out as the call wants them.
class send_queue {
 public:
  static constexpr std::size_t block_capacity = 64;

  bool empty() const noexcept { return size_ == 0; }

  /// Copies `data`, at most `max_datagram_bytes`. False if the queue is full.
  bool push(endpoint const& to, bytes_view data) noexcept {
    if (size_ == max_queued_datagrams) return false;
    if (blocks_.empty() || blocks_.back()->end == block_capacity) {
      if (!grow()) return false;
    }
    block& last = *blocks_.back();
    std::size_t const i = last.end++;
    last.to[i] = socket_address::from(to);
    last.headers[i].msg_hdr.msg_namelen = last.to[i].size;
    last.parts[i].iov_len = data.size();
    if (!data.empty()) std::memcpy(last.data[i], data.data(), data.size());
    ++size_;
    return true;
  }

  /// The oldest datagrams, ready for the call; empty if there are none.
  std::span<mmsghdr> front() noexcept {
    if (blocks_.empty()) return {};
    block& first = *blocks_.front();
    return {first.headers + first.begin, first.end - first.begin};
  }

  std::size_t front_bytes(std::size_t index) const noexcept {
    block const& first = *blocks_.front();
    return first.parts[first.begin + index].iov_len;
  }

  /// Forgets the oldest `count` of `front()`.
  void pop(std::size_t count) noexcept {
    block& first = *blocks_.front();
    first.begin += count;
    size_ -= count;
    if (first.begin != first.end) return;
    first.begin = first.end = 0;
    if (blocks_.size() == 1) return;  // the last block stays: it is warm
    if (spare_ == nullptr) spare_ = std::move(blocks_.front());
    blocks_.pop_front();
  }

 private:
  struct block {
    block() noexcept {
      for (std::size_t i = 0; i < block_capacity; ++i) {
        parts[i].iov_base = data[i];
        headers[i].msg_hdr.msg_name = &to[i].storage;
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
      }
    }
    block(block const&) = delete;
    block& operator=(block const&) = delete;

    std::size_t begin = 0;
    std::size_t end = 0;
    mmsghdr headers[block_capacity] = {};
    iovec parts[block_capacity] = {};
    socket_address to[block_capacity];
    std::uint8_t data[block_capacity][max_datagram_bytes];
  };

  bool grow() noexcept {
    if (spare_ == nullptr) spare_.reset(new (std::nothrow) block);
    if (spare_ == nullptr) return false;
    blocks_.push_back(std::move(spare_));
    return true;
  }

  std::deque<std::unique_ptr<block>> blocks_;
  std::unique_ptr<block> spare_;
  std::size_t size_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io::posix
