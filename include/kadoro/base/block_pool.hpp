#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/base/version.hpp"

/// @file
/// Where small memory comes from: free lists per thread and size class. What one operation gives back serves the next
/// one, so that a warm program asks the heap for nothing.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KADORO_DETAIL_BLOCK_POOL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KADORO_DETAIL_BLOCK_POOL 0
#endif
#endif
#if !defined(KADORO_DETAIL_BLOCK_POOL)
#define KADORO_DETAIL_BLOCK_POOL 1
#endif

namespace kadoro::inline KADORO_ABI {

/// The calling thread's pool. Classes of 32 bytes up to 4 KiB; larger blocks go straight to the heap. Each class keeps
/// at most `max_kept_bytes`; what comes back beyond that is freed. A block may come back on another thread than it was
/// taken on. Nodes of a DHT call `trim_idle` now and then; other programs may.
///
/// Under AddressSanitizer, MemorySanitizer and ThreadSanitizer the pool keeps nothing, so that a use after free is
/// found. A program that mixes sanitized and plain translation units stays sound whichever version the linker picks:
/// both round the size up to its class and take the block from the global heap, so each may free or keep the other's.
class block_pool {
 public:
  static constexpr std::size_t class_bytes = 32;
  static constexpr std::size_t max_pooled_bytes = 4096;
  static constexpr std::size_t max_kept_bytes = std::size_t{64} << 10;  // per class and thread
  static constexpr duration idle_period = std::chrono::seconds(30);
  static constexpr bool enabled = KADORO_DETAIL_BLOCK_POOL != 0;

  /// Counted per thread since it started.
  struct counters {
    std::uint64_t allocated = 0;  ///< blocks that came from the heap
    std::uint64_t reused = 0;     ///< blocks that came from a free list
    std::uint64_t released = 0;   ///< blocks that came back
  };

  KADORO_DECL static void* allocate(std::size_t bytes);
  /// `bytes` as given to `allocate`.
  KADORO_DECL static void release(void* block, std::size_t bytes) noexcept;

  KADORO_DECL static counters const& statistics() noexcept;
  /// Gives everything that is kept back to the heap.
  KADORO_DECL static void trim() noexcept;
  /// Gives back what was not needed since it last did so, and does that once in `idle_period` however often it is
  /// called: what a minute under load once took does not stay for ever.
  KADORO_DECL static void trim_idle(time_point now) noexcept;
};

/// Lets containers take their memory from the pool.
template <class T>
class pooled_allocator {
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

 public:
  using value_type = T;
  using is_always_equal = std::true_type;

  pooled_allocator() noexcept = default;
  template <class Other>
  pooled_allocator(pooled_allocator<Other> const&) noexcept {}

  T* allocate(std::size_t count) { return static_cast<T*>(block_pool::allocate(count * sizeof(T))); }
  void deallocate(T* at, std::size_t count) noexcept { block_pool::release(at, count * sizeof(T)); }

  friend bool operator==(pooled_allocator const&, pooled_allocator const&) noexcept { return true; }
};

template <class T>
using pooled_vector = std::vector<T, pooled_allocator<T>>;
template <class Key, class T, class Less = std::less<Key>>
using pooled_map = std::map<Key, T, Less, pooled_allocator<std::pair<Key const, T>>>;
template <class Key, class Less = std::less<Key>>
using pooled_set = std::set<Key, Less, pooled_allocator<Key>>;

/// Base of what is made one by one with `new`.
class pooled_object {
 public:
  static void* operator new(std::size_t bytes) { return block_pool::allocate(bytes); }
  static void operator delete(void* at, std::size_t bytes) noexcept { block_pool::release(at, bytes); }
};

}  // namespace kadoro::inline KADORO_ABI

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/base/impl/block_pool.ipp"
#endif
