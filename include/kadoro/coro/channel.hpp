#pragma once

#include <cassert>
#include <cstddef>
#include <deque>
#include <optional>
#include <type_traits>
#include <utility>

#include "kadoro/coro/waiter.hpp"

/// @file
/// `channel<T>`: a bounded queue between coroutines.

namespace kadoro::inline KADORO_ABI::coro {

/// First in, first out, for values and for those who wait. Any number of senders and receivers on one thread. `T` may
/// be move-only. Must outlive those who wait, unless their frames are destroyed.
template <class T>
class channel {
  static_assert(std::is_object_v<T> && std::is_nothrow_move_constructible_v<T>,
                "channel<T>: T moves between coroutines, so moving must not throw");

 public:
  /// How many values may lie between senders and receivers; at least 1.
  explicit channel(std::size_t capacity) noexcept : capacity_(capacity) {
    assert(capacity > 0 && "a channel holds at least one value");
  }
  channel(channel const&) = delete;
  channel& operator=(channel const&) = delete;

  class send_awaiter : public waiter {
   public:
    send_awaiter(channel& to, T value) noexcept : to_(to), value_(std::move(value)) {}
    bool await_ready() {
      if (to_.closed_) {
        reject(errc::closed);
        return true;
      }
      return to_.put(value_);
    }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      if (!begin(h)) return false;
      enqueue(to_.senders_);
      return true;
    }
    result<void> await_resume() const { return status(); }

   private:
    friend class channel;
    channel& to_;
    T value_;
  };

  class receive_awaiter : public waiter {
   public:
    explicit receive_awaiter(channel& from) noexcept : from_(from) {}
    bool await_ready() {
      value_ = from_.try_receive();
      if (value_.has_value()) return true;
      if (from_.closed_) reject(errc::closed);
      return from_.closed_;
    }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      if (!begin(h)) return false;
      enqueue(from_.receivers_);
      return true;
    }
    result<T> await_resume() {
      if (value_.has_value()) return std::move(*value_);
      return fail(status().error());
    }

   private:
    friend class channel;
    channel& from_;
    std::optional<T> value_;
  };

  /// Completes when the value is in the queue or with a receiver; at once if there is room. Errors: `closed`,
  /// `cancelled`; the value is then gone.
  send_awaiter send(T value) noexcept { return send_awaiter(*this, std::move(value)); }

  /// Completes with the oldest value. Errors: `closed` when the channel is closed and drained, `cancelled`. A value
  /// that was handed to a waiting receiver is lost if that receiver's frame is destroyed before it runs.
  receive_awaiter receive() noexcept { return receive_awaiter(*this); }

  /// Errors: `queue_full`, `closed`; then `value` is untouched.
  result<void> try_send(T&& value) {
    if (closed_) return fail(errc::closed);
    if (!put(value)) return fail(errc::queue_full);
    return {};
  }

  /// Nothing if the queue is empty.
  std::optional<T> try_receive() {
    if (queue_.empty()) return std::nullopt;
    std::optional<T> oldest(std::move(queue_.front()));
    queue_.pop_front();
    if (senders_.linked()) {
      send_awaiter& next = static_cast<send_awaiter&>(waiter::front(senders_));
      queue_.push_back(std::move(next.value_));
      next.complete();
    }
    return oldest;
  }

  /// Receivers drain what is queued and then get `closed`; senders that wait for room get `closed` now.
  void close() noexcept {
    closed_ = true;
    while (senders_.linked()) waiter::front(senders_).complete(errc::closed);
    while (receivers_.linked()) waiter::front(receivers_).complete(errc::closed);
  }

  bool closed() const noexcept { return closed_; }
  std::size_t size() const noexcept { return queue_.size(); }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  /// Hands `value` to the receiver that has waited longest, else to the queue. False if there is no room.
  bool put(T& value) {
    if (receivers_.linked()) {
      receive_awaiter& first = static_cast<receive_awaiter&>(waiter::front(receivers_));
      first.value_.emplace(std::move(value));
      first.complete();
      return true;
    }
    if (queue_.size() >= capacity_) return false;
    queue_.push_back(std::move(value));
    return true;
  }

  std::deque<T> queue_;
  std::size_t capacity_;
  list_node senders_;    // not empty only while the queue is full
  list_node receivers_;  // not empty only while the queue is empty
  bool closed_ = false;
};

}  // namespace kadoro::inline KADORO_ABI::coro
