#pragma once

#include <cerrno>
#include <utility>

#include "kadoro/io/posix/udp_channel.hpp"
#include "kadoro/io/reset_on_exit.hpp"

namespace kadoro::inline KADORO_ABI::io::posix {

namespace limits {

// A flood on one port must not keep the others, nor the timers, from their turn.
inline constexpr int batches_per_turn = 4;
inline constexpr int errors_per_turn = 64;
// A pending ICMP error is reported by the next call, whatever that sends: only the same error again and again is real.
inline constexpr int attempts_if_refused = 64;
inline constexpr int attempts = 3;
// From an early flush to the one that may follow it, and from a pair of them to the next pair: a call to the system for
// each datagram, or for a few, would cost more than it gains.
inline constexpr std::chrono::microseconds gather{10};
inline constexpr std::chrono::microseconds early_period{100};
// Where a run is expected: so many gain little from waiting for more, and after so long the other end idles.
inline constexpr std::size_t long_run = 16;
inline constexpr std::chrono::microseconds run_patience{50};
// Answers to many batches in one turn must not find the queue full.
inline constexpr std::size_t much_queued = max_queued_datagrams / 4;

}  // namespace limits

KADORO_DECL bool udp_channel::push(endpoint const& to, bytes_view data) noexcept {
  if (data.size() > max_datagram_bytes) {
    ++counters_.truncated;
    return false;
  }
  if (!queue_.push(to, data)) {
    ++counters_.dropped_queue_full;
    return false;
  }
  in_run_ = ran_ && to == last_to_;
  last_to_ = to;
  return true;
}

KADORO_DECL void udp_channel::deliver(received_batch& batch) {
  std::span<datagram> const datagrams = batch.datagrams();
  if (receiver_ == nullptr) {
    counters_.dropped_unread += datagrams.size();
    return;
  }
  if (queue_.size() > limits::much_queued && !flush_some()) errors_due_ = true;
  counters_.received += datagrams.size();
  counters_.received_joined += batch.joined();
  for (datagram const& one : datagrams) counters_.received_bytes += one.data.size();
  delivering_ = true;
  reset_on_exit const ends(delivering_);
  receiver_->on_datagrams(datagrams);
}

KADORO_DECL void udp_channel::receive(receive_block& room) {
  bool anything = false;
  for (int i = 0; i < limits::batches_per_turn && receiver_ != nullptr; ++i) {
    int const taken = room.receive(descriptor_);
    if (taken == -EAGAIN || taken == -EWOULDBLOCK) break;
    if (taken < 0) {
      drain_errors();  // the error was that of an earlier `send`; datagrams may wait behind it
      anything = true;
      continue;
    }
    anything = true;
    while (true) {
      received_batch& batch = room.next(counters_, notes_);
      if (batch.empty()) break;
      deliver(batch);
    }
    if (room.drained()) return;
  }
  // Woken for nothing: a call to send has seen the error, and its message still waits.
  if (!anything) drain_errors();
}

/// False if the system may have reported an ICMP error on the way.
KADORO_DECL bool udp_channel::flush_some() noexcept {
  bool clean = true;
  bool runs = runs_;
  int failures = 0;
  while (!queue_.empty()) {
    send_batch& batch = queue_.front(runs);
    std::span<mmsghdr> const front = batch.messages();
    int const sent = ::sendmmsg(descriptor_, front.data(), static_cast<unsigned>(front.size()), MSG_DONTWAIT);
    if (sent > 0) {
      failures = 0;
      // It stopped at an error, which this call has taken away and does not tell.
      if (static_cast<std::size_t>(sent) < front.size()) clean = false;
      std::size_t datagrams = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(sent); ++i) {
        std::size_t const together = batch.datagrams(i);
        datagrams += together;
        counters_.sent_bytes += front[i].msg_hdr.msg_iov->iov_len;
        if (together > 1) counters_.sent_joined += together;
      }
      ran_ = batch.datagrams(static_cast<std::size_t>(sent) - 1) > 1;
      counters_.sent += datagrams;
      queue_.pop(datagrams);
      continue;
    }
    int const cause = errno;
    if (cause == EAGAIN || cause == EWOULDBLOCK) break;
    if (cause == EINTR) continue;
    clean = false;
    bool const refuses_runs = cause == EINVAL || cause == EIO || cause == EMSGSIZE || cause == EOPNOTSUPP;
    if (batch.datagrams(0) > 1 && refuses_runs) {
      // An old kernel, or a path that is too narrow: they go, and are counted, one by one. For good, unless others
      // went.
      runs = false;
      runs_ = counters_.sent_joined > 0;
      continue;
    }
    if (++failures < (cause == ECONNREFUSED ? limits::attempts_if_refused : limits::attempts)) continue;
    ++counters_.dropped_by_system;
    queue_.pop(1);
    failures = 0;
  }
  return clean;
}

KADORO_DECL void udp_channel::flush() {
  bool const clean = flush_some() && !errors_due_;
  errors_due_ = false;
  if (!clean) drain_errors();
}

KADORO_DECL bool udp_channel::flush_early() noexcept {
  if (delivering_ || !(in_run_ ? run_is_due() : early_is_due())) return false;
  if (!flush_some()) errors_due_ = true;
  return !errors_due_ && queue_.empty();
}

KADORO_DECL bool udp_channel::early_is_due() noexcept {
  auto const now = std::chrono::steady_clock::now();
  auto const since = now - early_at_;
  if (since >= limits::early_period) {
    early_at_ = now;
    return early_again_ = true;
  }
  return since >= limits::gather && std::exchange(early_again_, false);
}

KADORO_DECL bool udp_channel::run_is_due() noexcept {
  auto const now = std::chrono::steady_clock::now();
  if (queue_.size() == 1) run_at_ = now;
  return queue_.size() >= limits::long_run || now - run_at_ >= limits::run_patience;
}

KADORO_DECL void udp_channel::drain_errors() {
  endpoint refused;
  for (int i = 0; i < limits::errors_per_turn && is_open(); ++i) {
    if (!take_socket_error(descriptor_, refused)) return;
    if (refused.port() != 0 && receiver_ != nullptr) receiver_->on_unreachable(refused);
  }
}

KADORO_DECL void udp_channel::close() noexcept {
  receiver_ = nullptr;
  if (!is_open()) return;
  flush_some();
  queue_.clear();
  descriptor_ = -1;
}

}  // namespace kadoro::inline KADORO_ABI::io::posix
