#pragma once

#include "kadoro/coro/scheduler.hpp"

/// @file
/// Asking a running operation to stop. Single-threaded and intrusive: nothing is allocated, registering costs a few
/// pointer writes. A request asks; the operation answers by completing exactly once, in a later step of the loop.

namespace kadoro::inline KADORO_ABI::coro {

class cancel_source;

/// What an operation registers to hear of a request. Called at most once per registration, then out of the list; leaves
/// the list by itself when it is destroyed. The function must not complete anything inline: it notes "cancelled" and
/// posts to the ready queue.
class cancel_hook : public list_node {
 public:
  using function = void (*)(cancel_hook&) noexcept;
  explicit cancel_hook(function requested) noexcept : requested_(requested) {}

 private:
  friend class cancel_source;
  function requested_;
};

/// The operation's view of a source: a pointer that may be null (then nothing ever asks). The source must outlive it.
class cancel_token {
 public:
  cancel_token() noexcept = default;
  cancel_token(cancel_source* source) noexcept : source_(source) {}

  explicit operator bool() const noexcept { return source_ != nullptr; }
  inline bool requested() const noexcept;

  /// Registers `hook` (behind those already there). False if the request has already been made: then `hook` was not
  /// registered and will not be called.
  inline bool attach(cancel_hook& hook) const noexcept;

 private:
  cancel_source* source_ = nullptr;
};

/// Where a request is made. A source with a parent also hears the parent's request, so that one call reaches a whole
/// tree. Not copyable, not movable: tokens point to it.
class cancel_source : private cancel_hook {
 public:
  KADORO_DECL explicit cancel_source(cancel_token parent = {}) noexcept;

  /// Asks everything registered here, in the order of registration, and remembers it for what comes later. The second
  /// request changes nothing.
  KADORO_DECL void request() noexcept;

  bool requested() const noexcept { return requested_; }
  cancel_token token() noexcept { return this; }

 private:
  friend class cancel_token;
  KADORO_DECL static void on_parent(cancel_hook& self) noexcept;

  list_node hooks_;
  bool requested_ = false;
};

bool cancel_token::requested() const noexcept { return source_ != nullptr && source_->requested_; }

bool cancel_token::attach(cancel_hook& hook) const noexcept {
  if (source_ == nullptr) return true;
  if (source_->requested_) return false;
  hook.link_before(source_->hooks_);
  return true;
}

}  // namespace kadoro::inline KADORO_ABI::coro

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/coro/impl/cancel.ipp"
#endif
