#pragma once

#include <sys/socket.h>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/asio/tcp_state.hpp"
#include "kadoro/io/posix/tcp_descriptor.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"

namespace kadoro::inline KADORO_ABI::io::asio::detail {

KADORO_DECL tcp_state::tcp_state(context& owner, int descriptor, endpoint const& remote, bool is_connected)
    : socket_state(owner, descriptor),
      local_(posix::bound_address(descriptor)),
      remote_(remote),
      connected_(is_connected) {}

/// The context went before the connection.
KADORO_DECL error tcp_state::gone(char const* doing) const {
  return tcp_error(errc::closed, "TCP connection to", remote_, doing);
}

KADORO_DECL result<bool> tcp_state::connected() {
  if (connected_) return true;
  if (!is_open()) return fail(gone("connecting"));
  auto const done = posix::tcp_connected(handle(), remote_);
  if (!done) return fail(done.error());
  connected_ = *done;
  if (connected_)
    local_ = posix::bound_address(handle());
  else
    wait_writable();
  return connected_;
}

KADORO_DECL result<tcp_read> tcp_state::try_read(bytes_span into) {
  if (!is_open()) return fail(gone("reading"));
  auto const got = posix::receive_tcp(handle(), remote_, into);
  if (!got) return fail(got.error());
  counters_.received_bytes += got->size_bytes;
  if (got->size_bytes == 0 && !got->end) wait_readable();
  return *got;
}

KADORO_DECL result<std::size_t> tcp_state::try_write(bytes_view data) {
  if (!is_open()) return fail(gone("writing"));
  auto const taken = posix::send_tcp(handle(), remote_, data);
  if (!taken) return fail(taken.error());
  counters_.sent_bytes += *taken;
  if (*taken == 0) wait_writable();
  return *taken;
}

KADORO_DECL void tcp_state::shutdown_send() noexcept {
  if (is_open()) static_cast<void>(::shutdown(handle(), SHUT_WR));
}

KADORO_DECL void tcp_state::abort() noexcept {
  if (!is_open()) return;
  posix::reset_on_close(handle());
  close();
}

KADORO_DECL void tcp_state::release(std::shared_ptr<tcp_state> self) noexcept {
  self->told_ = nullptr;
  self->close();
}

KADORO_DECL void tcp_state::on_ready_to_read() {
  if (told_ != nullptr) told_->on_readable();
}

KADORO_DECL void tcp_state::on_ready_to_write() {
  if (told_ != nullptr) told_->on_writable();
}

KADORO_DECL acceptor_state::acceptor_state(context& owner, int descriptor)
    : socket_state(owner, descriptor), local_(posix::bound_address(descriptor)) {}

KADORO_DECL result<std::unique_ptr<tcp_connection>> acceptor_state::try_accept() {
  if (!is_open()) return fail(tcp_error(errc::closed, "TCP listener", local_, "accepting"));
  endpoint remote;
  auto const taken = posix::accept_tcp(handle(), local_, remote);
  if (!taken) return fail(taken.error());
  if (*taken < 0) {
    wait_readable();
    return std::unique_ptr<tcp_connection>();
  }
  return owner().adopt(*taken, remote, true);
}

KADORO_DECL void acceptor_state::release() noexcept {
  told_ = nullptr;
  close();
}

KADORO_DECL void acceptor_state::on_ready_to_read() {
  if (told_ != nullptr) told_->on_acceptable();
}

}  // namespace kadoro::inline KADORO_ABI::io::asio::detail
