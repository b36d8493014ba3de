#pragma once

#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/asio/udp_state.hpp"

namespace kadoro::inline KADORO_ABI::io::asio::detail {

KADORO_DECL udp_state::udp_state(context& owner, int descriptor)
    : owner_(&owner), descriptor_(owner.native(), descriptor), channel_(descriptor, owner.sending_) {}

KADORO_DECL void udp_state::set_receiver(udp_port::receiver* to) noexcept {
  channel_.set_receiver(to);
  if (owner_ != nullptr) wait_readable();
}

KADORO_DECL void udp_state::send(endpoint const& to, bytes_view data) noexcept {
  if (owner_ == nullptr || !channel_.push(to, data) || writing_ || channel_.flush_early() || flush_due_) return;
  flush_due_ = true;
  owner_->flush_later(shared_from_this());
}

KADORO_DECL void udp_state::wait_readable() {
  if (reading_ || channel_.receiver() == nullptr) return;
  reading_ = true;
  descriptor_.async_wait(::asio::posix::descriptor_base::wait_read,
                         [self = shared_from_this()](std::error_code const& failed) {
                           if (failed || self->owner_ == nullptr) return;
                           self->owner_->turn([&] {
                             self->reading_ = false;
                             self->channel_.receive(self->owner_->received_);
                           });
                           if (self->owner_ != nullptr) self->wait_readable();
                         });
}

KADORO_DECL void udp_state::wait_writable() {
  if (writing_) return;
  writing_ = true;
  descriptor_.async_wait(::asio::posix::descriptor_base::wait_write,
                         [self = shared_from_this()](std::error_code const& failed) {
                           if (failed || self->owner_ == nullptr) return;
                           self->owner_->turn([&] {
                             self->writing_ = false;
                             self->flush();
                           });
                         });
}

KADORO_DECL void udp_state::flush() {
  flush_due_ = false;
  if (owner_ == nullptr) return;
  channel_.flush();
  if (owner_ != nullptr && channel_.unsent()) wait_writable();
}

KADORO_DECL void udp_state::close() noexcept {
  channel_.set_receiver(nullptr);
  if (owner_ == nullptr) return;
  owner_ = nullptr;
  unlink();
  channel_.close();
  std::error_code ignored;
  descriptor_.close(ignored);
}

}  // namespace kadoro::inline KADORO_ABI::io::asio::detail
