#pragma once

#include <cstddef>
#include <optional>

#include "kadoro/base/bytes.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/uring/ring.hpp"

/// @file
/// What the kernel is asked to do for TCP. Each owns the memory that the kernel reads or writes meanwhile, so it does
/// not matter when the connection goes: the ring keeps the operation until its last completion.

namespace kadoro::inline KADORO_ABI::io::uring::detail {

class tcp_state;
class acceptor_state;

class connect_operation final : public operation {
 public:
  connect_operation(int descriptor, endpoint const& remote, tcp_state& of) noexcept
      : address_(posix::socket_address::from(remote)), descriptor_(descriptor), of_(of) {}

 private:
  KADORO_DECL void prepare(io_uring_sqe& entry) noexcept override;
  KADORO_DECL void complete(int result, std::uint32_t flags) noexcept override;

  posix::socket_address address_;
  int descriptor_;
  tcp_state& of_;  // not once disposed
};

/// Receives into a buffer of its own, which grows with what comes, up to a bound.
class stream_receive final : public operation {
 public:
  stream_receive(int descriptor, tcp_state& of) noexcept : descriptor_(descriptor), of_(of) {}

  bool unread() const noexcept { return begin_ < end_; }
  /// The front of what was received; it may be empty.
  KADORO_DECL std::size_t give(bytes_span into) noexcept;
  /// Before each start, when everything is read.
  KADORO_DECL void make_room();

 private:
  KADORO_DECL void prepare(io_uring_sqe& entry) noexcept override;
  KADORO_DECL void complete(int result, std::uint32_t flags) noexcept override;

  bytes buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  int descriptor_;
  tcp_state& of_;  // not once disposed
};

/// Sends out of two halves: one that the kernel has, one that is being filled. All that is written in one turn leaves
/// in one send.
class stream_send final : public operation {
 public:
  stream_send(int descriptor, tcp_state& of) noexcept : descriptor_(descriptor), of_(of) {}

  /// Takes the front of `data`, as far as there is room.
  KADORO_DECL std::size_t take(bytes_view data);
  bool unsent() const noexcept { return !going_.empty() || !filling_.empty(); }

 private:
  KADORO_DECL void prepare(io_uring_sqe& entry) noexcept override;
  KADORO_DECL void complete(int result, std::uint32_t flags) noexcept override;

  bytes going_;
  bytes filling_;
  std::size_t sent_ = 0;  // of `going_`
  int descriptor_;
  tcp_state& of_;  // not once disposed
};

/// Accepts one connection, and keeps it until it is asked for. One that nobody asks for hears a reset.
class accept_operation final : public operation {
 public:
  accept_operation(int listener, acceptor_state& of) noexcept : listener_(listener), of_(of) {}
  KADORO_DECL ~accept_operation() override;

  /// What became of the last start: a descriptor, minus an error number, or nothing yet. The caller's from now on.
  KADORO_DECL std::optional<int> take() noexcept;
  endpoint remote() const noexcept { return from_.to_endpoint(); }

 private:
  KADORO_DECL void prepare(io_uring_sqe& entry) noexcept override;
  KADORO_DECL void complete(int result, std::uint32_t flags) noexcept override;

  posix::socket_address from_;
  std::optional<int> result_;
  int listener_;
  acceptor_state& of_;  // not once disposed
};

}  // namespace kadoro::inline KADORO_ABI::io::uring::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/tcp_state.hpp"  // the context needs both; its end has the bodies
#endif
