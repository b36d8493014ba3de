#pragma once

#include <utility>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/asio/socket_state.hpp"

namespace kadoro::inline KADORO_ABI::io::asio::detail {

KADORO_DECL socket_state::socket_state(context& owner, int descriptor)
    : owner_(&owner), descriptor_(std::in_place, owner.native().get_executor(), descriptor) {}

KADORO_DECL void socket_state::close() noexcept {
  if (owner_ == nullptr) return;
  owner_ = nullptr;
  unlink();
  std::error_code ignored;
  descriptor_->close(ignored);
  descriptor_.reset();
}

KADORO_DECL void socket_state::wait_readable() { wait(watched_descriptor::wait_read, &socket_state::read_); }
KADORO_DECL void socket_state::wait_writable() { wait(watched_descriptor::wait_write, &socket_state::write_); }

KADORO_DECL void socket_state::wait(watched_descriptor::wait_type what, direction socket_state::* which) {
  if (owner_ == nullptr || (this->*which).watched) return;
  (this->*which).watched = true;
  descriptor_->async_wait(what, handler(shared_from_this(), which));
}

KADORO_DECL void socket_state::handler::operator()(std::error_code const& failed) {
  socket_state& self = *self_;
  if (failed || self.owner_ == nullptr) return;
  self.owner_->turn([&] {
    (self.*which_).watched = false;
    if (which_ == &socket_state::read_)
      self.on_ready_to_read();
    else
      self.on_ready_to_write();
  });
}

}  // namespace kadoro::inline KADORO_ABI::io::asio::detail
