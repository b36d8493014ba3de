#pragma once

#include <algorithm>

#include "kadoro/kad/get_result.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL std::string_view to_string(get_outcome outcome) noexcept {
  switch (outcome) {
    case get_outcome::found: return "found";
    case get_outcome::not_found: return "not found";
    case get_outcome::nobody_to_ask: return "nobody to ask";
    case get_outcome::refused: return "refused";
    case get_outcome::timed_out: return "timed out";
    case get_outcome::only_invalid: return "only invalid copies";
  }
  return "unknown outcome";
}

KADORO_DECL get_result get_result::snapshot() const {
  facts const& now = *state_;
  auto copy = std::allocate_shared<state>(pooled_allocator<state>(), now);
  copy->decided.set();
  copy->settled.set();
  return get_result(std::move(copy));
}

KADORO_DECL trace get_result::steps() const {
  trace now = state_->steps;
  if (now.elapsed()) now.explain(found() && now.size() == 0 ? "held by this node" : explain());
  return now;
}

KADORO_DECL std::string get_result::explain() const {
  auto const peers = [](std::size_t n) { return std::to_string(n) + (n == 1 ? " peer" : " peers"); };
  switch (outcome()) {
    case get_outcome::found: {
      std::size_t holders = 0;
      for (found_record const& r : state_->records) holders = std::max(holders, r.holders);
      std::string text = "found: ";
      if (!state_->content)
        text += std::to_string(state_->records.size()) + (state_->providers ? " provider" : " publisher") +
                (state_->records.size() == 1 ? ", " : "s, ");
      text += std::to_string(holders) + (holders == 1 ? " holder; " : " holders; ") + peers(answered()) + " answered";
      if (state_->content) return text;
      auto const is_signed = [](found_record const& r) { return r.value.is_signed(); };
      if (std::none_of(records().begin(), records().end(), is_signed)) text += ", none of it signed";
      return unconfirmed() ? text + " (unconfirmed: a newer sequence may exist)" : text;
    }
    case get_outcome::not_found:
      if (state_->providers && state_->withdrawn.empty())
        return "nobody provides it: " + peers(answered()) + " asked, none knows a provider" +
               (unconfirmed() ? " (unconfirmed: too few of the closest answered)" : "");
      if (state_->content)
        return "nobody holds it: " + peers(answered()) + " asked" +
               (unconfirmed() ? " (unconfirmed: too few of the closest answered)" : "");
      if (!state_->withdrawn.empty()) return "withdrawn by its publisher; " + peers(answered()) + " asked";
      return "not announced yet: " + peers(answered()) + " asked, none holds it" +
             (unconfirmed() ? " (unconfirmed: too few of the closest answered)" : "");
    case get_outcome::nobody_to_ask:
      return "nobody to ask: this node knows no peer; give it a bootstrap address, or wait until one can be reached";
    case get_outcome::refused: return "refused: " + state_->cause;
    case get_outcome::timed_out: return "nobody reachable: " + state_->cause;
    case get_outcome::only_invalid:
      if (state_->rejected > 0)
        return "only copies that are not valid: " + std::to_string(state_->invalid) + " seen at " + peers(answered()) +
               "; the validator of that key rejects: " + state_->rejection;
      return std::string("only copies that have expired or ") +
             (state_->content ? "that are not what the key names: " : "whose signature is wrong: ") +
             std::to_string(state_->invalid) + " seen at " + peers(answered());
  }
  return {};
}

}  // namespace kadoro::inline KADORO_ABI::kad
