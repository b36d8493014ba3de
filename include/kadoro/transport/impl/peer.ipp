#pragma once

#include <algorithm>
#include <memory>

#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::transport {

KADORO_DECL void peer::add_address(multiaddr const& where, bool confirmed) {
  auto const known =
      std::find_if(addresses_.begin(), addresses_.end(), [&where](address const& a) { return a.where == where; });
  if (known != addresses_.end()) {
    if (!confirmed) return;
    known->confirmed = true;
    known->silent = false;
    std::rotate(addresses_.begin(), known, known + 1);
    return;
  }
  if (addresses_.size() == max_addresses) {
    if (!confirmed) return;
    addresses_.pop_back();
  }
  auto const endpoint = where.udp_endpoint();
  auto const range = endpoint ? counted_range(*endpoint) : std::nullopt;
  addresses_.insert(confirmed ? addresses_.begin() : addresses_.end(), address{where, confirmed, false, range});
}

KADORO_DECL bool peer::has_untried_address() const noexcept {
  return std::any_of(addresses_.begin(), addresses_.end(), [](address const& a) { return !a.confirmed && !a.silent; });
}

KADORO_DECL void peer::set_silent(io::endpoint const& where) {
  auto const at = std::find_if(addresses_.begin(), addresses_.end(),
                               [&where](address const& a) { return a.where.udp_endpoint() == where; });
  if (at == addresses_.end()) return;
  at->silent = true;
  std::rotate(at, at + 1, addresses_.end());
}

KADORO_DECL void peer::forget_address(io::endpoint const& where) {
  std::erase_if(addresses_, [&where](address const& a) { return a.where.udp_endpoint() == where; });
}

KADORO_DECL void peer_ref::forget() noexcept {
  if (peer_->book_ != nullptr) peer_->book_->peers_.erase(peer_);
  delete peer_;
}

KADORO_DECL peer_book::~peer_book() {
  for (peer* const known : peers_) known->book_ = nullptr;  // those still referred to outlive the book
}

KADORO_DECL peer_ref peer_book::intern(peer_id const& id) {
  auto const at = peers_.find(id);
  if (at != peers_.end()) return peer_ref(*at);
  std::unique_ptr<peer> made(new peer(id));
  peers_.insert(made.get());
  made->book_ = this;
  return peer_ref(made.release());
}

KADORO_DECL peer_ref peer_book::find(peer_id const& id) const {
  auto const at = peers_.find(id);
  return at == peers_.end() ? peer_ref() : peer_ref(*at);
}

}  // namespace kadoro::inline KADORO_ABI::transport
