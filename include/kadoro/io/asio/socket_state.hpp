#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "kadoro/coro/scheduler.hpp"

// Asio last: see context.hpp.
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

namespace kadoro::inline KADORO_ABI::io::asio {

class context;

namespace detail {

/// Memory for one operation inside asio at a time, so that waiting for a socket never allocates, however many there
/// are. What does not fit, in an asio with larger operations, comes from the heap.
class operation_memory {
 public:
  operation_memory() noexcept = default;
  operation_memory(operation_memory const&) = delete;
  operation_memory& operator=(operation_memory const&) = delete;

  void* take(std::size_t size_bytes) {
    if (used_ || size_bytes > sizeof block_) return ::operator new(size_bytes);
    used_ = true;
    return block_;
  }
  void give_back(void* memory) noexcept {
    if (memory != block_) return ::operator delete(memory);
    used_ = false;
  }

 private:
  alignas(std::max_align_t) std::byte block_[256];
  bool used_ = false;
};

/// How a handler names that memory (the allocator of the standard's requirements).
template <class T>
class operation_allocator {
 public:
  using value_type = T;
  explicit operation_allocator(operation_memory& from) noexcept : from_(&from) {}
  template <class U>
  operation_allocator(operation_allocator<U> const& other) noexcept : from_(other.from_) {}

  T* allocate(std::size_t count) { return static_cast<T*>(from_->take(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t) noexcept { from_->give_back(memory); }

  friend bool operator==(operation_allocator const& a, operation_allocator const& b) noexcept {
    return a.from_ == b.from_;
  }

 private:
  template <class U>
  friend class operation_allocator;
  operation_memory* from_;
};

/// A socket on an asio loop, of which asio says when it can be read or written. The handlers inside asio share it with
/// the object that the program holds, so that either may go first.
class socket_state : public coro::list_node, public std::enable_shared_from_this<socket_state> {
 public:
  KADORO_DECL socket_state(context& owner, int descriptor);
  virtual ~socket_state() = default;

  /// Lets go of the socket. No callback afterwards.
  KADORO_DECL void close() noexcept;

 protected:
  int handle() { return descriptor_->native_handle(); }
  bool is_open() const noexcept { return owner_ != nullptr; }
  context& owner() const noexcept { return *owner_; }

  /// One call of `on_ready_to_...` will follow, in a turn. No effect if one will anyway.
  KADORO_DECL void wait_readable();
  KADORO_DECL void wait_writable();

 private:
  using watched_descriptor = ::asio::posix::basic_stream_descriptor<::asio::io_context::executor_type>;

  /// A direction in which asio may be watching the socket.
  struct direction {
    operation_memory memory;
    bool watched = false;
  };
  /// What asio calls.
  class handler {
   public:
    using allocator_type = operation_allocator<std::byte>;
    handler(std::shared_ptr<socket_state> self, direction socket_state::* which) noexcept
        : self_(std::move(self)), which_(which) {}
    allocator_type get_allocator() const noexcept { return allocator_type((self_.get()->*which_).memory); }
    KADORO_DECL void operator()(std::error_code const& failed);

   private:
    std::shared_ptr<socket_state> self_;
    direction socket_state::* which_;
  };

  virtual void on_ready_to_read() = 0;
  virtual void on_ready_to_write() = 0;
  KADORO_DECL void wait(watched_descriptor::wait_type what, direction socket_state::* which);

  context* owner_;                                // null once closed
  std::optional<watched_descriptor> descriptor_;  // gone once closed: it must not outlive the loop
  direction read_;
  direction write_;
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::asio

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/asio/tcp_state.hpp"  // the context needs both; its end has the bodies
#endif
