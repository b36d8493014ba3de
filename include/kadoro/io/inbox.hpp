#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// The thread-safe way into a context: what any thread posts here runs on the context's thread, in the order of
/// posting. Everything else of a context belongs to that thread alone. Shared, so that a thread may hold on to it
/// longer than the context lives: then it takes nothing any more.
class inbox {
 public:
  static constexpr std::size_t max_waiting = 65536;

  /// One call. Destroyed without `run` if the context ends first, on the thread that ends it.
  class work {
   public:
    virtual ~work() = default;
    /// An exception is a programming error: it comes out of the loop.
    virtual void run() = 0;
  };

  /// `wake` makes sure that `run` will be called on the context's thread, and says whether it could; it may be called
  /// on any thread, but not after `close`, and never twice at a time.
  explicit inbox(std::function<bool()> wake) : wake_(std::move(wake)) {}
  inbox(inbox const&) = delete;
  inbox& operator=(inbox const&) = delete;

  /// Takes `what`, never runs it inline. Any thread. Errors: `closed` (the context has ended), `queue_full`; `what`
  /// stays the caller's then.
  KADORO_DECL result<void> post(std::unique_ptr<work>& what);

  /// The same for a function object, which is dropped where it is not taken.
  template <class Function>
  result<void> post(Function call) {
    std::unique_ptr<work> what = std::make_unique<function_work<Function>>(std::move(call));
    return post(what);
  }

  // For contexts, on their own thread.

  /// Whether something waits. Any thread.
  bool waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  /// Runs what has come in up to now.
  KADORO_DECL void run();
  /// Destroys what waits, and takes nothing any more.
  KADORO_DECL void close();

 private:
  template <class Function>
  class function_work final : public work {
   public:
    explicit function_work(Function call) : call_(std::move(call)) {}
    void run() override { call_(); }

   private:
    Function call_;
  };

  std::mutex mutex_;
  std::function<bool()> wake_;
  std::vector<std::unique_ptr<work>> queue_;
  std::atomic<bool> waiting_ = false;
  bool woken_ = false;  // `run` is on its way
  bool closed_ = false;
};

}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/impl/inbox.ipp"
#endif
