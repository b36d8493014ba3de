#pragma once

#include <cstddef>
#include <cstdint>

#include "kadoro/base/block_pool.hpp"

/// @file
/// Where coroutine frames come from: the pool of blocks, in classes of their own. Frames are short-lived and come in
/// few sizes; keeping them halves the cost of a call.

namespace kadoro::inline KADORO_ABI::coro {

/// The calling thread's frames: `block_pool` in classes of 64 bytes, so that two coroutines of about the same size
/// share their memory, counted by themselves.
class frame_pool {
 public:
  static constexpr std::size_t class_bytes = 64;
  static constexpr std::size_t max_pooled_bytes = block_pool::max_pooled_bytes;
  static constexpr std::size_t max_kept_bytes = block_pool::max_kept_bytes;  // per class and thread
  static constexpr duration idle_period = block_pool::idle_period;
  static constexpr bool enabled = block_pool::enabled;

  /// Counted per thread since it started.
  struct counters {
    std::uint64_t allocated = 0;  ///< frames that came from the heap
    std::uint64_t reused = 0;     ///< frames that came from a free list
    std::uint64_t released = 0;   ///< frames that came back

    /// Frames that are in use: a coroutine that was forgotten is one too many.
    std::uint64_t live() const noexcept { return allocated + reused - released; }
  };

  KADORO_DECL static void* allocate(std::size_t bytes);
  /// `bytes` as given to `allocate`.
  KADORO_DECL static void release(void* frame, std::size_t bytes) noexcept;

  KADORO_DECL static counters statistics() noexcept;
  /// As those of `block_pool`, which has the frames.
  static void trim() noexcept { block_pool::trim(); }
  static void trim_idle(time_point now) noexcept { block_pool::trim_idle(now); }
};

namespace detail {

/// Base of every promise: its frame lives in the pool. The size that `delete` gets names the class, so a frame needs
/// no header.
class pooled_frame {
 public:
  static void* operator new(std::size_t bytes) { return frame_pool::allocate(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { frame_pool::release(frame, bytes); }
};

}  // namespace detail

}  // namespace kadoro::inline KADORO_ABI::coro

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/coro/impl/frame_pool.ipp"
#endif
