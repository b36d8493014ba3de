#pragma once

#include <exception>

#include "kadoro/kad/validator.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

KADORO_DECL validator const* validator_set::find(bytes_view key) const noexcept {
  validator const* longest = nullptr;  // prefixes of one key are in the order of their length
  for (auto const& [prefix, one] : by_prefix_)
    if (as_text(key).starts_with(prefix)) longest = &one;
  return longest;
}

KADORO_DECL std::optional<std::string> validator_set::objection_to(record const& what) {
  if (what.tombstone() || what.provides()) return std::nullopt;
  validator const* const asked = find(what.key);
  if (asked == nullptr || !asked->accept) return std::nullopt;
  try {
    auto const said = asked->accept(what);
    if (said) return std::nullopt;
    return said.error().message();
  } catch (std::exception const& e) {
    ++counters_.thrown;
    return std::string("its validator failed: ") + e.what();
  } catch (...) {
    ++counters_.thrown;
    return "its validator failed";
  }
}

KADORO_DECL void validator_set::select(bytes_view key, found_records& found) {
  validator const* const asked = found.empty() ? nullptr : find(key);
  if (asked == nullptr || !asked->select) return;
  std::vector<std::size_t> named;
  try {
    named = asked->select(found);
  } catch (...) {
    ++counters_.thrown;
  }
  std::vector<bool> taken(found.size());
  found_records selected;
  for (std::size_t const place : named) {
    if (place >= found.size() || taken[place]) continue;
    taken[place] = true;
    selected.push_back(std::move(found[place]));
  }
  counters_.unwanted += found.size() - selected.size();
  found = std::move(selected);
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
