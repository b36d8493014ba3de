#pragma once

#include <cassert>
#include <concepts>
#include <exception>
#include <optional>
#include <utility>

#include "kadoro/base/version.hpp"

/// @file
/// How a coroutine ended: with a value or with an exception. Where a task keeps it until its awaiter asks.

namespace kadoro::inline KADORO_ABI::coro {

/// Empty until set, then a `T` or an exception. `T` may be move-only.
template <class T>
class outcome {
 public:
  template <class U>
    requires std::constructible_from<T, U>
  void set_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  void set_exception(std::exception_ptr error) noexcept { error_ = std::move(error); }

  bool is_set() const noexcept { return value_.has_value() || failed(); }
  bool failed() const noexcept { return error_ != nullptr; }
  std::exception_ptr exception() const noexcept { return error_; }

  /// Moves the value out, or throws the exception. Only once, and only when set.
  T take() {
    assert(is_set());
    if (error_) std::rethrow_exception(std::move(error_));
    return *std::move(value_);
  }

 private:
  // No variant: every task has one of these, and compilers take long over a variant.
  std::optional<T> value_;
  std::exception_ptr error_;
};

template <>
class outcome<void> {
 public:
  void set_value() noexcept { set_ = true; }
  void set_exception(std::exception_ptr error) noexcept {
    set_ = true;
    error_ = std::move(error);
  }

  bool is_set() const noexcept { return set_; }
  bool failed() const noexcept { return error_ != nullptr; }
  std::exception_ptr exception() const noexcept { return error_; }

  void take() {
    assert(is_set());
    if (error_) std::rethrow_exception(std::move(error_));
  }

 private:
  std::exception_ptr error_;
  bool set_ = false;
};

}  // namespace kadoro::inline KADORO_ABI::coro
