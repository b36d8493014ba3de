#pragma once

#include <algorithm>
#include <array>
#include <new>

#include "kadoro/coro/frame_pool.hpp"

namespace kadoro::inline KADORO_ABI::coro {

namespace detail {

struct kept_frame {
  kept_frame* next;
};

struct frame_class {
  kept_frame* first;
  std::size_t count;
  std::size_t unused;  // of these, since the last `trim_idle`
};

inline constexpr std::size_t frame_classes = frame_pool::max_pooled_bytes / frame_pool::class_bytes;

/// Trivially destructible on purpose: frames may still come back while the thread's other objects are being destroyed.
struct frame_lists {
  std::array<frame_class, frame_classes> classes;
  frame_pool::counters counted;
  time_point trimmed_at;
  bool closed;
};

inline constinit thread_local frame_lists local_frames{};

/// Frees what is kept when the thread ends; from then on the pool keeps nothing.
class frame_lists_guard {
 public:
  frame_lists_guard() noexcept {}
  frame_lists_guard(frame_lists_guard const&) = delete;
  frame_lists_guard& operator=(frame_lists_guard const&) = delete;
  ~frame_lists_guard() {
    local_frames.closed = true;
    frame_pool::trim();
  }
};

inline void guard_local_frames() noexcept { thread_local frame_lists_guard const guard; }

/// Rounded up to the class also where the pool is off: see the note on mixed programs in the header.
inline std::size_t frame_class_of(std::size_t bytes) noexcept {
  return (bytes + frame_pool::class_bytes - 1) / frame_pool::class_bytes;
}

/// Frees `count` of what is kept, which has as many.
inline void give_back(frame_class& frames, std::size_t count) noexcept {
  frames.count -= count;
  frames.unused = frames.count;
  for (; count > 0; --count) {
    kept_frame* const frame = frames.first;
    frames.first = frame->next;
    ::operator delete(frame);
  }
}

}  // namespace detail

KADORO_DECL void* frame_pool::allocate(std::size_t bytes) {
  detail::frame_lists& local = detail::local_frames;
  std::size_t const index = detail::frame_class_of(bytes);
  if (enabled && bytes <= max_pooled_bytes) {
    detail::frame_class& frames = local.classes[index - 1];
    if (frames.first != nullptr) {
      detail::kept_frame* const frame = frames.first;
      frames.first = frame->next;
      --frames.count;
      frames.unused = std::min(frames.unused, frames.count);
      ++local.counted.reused;
      return frame;
    }
  }
  void* const frame = ::operator new(index * class_bytes);
  ++local.counted.allocated;
  return frame;
}

KADORO_DECL void frame_pool::release(void* frame, std::size_t bytes) noexcept {
  detail::frame_lists& local = detail::local_frames;
  ++local.counted.released;
  if (enabled && bytes <= max_pooled_bytes && !local.closed) {
    std::size_t const index = detail::frame_class_of(bytes);
    detail::frame_class& frames = local.classes[index - 1];
    if (frames.count < max_kept_bytes / (index * class_bytes)) {
      if (frames.first == nullptr) detail::guard_local_frames();
      frames.first = ::new (frame) detail::kept_frame{frames.first};
      ++frames.count;
      return;
    }
  }
  ::operator delete(frame);
}

KADORO_DECL frame_pool::counters frame_pool::statistics() noexcept { return detail::local_frames.counted; }

KADORO_DECL void frame_pool::trim() noexcept {
  for (detail::frame_class& frames : detail::local_frames.classes) detail::give_back(frames, frames.count);
}

KADORO_DECL void frame_pool::trim_idle(time_point now) noexcept {
  detail::frame_lists& local = detail::local_frames;
  if (now - local.trimmed_at < idle_period) return;
  local.trimmed_at = now;
  for (detail::frame_class& frames : local.classes) detail::give_back(frames, frames.unused);
}

}  // namespace kadoro::inline KADORO_ABI::coro
