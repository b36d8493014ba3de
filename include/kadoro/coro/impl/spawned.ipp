#pragma once

#include "kadoro/coro/spawned.hpp"

namespace kadoro::inline KADORO_ABI::coro {

namespace detail {

inline root await_root(root_setup const&, task<void> work) { co_await std::move(work); }

}  // namespace detail

KADORO_DECL spawned& spawned::create(task<void> work, coro::environment const& env, done_function done, void* owner) {
  detail::root_setup const setup{env, done, owner};
  return detail::await_root(setup, std::move(work)).promise;
}

KADORO_DECL void spawned_list::destroy_all() noexcept {
  while (roots_.linked()) {
    detail::owned_link& newest = static_cast<detail::owned_link&>(*roots_.previous());
    newest.unlink();
    static_cast<spawned&>(newest).destroy();
  }
}

}  // namespace kadoro::inline KADORO_ABI::coro
