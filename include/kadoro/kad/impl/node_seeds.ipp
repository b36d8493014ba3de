#pragma once

#include <algorithm>

#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// Sees to the seeds, each by itself and for ever: also while this node has other peers, since a seed may be the only
/// one who knows of another island. One that is a contact and silent is pinged within seconds, as it may have forgotten
/// everybody; one that is gone is dialled at growing intervals, and not by all nodes at once.
KADORO_DECL void node_core::dial_seeds(time_point now) {
  static constexpr duration silent = std::chrono::seconds(10);  // of a contact
  static constexpr duration shortest = std::chrono::seconds(1);
  static constexpr duration longest_of_contacts = std::chrono::seconds(8);  // likewise of a node that is nearly alone
  static constexpr duration longest = std::chrono::minutes(1);
  bool const lonely = table_.size() < 3;
  dials_.resize(seeds_.size());
  for (std::size_t i = 0; i < seeds_.size(); ++i) {
    peer_ref const& who = seeds_[i];
    seed_dial& dial = dials_[i];
    bool const near = table_.contains(who);
    bool const met = who->last_heard != time_point() && who->unanswered == 0;
    if (met && now - who->last_heard <= (near ? silent : longest)) {
      if (std::exchange(dial.away, false) && who->mode != peer_mode::client) look_from(who);
      dial = seed_dial();
      continue;
    }
    dial.away = dial.away || !met;
    if (now < dial.next) continue;
    check(who);
    dial.wait = std::clamp(2 * dial.wait, shortest, near || lonely ? longest_of_contacts : longest);
    auto const spread = static_cast<std::uint64_t>(dial.wait.count() / 2);
    dial.next = now + dial.wait - duration(static_cast<duration::rep>(context_.random().below(spread)));
  }
  static constexpr duration between_looks = std::chrono::minutes(10);
  if (now < next_look_from_seeds_) return;
  bool const due = next_look_from_seeds_ != time_point();
  next_look_from_seeds_ = now + between_looks;
  if (due && table_.size() > k() && !seeds_.empty()) jobs_.spawn(look_at_home(*this, seeds_));
}

/// Somebody is there again who may have lived among others meanwhile.
KADORO_DECL void node_core::look_from(peer_ref const& who) {
  if (table_.size() <= k())
    look_soon();  // a lookup asks everybody there
  else
    jobs_.spawn(look_at_home(*this, {who}));
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
