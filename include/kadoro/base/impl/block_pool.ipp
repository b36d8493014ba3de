#pragma once

#include <algorithm>
#include <array>
#include <new>

#include "kadoro/base/block_pool.hpp"

namespace kadoro::inline KADORO_ABI {

namespace detail {

struct kept_block {
  kept_block* next;
};

struct block_class {
  kept_block* first;
  std::size_t count;
  std::size_t unused;  // of these, since the last `trim_idle`
};

inline constexpr std::size_t block_classes = block_pool::max_pooled_bytes / block_pool::class_bytes;

/// Trivially destructible on purpose: blocks may still come back while the thread's other objects are being destroyed.
struct block_lists {
  std::array<block_class, block_classes> classes;
  block_pool::counters counted;
  time_point trimmed_at;
  bool closed;
};

inline constinit thread_local block_lists local_blocks{};

/// Frees what is kept when the thread ends; from then on the pool keeps nothing.
class block_lists_guard {
 public:
  block_lists_guard() noexcept {}
  block_lists_guard(block_lists_guard const&) = delete;
  block_lists_guard& operator=(block_lists_guard const&) = delete;
  ~block_lists_guard() {
    local_blocks.closed = true;
    block_pool::trim();
  }
};

inline void guard_local_blocks() noexcept { thread_local block_lists_guard const guard; }

/// Rounded up to the class also where the pool is off: see the note on mixed programs in the header.
inline std::size_t block_class_of(std::size_t bytes) noexcept {
  return (std::max(bytes, std::size_t{1}) + block_pool::class_bytes - 1) / block_pool::class_bytes;
}

/// Frees `count` of what is kept, which has as many.
inline void give_back(block_class& blocks, std::size_t count) noexcept {
  blocks.count -= count;
  blocks.unused = blocks.count;
  for (; count > 0; --count) {
    kept_block* const block = blocks.first;
    blocks.first = block->next;
    ::operator delete(block);
  }
}

}  // namespace detail

KADORO_DECL void* block_pool::allocate(std::size_t bytes) {
  detail::block_lists& local = detail::local_blocks;
  std::size_t const index = detail::block_class_of(bytes);
  if (enabled && bytes <= max_pooled_bytes) {
    detail::block_class& blocks = local.classes[index - 1];
    if (blocks.first != nullptr) {
      detail::kept_block* const block = blocks.first;
      blocks.first = block->next;
      --blocks.count;
      blocks.unused = std::min(blocks.unused, blocks.count);
      ++local.counted.reused;
      return block;
    }
  }
  void* const block = ::operator new(index * class_bytes);
  ++local.counted.allocated;
  return block;
}

KADORO_DECL void block_pool::release(void* block, std::size_t bytes) noexcept {
  detail::block_lists& local = detail::local_blocks;
  ++local.counted.released;
  if (enabled && bytes <= max_pooled_bytes && !local.closed) {
    std::size_t const index = detail::block_class_of(bytes);
    detail::block_class& blocks = local.classes[index - 1];
    if (blocks.count < max_kept_bytes / (index * class_bytes)) {
      if (blocks.first == nullptr) detail::guard_local_blocks();
      blocks.first = ::new (block) detail::kept_block{blocks.first};
      ++blocks.count;
      return;
    }
  }
  ::operator delete(block);
}

KADORO_DECL block_pool::counters const& block_pool::statistics() noexcept { return detail::local_blocks.counted; }

KADORO_DECL void block_pool::trim() noexcept {
  for (detail::block_class& blocks : detail::local_blocks.classes) detail::give_back(blocks, blocks.count);
}

KADORO_DECL void block_pool::trim_idle(time_point now) noexcept {
  detail::block_lists& local = detail::local_blocks;
  if (now - local.trimmed_at < idle_period) return;
  local.trimmed_at = now;
  for (detail::block_class& blocks : local.classes) detail::give_back(blocks, blocks.unused);
}

}  // namespace kadoro::inline KADORO_ABI
