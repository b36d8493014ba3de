#pragma once

#include <cerrno>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/asio/udp_state.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"

namespace kadoro::inline KADORO_ABI::io::asio::detail {

namespace limits {

// A flood on one port must not keep the others, nor the timers, from their turn.
inline constexpr int batches_per_turn = 4;
inline constexpr int errors_per_turn = 64;
// A pending ICMP error is reported by the next call, whatever that sends: only the same error again and again is real.
inline constexpr int attempts_if_refused = 64;
inline constexpr int attempts = 3;

}  // namespace limits

KADORO_DECL udp_state::udp_state(context& owner, int descriptor)
    : owner_(&owner), descriptor_(owner.native(), descriptor), local_(posix::bound_address(descriptor)) {}

KADORO_DECL void udp_state::set_receiver(udp_port::receiver* to) noexcept {
  receiver_ = to;
  if (owner_ != nullptr) wait_readable();
}

KADORO_DECL void udp_state::send(endpoint const& to, bytes_view data) noexcept {
  if (owner_ == nullptr) return;
  if (data.size() > max_datagram_bytes) {
    ++counters_.truncated;
  } else if (!queue_.push(to, data)) {
    ++counters_.dropped_queue_full;
  } else if (!flush_due_ && !writing_) {
    flush_due_ = true;
    owner_->flush_later(shared_from_this());
  }
}

KADORO_DECL void udp_state::wait_readable() {
  if (reading_ || receiver_ == nullptr) return;
  reading_ = true;
  descriptor_.async_wait(::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](std::error_code const& failed) {
                           if (failed || self->owner_ == nullptr) return;
                           self->owner_->turn([&] {
                             self->reading_ = false;
                             self->receive();
                           });
                           if (self->owner_ != nullptr) self->wait_readable();
                         });
}

KADORO_DECL void udp_state::wait_writable() {
  if (writing_) return;
  writing_ = true;
  descriptor_.async_wait(::asio::posix::stream_descriptor::wait_write,
                         [self = shared_from_this()](std::error_code const& failed) {
                           if (failed || self->owner_ == nullptr) return;
                           self->owner_->turn([&] {
                             self->writing_ = false;
                             self->flush();
                           });
                         });
}

KADORO_DECL void udp_state::receive() {
  bool anything = false;
  for (int i = 0; i < limits::batches_per_turn && receiver_ != nullptr; ++i) {
    std::span<datagram> batch;
    int const taken = owner_->received_.receive(descriptor_.native_handle(), counters_, batch);
    if (taken == -EAGAIN || taken == -EWOULDBLOCK) break;
    if (taken < 0) {
      drain_errors();  // the error was that of an earlier `send`; datagrams may wait behind it
      anything = true;
      continue;
    }
    anything = true;
    if (!batch.empty()) receiver_->on_datagrams(batch);
    if (static_cast<std::size_t>(taken) < posix::receive_block::capacity) return;
  }
  // Woken for nothing: a call to send has seen the error, and its message still waits.
  if (!anything) drain_errors();
}

/// False if the system reported an ICMP error on the way.
KADORO_DECL bool udp_state::flush_some() noexcept {
  bool clean = true;
  int failures = 0;
  while (!queue_.empty()) {
    std::span<mmsghdr> const front = queue_.front();
    int const sent =
        ::sendmmsg(descriptor_.native_handle(), front.data(), static_cast<unsigned>(front.size()), MSG_DONTWAIT);
    if (sent > 0) {
      failures = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(sent); ++i) counters_.sent_bytes += queue_.front_bytes(i);
      counters_.sent += static_cast<std::uint64_t>(sent);
      queue_.pop(static_cast<std::size_t>(sent));
      continue;
    }
    int const cause = errno;
    if (cause == EAGAIN || cause == EWOULDBLOCK) break;
    if (cause == EINTR) continue;
    clean = false;
    if (++failures < (cause == ECONNREFUSED ? limits::attempts_if_refused : limits::attempts)) continue;
    ++counters_.dropped_by_system;
    queue_.pop(1);
    failures = 0;
  }
  return clean;
}

KADORO_DECL void udp_state::flush() {
  flush_due_ = false;
  if (owner_ == nullptr) return;
  bool const clean = flush_some();
  if (!queue_.empty()) wait_writable();
  if (!clean) drain_errors();
}

KADORO_DECL void udp_state::drain_errors() {
  endpoint refused;
  for (int i = 0; i < limits::errors_per_turn && owner_ != nullptr; ++i) {
    if (!posix::take_socket_error(descriptor_.native_handle(), refused)) return;
    if (refused.port() != 0 && receiver_ != nullptr) receiver_->on_unreachable(refused);
  }
}

KADORO_DECL void udp_state::close() noexcept {
  receiver_ = nullptr;
  if (owner_ == nullptr) return;
  owner_ = nullptr;
  unlink();
  flush_some();
  std::error_code ignored;
  descriptor_.close(ignored);
}

}  // namespace kadoro::inline KADORO_ABI::io::asio::detail
