#pragma once

#include "kadoro/base/version.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// Gives a variable its default value back at the end of a block, however that ends.
template <class T>
class reset_on_exit {
 public:
  explicit reset_on_exit(T& variable) noexcept : variable_(variable) {}
  reset_on_exit(reset_on_exit const&) = delete;
  reset_on_exit& operator=(reset_on_exit const&) = delete;
  ~reset_on_exit() { variable_ = T(); }

 private:
  T& variable_;
};

}  // namespace kadoro::inline KADORO_ABI::io
