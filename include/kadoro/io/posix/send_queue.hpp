#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "kadoro/io/posix/send_calls.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

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

  /// Of whoever sends at the moment.
  send_calls& calls() noexcept { return calls_; }

 private:
  static constexpr std::size_t max_idle = 4;

  std::vector<std::unique_ptr<send_block>> idle_;
  send_calls calls_;
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
    last_->parts[i].iov_len = data.size();
    if (!data.empty()) std::memcpy(last_->data[i], data.data(), data.size());
    ++size_;
    return true;
  }

  /// The oldest datagrams, ready for the call, in messages of one or, with `join`, of several; none if there are none.
  std::span<mmsghdr> front(bool join) noexcept {
    if (first_ == nullptr) return {};
    return pool_.calls().lay_out(*first_, join);
  }

  /// Forgets the oldest `count` datagrams, at most those of `front`.
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
    while (!empty()) pop(first_->end - first_->begin);
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
