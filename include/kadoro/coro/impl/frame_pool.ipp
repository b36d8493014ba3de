#pragma once

#include "kadoro/coro/frame_pool.hpp"

namespace kadoro::inline KADORO_ABI::coro {

namespace detail {

inline constinit thread_local frame_pool::counters local_frames{};

inline std::size_t frame_bytes(std::size_t bytes) noexcept {
  return (bytes + frame_pool::class_bytes - 1) / frame_pool::class_bytes * frame_pool::class_bytes;
}

}  // namespace detail

KADORO_DECL void* frame_pool::allocate(std::size_t bytes) {
  std::uint64_t const from_heap = block_pool::statistics().allocated;
  void* const frame = block_pool::allocate(detail::frame_bytes(bytes));
  ++(block_pool::statistics().allocated == from_heap ? detail::local_frames.reused : detail::local_frames.allocated);
  return frame;
}

KADORO_DECL void frame_pool::release(void* frame, std::size_t bytes) noexcept {
  ++detail::local_frames.released;
  block_pool::release(frame, detail::frame_bytes(bytes));
}

KADORO_DECL frame_pool::counters frame_pool::statistics() noexcept { return detail::local_frames; }

}  // namespace kadoro::inline KADORO_ABI::coro
