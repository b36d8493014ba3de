#pragma once

#include <exception>
#include <utility>

#include "kadoro/coro/outcome.hpp"
#include "kadoro/coro/spawned.hpp"
#include "kadoro/io/context.hpp"

namespace kadoro::inline KADORO_ABI::io {

template <class T>
T context::run(coro::task<T> work) {
  bool done = false;
  coro::outcome<T> out;
  coro::spawned_list roots;  // destroys the task if `run_until` throws
  coro::spawned& root = coro::spawned::create(
      std::move(work), out, coro::environment(*this),
      [](void* flag, std::exception_ptr) noexcept { *static_cast<bool*>(flag) = true; }, &done);
  roots.add(root);
  root.post();
  run_until(done);
  return out.take();
}

}  // namespace kadoro::inline KADORO_ABI::io
