#pragma once

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// A lookup of a node that shares what it publishes with whom it meets on the way; if it looks for the replicas of
/// `key`, that one with those who may be among them.
class node_core::sharing_visitor final : public lookup::visitor {
 public:
  explicit sharing_visitor(node_core& core, bytes_view key = {}) noexcept : core_(core), key_(key) {}

 private:
  bool on_answer(lookup::candidate const&, transport::message const&) override { return false; }
  void on_asked(lookup::candidate const& who) override {
    core_.share_with(who.peer);
    if (!key_.empty()) core_.share_on_the_way(key_, who.peer);
  }

  node_core& core_;
  bytes_view key_;
};

}  // namespace kadoro::inline KADORO_ABI::kad::detail
