#include "counting_new.hpp"

#include <cstdlib>
#include <new>

#include "kadoro/coro/frame_pool.hpp"

// Where the frame pool is off, a sanitizer is on.
bool counts_allocations() noexcept { return kadoro::coro::frame_pool::enabled; }

namespace {

std::uint64_t count = 0;

}  // namespace

std::uint64_t allocations() noexcept { return count; }

#if KADORO_DETAIL_FRAME_POOL

void* operator new(std::size_t size_bytes) {
  ++count;
  if (void* const memory = std::malloc(size_bytes == 0 ? 1 : size_bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

#endif
