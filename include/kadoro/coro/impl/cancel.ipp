#pragma once

#include "kadoro/coro/cancel.hpp"

namespace kadoro::inline KADORO_ABI::coro {

KADORO_DECL cancel_source::cancel_source(cancel_token parent) noexcept : cancel_hook(&cancel_source::on_parent) {
  requested_ = !parent.attach(*this);
}

KADORO_DECL void cancel_source::request() noexcept {
  if (requested_) return;
  requested_ = true;
  // One at a time from the front: a hook may make others leave the list.
  while (hooks_.linked()) {
    cancel_hook& hook = static_cast<cancel_hook&>(*hooks_.next());
    hook.unlink();
    hook.requested_(hook);
  }
}

KADORO_DECL void cancel_source::on_parent(cancel_hook& self) noexcept { static_cast<cancel_source&>(self).request(); }

}  // namespace kadoro::inline KADORO_ABI::coro
