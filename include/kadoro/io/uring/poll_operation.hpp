#pragma once

#include "kadoro/io/uring/operation.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

/// Tells when a descriptor is ready: once, or again and again.
class poll_operation final : public operation {
 public:
  /// Called in `operation::complete`, so it must do no more than that may; also for the end of a cancelled one. Not
  /// called once disposed.
  using function = void (*)(void* owner) noexcept;

  /// `events` as for poll(2). With `every_time` it stays under way, and `call` comes for each time it becomes ready;
  /// when the kernel ends it all the same, it is idle in the last call.
  poll_operation(int descriptor, unsigned events, bool every_time, function call, void* owner) noexcept
      : descriptor_(descriptor), events_(events), every_time_(every_time), call_(call), owner_(owner) {}

 private:
  void prepare(io_uring_sqe& entry) noexcept override {
    if (every_time_)
      ::io_uring_prep_poll_multishot(&entry, descriptor_, events_);
    else
      ::io_uring_prep_poll_add(&entry, descriptor_, events_);
  }
  void complete(int, std::uint32_t) noexcept override {
    if (!disposed()) call_(owner_);
  }

  int descriptor_;
  unsigned events_;
  bool every_time_;
  function call_;
  void* owner_;
};

}  // namespace kadoro::inline KADORO_ABI::io::uring
