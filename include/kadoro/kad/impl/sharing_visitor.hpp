#pragma once

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// A lookup of a node that shares what it publishes with whom it meets on the way.
class node_core::sharing_visitor final : public lookup::visitor {
 public:
  explicit sharing_visitor(node_core& core, bool patient = false) noexcept : core_(core), patient_(patient) {}

 private:
  bool on_answer(lookup::candidate const&, transport::message const&) override { return false; }
  void on_asked(lookup::candidate const& who) override { core_.share_with(who.peer); }
  bool content() const override { return !patient_; }

  node_core& core_;
  bool patient_;
};

}  // namespace kadoro::inline KADORO_ABI::kad::detail
