#pragma once

#include <cstddef>
#include <cstdint>

#include "kadoro/base/time.hpp"

/// @file
/// Where coroutine frames come from: free lists per thread and size class. Frames are short-lived and come in few
/// sizes; keeping them halves the cost of a call.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KADORO_DETAIL_FRAME_POOL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KADORO_DETAIL_FRAME_POOL 0
#endif
#endif
#if !defined(KADORO_DETAIL_FRAME_POOL)
#define KADORO_DETAIL_FRAME_POOL 1
#endif

namespace kadoro::inline KADORO_ABI::coro {

/// The calling thread's pool. Classes of 64 bytes up to 2 KiB; larger frames go straight to the heap. Each class keeps
/// at most `max_kept_bytes`; what comes back beyond that is freed. Nodes of a DHT call `trim_idle` now and then; other
/// programs may.
///
/// Under AddressSanitizer, MemorySanitizer and ThreadSanitizer the pool keeps nothing, so that a use after free is
/// found. A program that mixes sanitized and plain translation units stays sound whichever version the linker picks:
/// both round the size up to its class and take the block from the global heap, so each may free or keep the other's.
class frame_pool {
 public:
  static constexpr std::size_t class_bytes = 64;
  static constexpr std::size_t max_pooled_bytes = 2048;
  static constexpr std::size_t max_kept_bytes = std::size_t{64} << 10;  // per class and thread
  static constexpr duration idle_period = std::chrono::seconds(30);
  static constexpr bool enabled = KADORO_DETAIL_FRAME_POOL != 0;

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
  /// Gives everything that is kept back to the heap.
  KADORO_DECL static void trim() noexcept;
  /// Gives back what was not needed since it last did so, and does that once in `idle_period` however often it is
  /// called: what a minute under load once took does not stay for ever.
  KADORO_DECL static void trim_idle(time_point now) noexcept;
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
