#pragma once

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "kadoro/io/uring/context.hpp"
#include "kadoro/io/uring/udp_state.hpp"

namespace kadoro::inline KADORO_ABI::io::uring::detail {

namespace limits {

inline constexpr duration retry_after = std::chrono::milliseconds(10);

}  // namespace limits

KADORO_DECL void receive_operation::prepare(io_uring_sqe& entry) noexcept {
  ::io_uring_prep_recvmsg_multishot(&entry, descriptor_, &header_, 0);
  entry.flags |= IOSQE_BUFFER_SELECT;
  entry.buf_group = receive_buffers::group;
}

KADORO_DECL void receive_operation::complete(int result, std::uint32_t flags) noexcept {
  if (!disposed()) {
    port_.received(result, flags);
  } else if ((flags & IORING_CQE_F_BUFFER) != 0) {
    buffers_.give_back(static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT));
    buffers_.publish();
  }
}

KADORO_DECL udp_state::udp_state(context& owner, int descriptor)
    : owner_(&owner), descriptor_(descriptor), channel_(descriptor, owner.sending_), retry_(*this) {
  ring& on = *owner.ring_;
  if (on.buffers() != nullptr) {
    receive_ = make_operation<receive_operation>(on, *on.buffers(), descriptor, *this);
  } else {
    receive_ = make_operation<poll_operation>(on, descriptor, unsigned{POLLIN}, false, &udp_state::on_readable, this);
  }
  writable_ = make_operation<poll_operation>(on, descriptor, unsigned{POLLOUT}, false, &udp_state::on_writable, this);
}

KADORO_DECL udp_state::~udp_state() { close(); }

KADORO_DECL void udp_state::set_receiver(udp_port::receiver* to) noexcept {
  channel_.set_receiver(to);
  if (owner_ == nullptr) return;
  if (to == nullptr)
    owner_->ring_->cancel(*receive_);
  else
    go_on();
}

KADORO_DECL void udp_state::send(endpoint const& to, bytes_view data) noexcept {
  if (owner_ == nullptr || !channel_.push(to, data) || !writable_->idle() || channel_.flush_early() || flush_due_)
    return;
  flush_due_ = true;
  owner_->flush_later(shared_from_this());
}

KADORO_DECL void udp_state::flush() {
  flush_due_ = false;
  if (owner_ == nullptr) return;
  channel_.flush();
  if (owner_ != nullptr && channel_.unsent() && writable_->idle()) owner_->ring_->start(*writable_);
}

KADORO_DECL void udp_state::on_writable(void* self) noexcept {
  auto& port = *static_cast<udp_state*>(self);
  if (port.flush_due_) return;
  port.flush_due_ = true;
  port.owner_->flush_later(port.shared_from_this());
}

/// One completion: a message in a buffer, or an end.
KADORO_DECL void udp_state::received(int result, std::uint32_t flags) noexcept {
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    auto const buffer = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
    std::size_t const size_bytes = result < 0 ? 0 : static_cast<std::size_t>(result);
    owner_->ring_->buffers()->hold(held_, buffer, size_bytes, channel_.notes(), channel_.counters());
  }
  if (result == -ENOBUFS) {
    ++owner_->ring_->counters().out_of_buffers;  // they come back in this turn
    starved_ = held_.empty();
  } else if (result < 0 && result != -ECANCELED) {
    errors_ = true;
  }
  // What ICMP said is one thing, and an attempt that found nothing another; only what is neither must not be repeated
  // at once.
  refused_ = result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EAGAIN && result != -ECONNREFUSED &&
             result != -EHOSTUNREACH && result != -ENETUNREACH;
  deliver_later();
}

KADORO_DECL void udp_state::deliver_later() noexcept {
  if (deliver_due_) return;
  deliver_due_ = true;
  owner_->deliver_later(shared_from_this(), std::exchange(starved_, false));
}

KADORO_DECL void udp_state::deliver() {
  deliver_due_ = false;
  if (owner_ == nullptr) return;
  if (owner_->ring_->buffers() == nullptr) {
    channel_.receive(owner_->received_);
  } else {
    hand_out();
    if (errors_) {
      errors_ = false;
      channel_.drain_errors();
    }
  }
  if (owner_ == nullptr || !receive_->idle()) return;
  if (refused_)
    owner_->arm(retry_, owner_->now() + limits::retry_after);
  else
    go_on();
}

/// All that has come, and then its buffers go back: also if the receiver throws, or closes this port.
KADORO_DECL void udp_state::hand_out() {
  class guard {
   public:
    guard(udp_state& of, receive_buffers& to) noexcept : of_(of), to_(to) { of_.handing_out_ = true; }
    guard(guard const&) = delete;
    guard& operator=(guard const&) = delete;
    ~guard() {
      of_.handing_out_ = false;
      to_.give_back(of_.held_);
    }

   private:
    udp_state& of_;
    receive_buffers& to_;
  };
  receive_buffers& buffers = *owner_->ring_->buffers();
  guard const at_the_end(*this, buffers);
  while (true) {
    posix::received_batch& batch = buffers.next(held_, channel_.counters());
    if (batch.empty()) return;
    channel_.deliver(batch);
  }
}

KADORO_DECL void udp_state::go_on() noexcept {
  if (owner_ == nullptr || channel_.receiver() == nullptr || !receive_->idle()) return;
  owner_->disarm(retry_);
  ++owner_->ring_->counters().receives;
  owner_->ring_->start(*receive_);
}

KADORO_DECL void udp_state::close() noexcept {
  channel_.set_receiver(nullptr);
  if (owner_ == nullptr) return;
  owner_->disarm(retry_);
  if (!handing_out_ && !held_.empty()) {  // another port's receiver closes this one, and something had come for it
    receive_buffers& all = *owner_->ring_->buffers();
    all.count_unread(held_, channel_.counters());
    all.give_back(held_);
  }
  owner_ = nullptr;
  unlink();
  channel_.close();
  receive_.reset();
  writable_.reset();
  ::close(descriptor_);
}

}  // namespace kadoro::inline KADORO_ABI::io::uring::detail
