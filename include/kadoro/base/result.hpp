#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "kadoro/base/error.hpp"

/// @file
/// `result<T>`: a value, or the error that says why there is none. One type in every language mode.

namespace kadoro::inline KADORO_ABI {

template <class T = void>
using result = tl::expected<T, error>;

/// `return fail(errc::closed);` in a function that returns any `result<T>`.
inline tl::unexpected<error> fail(errc code, std::string detail = {}) {
  return tl::unexpected<error>(error(code, std::move(detail)));
}

inline tl::unexpected<error> fail(error e) { return tl::unexpected<error>(std::move(e)); }

}  // namespace kadoro::inline KADORO_ABI
