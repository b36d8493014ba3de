#pragma once

#include <cassert>
#include <concepts>
#include <exception>
#include <utility>
#include <variant>

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
    state_.template emplace<1>(std::forward<U>(value));
  }
  void set_exception(std::exception_ptr error) noexcept { state_.template emplace<2>(std::move(error)); }

  bool is_set() const noexcept { return state_.index() != 0; }
  bool failed() const noexcept { return state_.index() == 2; }
  std::exception_ptr exception() const noexcept { return failed() ? *std::get_if<2>(&state_) : nullptr; }

  /// Moves the value out, or throws the exception. Only once, and only when set.
  T take() {
    assert(is_set());
    if (state_.index() == 2) std::rethrow_exception(std::move(*std::get_if<2>(&state_)));
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<std::monostate, T, std::exception_ptr> state_;
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
