#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "kadoro/io/posix/tcp_descriptor.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"
#include "kadoro/io/uring/context.hpp"
#include "kadoro/io/uring/tcp_state.hpp"

namespace kadoro::inline KADORO_ABI::io::uring::detail {

namespace limits {

// How long closed connections may take to get rid of what was written, and how many of them: two halves of a buffer
// each.
inline constexpr duration longest_leave = std::chrono::seconds(60);
inline constexpr std::size_t max_leaving = 1024;

}  // namespace limits

/// It says nothing about the connection: once more.
inline bool is_to_be_repeated(int result) noexcept { return result == -EAGAIN || result == -EINTR; }

KADORO_DECL tcp_state::tcp_state(context& owner, int descriptor, endpoint const& remote, bool is_connected)
    : owner_(&owner),
      descriptor_(descriptor),
      receive_(make_operation<stream_receive>(*owner.ring_, descriptor, *this)),
      send_(make_operation<stream_send>(*owner.ring_, descriptor, *this)),
      local_(posix::bound_address(descriptor)),
      remote_(remote),
      patience_(*this),
      connected_(is_connected) {
  if (is_connected) return;
  connect_ = make_operation<connect_operation>(*owner.ring_, descriptor, remote, *this);
  owner.ring_->start(*connect_);
}

KADORO_DECL tcp_state::~tcp_state() { close(); }

KADORO_DECL error tcp_state::failure(int cause, char const* doing) const {
  if (owner_ == nullptr) return tcp_error(errc::closed, "TCP connection to", remote_, doing);
  return posix::tcp_system_error(cause, remote_, doing);
}

KADORO_DECL result<bool> tcp_state::connected() const {
  if (connected_) return true;
  if (owner_ == nullptr || cause_ != 0) return fail(failure(cause_, "connecting"));
  return false;
}

KADORO_DECL void tcp_state::connect_ended(int result) noexcept {
  if (is_to_be_repeated(result)) return owner_->ring_->start(*connect_);
  cause_ = posix::tcp_connect_cause(descriptor_, remote_, -result);
  connected_ = cause_ == 0;
  if (connected_) local_ = posix::bound_address(descriptor_);
  if (told_ != nullptr) told_->on_writable();
}

KADORO_DECL result<tcp_read> tcp_state::try_read(bytes_span into) {
  if (owner_ == nullptr) return fail(failure(0, "reading"));
  if (receive_->unread()) {
    std::size_t const size = receive_->give(into);
    counters_.received_bytes += size;
    return tcp_read{size, false};
  }
  if (end_) return tcp_read{0, true};
  if (broken_in_) return fail(failure(cause_, "reading"));
  if (receive_->idle()) {
    receive_->make_room();
    owner_->ring_->start(*receive_);
  }
  return tcp_read{};
}

KADORO_DECL void tcp_state::received(int result) noexcept {
  if (leaving_) {  // nobody reads this any more, and the other end must know
    if (result > 0) {
      if (unsent()) ++owner_->ring_->counters().streams_cut_off;
      cause_ = ECONNRESET;
    }
    return settle();
  }
  if (is_to_be_repeated(result)) return owner_->ring_->start(*receive_);
  if (result < 0 && cause_ == 0) cause_ = -result;
  // When the connection broke and a send has heard of it, the receive is told no more than that nothing will come.
  broken_in_ = result <= 0 && cause_ != 0;
  end_ = result == 0 && cause_ == 0;
  if (told_ != nullptr) told_->on_readable();
}

KADORO_DECL result<std::size_t> tcp_state::try_write(bytes_view data) {
  if (owner_ == nullptr || cause_ != 0) return fail(failure(cause_, "writing"));
  if (send_ended_) return fail(failure(EPIPE, "writing"));
  std::size_t const taken = send_->take(data);
  counters_.sent_bytes += taken;
  wants_room_ = taken == 0;
  go_on_sending();
  return taken;
}

KADORO_DECL void tcp_state::go_on_sending() noexcept {
  if (unsent() && send_->idle()) owner_->ring_->start(*send_);
}

KADORO_DECL void tcp_state::sent(int result) noexcept {
  if (result < 0 && !is_to_be_repeated(result) && cause_ == 0) cause_ = -result;
  go_on_sending();
  if (send_ended_) end_sending();
  if (leaving_) return settle();
  if (told_ != nullptr && std::exchange(wants_room_, false)) told_->on_writable();
}

KADORO_DECL void tcp_state::shutdown_send() noexcept {
  send_ended_ = true;
  if (owner_ != nullptr) end_sending();
}

/// Behind what was written.
KADORO_DECL void tcp_state::end_sending() noexcept {
  if (!unsent()) static_cast<void>(::shutdown(descriptor_, SHUT_WR));
}

KADORO_DECL void tcp_state::abort() noexcept {
  cause_ = ECONNABORTED;
  close();
}

KADORO_DECL void tcp_state::release(std::unique_ptr<tcp_state> self) noexcept {
  self->silence();
  if (self->owner_ == nullptr) return;
  if (self->receive_->unread()) return self->abort();  // as the system does it with what waits in the socket
  if (self->must_stay()) self.release()->leave();
}

/// Whether the kernel has something of it that closing would break off.
KADORO_DECL bool tcp_state::must_stay() const noexcept {
  return connected_ && cause_ == 0 && (unsent() || !receive_->idle()) && owner_->leaving_count_ < limits::max_leaving;
}

/// The context owns it from now on.
KADORO_DECL void tcp_state::leave() noexcept {
  leaving_ = true;
  link_before(owner_->leaving_);
  ++owner_->leaving_count_;
  owner_->arm(patience_, owner_->now() + limits::longest_leave);
  owner_->ring_->cancel(*receive_);
  send_ended_ = true;
  end_sending();
}

/// The end, once the kernel has let go.
KADORO_DECL void tcp_state::settle() noexcept {
  if (cause_ == 0 && (unsent() || !receive_->idle())) return;
  link_before(owner_->ended_);
}

KADORO_DECL void tcp_state::patience::on_due(timer_node& node) {
  tcp_state& of = static_cast<patience&>(node).of_;
  of.link_before(of.owner_->ended_);
}

KADORO_DECL void tcp_state::close() noexcept {
  if (owner_ == nullptr) return;
  if (leaving_) --owner_->leaving_count_;
  bool const lost = unsent();
  if (lost) ++owner_->ring_->counters().streams_cut_off;
  // Without a reset the other end would take a part for the whole.
  if (lost || cause_ != 0) posix::reset_on_close(descriptor_);
  owner_->disarm(patience_);
  owner_ = nullptr;
  unlink();
  connect_.reset();
  receive_.reset();
  send_.reset();
  ::close(descriptor_);
}

KADORO_DECL acceptor_state::acceptor_state(context& on, int descriptor)
    : owner_(&on),
      descriptor_(descriptor),
      accept_(make_operation<accept_operation>(*on.ring_, descriptor, *this)),
      local_(posix::bound_address(descriptor)) {}

KADORO_DECL result<std::unique_ptr<tcp_connection>> acceptor_state::try_accept() {
  if (owner_ == nullptr) return fail(tcp_error(errc::closed, "TCP listener", local_, "accepting"));
  std::optional<int> const taken = accept_->take();
  if (taken && *taken >= 0) {
    posix::set_tcp_options(*taken);
    return owner_->adopt(*taken, accept_->remote(), true);
  }
  if (taken && !is_to_be_repeated(*taken)) return fail(posix::tcp_accept_error(-*taken, local_));
  if (accept_->idle()) owner_->ring_->start(*accept_);
  return std::unique_ptr<tcp_connection>();
}

KADORO_DECL void acceptor_state::close() noexcept {
  if (owner_ == nullptr) return;
  owner_ = nullptr;
  unlink();
  accept_.reset();
  ::close(descriptor_);
}

}  // namespace kadoro::inline KADORO_ABI::io::uring::detail
