#pragma once

#include <algorithm>

#include "kadoro/kad/reachability.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL std::string_view to_string(reachability::kind what) noexcept {
  switch (what) {
    case reachability::kind::unknown: return "unknown";
    case reachability::kind::local: return "private";
    case reachability::kind::open: return "public";
    case reachability::kind::nat_easy: return "nat easy";
    case reachability::kind::nat_hard: return "nat hard";
  }
  return "unknown";
}

KADORO_DECL std::string to_string(reachability const& r) {
  std::string text(to_string(r.now));
  if (r.observed) text += " at " + r.observed->to_string();
  if (!r.why.empty()) text += " (" + r.why + ")";
  return text;
}

namespace detail {

inline std::string why_not_dialled(dial_back_record const& dials, io::endpoint const& at) {
  if (dials.tried == at && dials.failed > 0) return "a peer that it had not called dialled it, in vain";
  if (dials.nobody) return "nobody is known whom it has not called, and who could dial it back";
  return "nobody has dialled it back yet";
}

/// Of the words of one family.
inline reachability judge_family(std::span<transport::observation const> words, bool v6,
                                 dial_back_record const& dials) {
  reachability r;
  transport::observation const* best = nullptr;
  std::size_t sources = 0;
  bool own = true;
  for (transport::observation const& w : words) {
    if (w.seen.is_v6() != v6) continue;
    ++sources;
    own = own && w.own;
    auto const count = static_cast<std::size_t>(std::count_if(
        words.begin(), words.end(), [&w](transport::observation const& other) { return other.seen == w.seen; }));
    if (count < r.agreeing) continue;  // of two that are said as often, the later one
    r.agreeing = count;
    best = &w;
  }
  if (sources == 0) {
    r.why = "no peer has said yet where it sees this node";
    return r;
  }
  if (sources < transport::observed_addresses::enough) {
    r.why = "one peer only has said where it sees this node, at " + best->seen.to_string();
    return r;
  }
  if (r.agreeing < transport::observed_addresses::enough) {
    r.agreeing = 0;
    r.now = own ? reachability::kind::unknown : reachability::kind::nat_hard;
    r.why = std::to_string(sources) + " peers see it at as many places";
    return r;
  }
  r.observed = best->seen;
  r.dialled_back = dials.verified == r.observed;
  std::string const agree = std::to_string(r.agreeing) + " peers agree";
  if (!best->own) {
    r.now = reachability::kind::nat_easy;
    r.why = agree + ", " +
            (r.dialled_back ? "and one that it had not called got through" : why_not_dialled(dials, best->seen));
  } else if (best->seen.is_private()) {
    r.now = reachability::kind::local;
    r.why = agree + "; an address of a private network, where only that network can call it";
  } else if (r.dialled_back) {
    r.now = reachability::kind::open;
    r.why = agree + ", and one that it had not called got through";
  } else {
    r.why = agree + ", but " + why_not_dialled(dials, best->seen);
  }
  return r;
}

/// How good a verdict is: the better family counts.
inline int rank_of(reachability const& r) noexcept {
  switch (r.now) {
    case reachability::kind::open: return 5;
    case reachability::kind::nat_easy: return 4;
    case reachability::kind::nat_hard: return 3;
    case reachability::kind::local: return 2;
    case reachability::kind::unknown: break;
  }
  return r.agreeing > 0 ? 1 : 0;
}

}  // namespace detail

KADORO_DECL reachability judge_reachability(std::span<transport::observation const> words,
                                            dial_back_record const& dials) {
  reachability const v4 = detail::judge_family(words, false, dials);
  reachability const v6 = detail::judge_family(words, true, dials);
  return detail::rank_of(v6) > detail::rank_of(v4) ? v6 : v4;
}

}  // namespace kadoro::inline KADORO_ABI::kad
