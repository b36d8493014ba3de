#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "kadoro/io/posix/tcp_descriptor.hpp"
#include "kadoro/io/uring/context.hpp"
#include "kadoro/io/uring/stream_operations.hpp"
#include "kadoro/io/uring/tcp_state.hpp"

namespace kadoro::inline KADORO_ABI::io::uring::detail {

namespace limits {

// A receive buffer starts small, and doubles when one receive fills it: a connection on which little comes keeps
// little.
inline constexpr std::size_t first_receive_bytes = 4 * 1024;
inline constexpr std::size_t max_receive_bytes = 64 * 1024;
// Of each half.
inline constexpr std::size_t max_send_bytes = 64 * 1024;

}  // namespace limits

KADORO_DECL void connect_operation::prepare(io_uring_sqe& entry) noexcept {
  ::io_uring_prep_connect(&entry, descriptor_, address_.get(), address_.size);
}

KADORO_DECL void connect_operation::complete(int result, std::uint32_t) noexcept {
  if (!disposed()) of_.connect_ended(result);
}

KADORO_DECL std::size_t stream_receive::give(bytes_span into) noexcept {
  std::size_t const size = std::min(into.size(), end_ - begin_);
  std::copy_n(buffer_.data() + begin_, size, into.data());
  begin_ += size;
  return size;
}

KADORO_DECL void stream_receive::make_room() {
  bool const was_full = end_ == buffer_.size();
  begin_ = end_ = 0;
  if (!was_full || buffer_.size() >= limits::max_receive_bytes) return;
  buffer_.resize(std::max(limits::first_receive_bytes, 2 * buffer_.size()));
}

KADORO_DECL void stream_receive::prepare(io_uring_sqe& entry) noexcept {
  ::io_uring_prep_recv(&entry, descriptor_, buffer_.data(), buffer_.size(), 0);
}

KADORO_DECL void stream_receive::complete(int result, std::uint32_t) noexcept {
  if (disposed()) return;
  if (result > 0) end_ = static_cast<std::size_t>(result);
  of_.received(result);
}

KADORO_DECL std::size_t stream_send::take(bytes_view data) {
  std::size_t const size = std::min(data.size(), limits::max_send_bytes - filling_.size());
  std::size_t const needed = filling_.size() + size;
  if (needed > filling_.capacity())
    filling_.reserve(std::min(limits::max_send_bytes, std::max(needed, 2 * filling_.capacity())));
  filling_.append(data.first(size));
  return size;
}

KADORO_DECL void stream_send::prepare(io_uring_sqe& entry) noexcept {
  if (going_.empty()) std::swap(going_, filling_);
  ::io_uring_prep_send(&entry, descriptor_, going_.data() + sent_, going_.size() - sent_, MSG_NOSIGNAL);
}

KADORO_DECL void stream_send::complete(int result, std::uint32_t) noexcept {
  if (disposed()) return;
  if (result > 0) sent_ += static_cast<std::size_t>(result);
  if (sent_ == going_.size()) {
    going_.clear();
    sent_ = 0;
  }
  of_.sent(result);
}

KADORO_DECL accept_operation::~accept_operation() {
  if (!result_ || *result_ < 0) return;
  posix::reset_on_close(*result_);
  ::close(*result_);
}

KADORO_DECL std::optional<int> accept_operation::take() noexcept { return std::exchange(result_, std::nullopt); }

KADORO_DECL void accept_operation::prepare(io_uring_sqe& entry) noexcept {
  from_ = {};
  ::io_uring_prep_accept(&entry, listener_, from_.get(), &from_.size, SOCK_CLOEXEC);
}

KADORO_DECL void accept_operation::complete(int result, std::uint32_t) noexcept {
  result_ = result;
  if (!disposed()) of_.accepted();
}

}  // namespace kadoro::inline KADORO_ABI::io::uring::detail
