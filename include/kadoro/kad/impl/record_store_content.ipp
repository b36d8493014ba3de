#pragma once

#include <algorithm>
#include <utility>

#include "kadoro/kad/content.hpp"
#include "kadoro/kad/record_store.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL record_store::put_result record_store::put_content(record what, origin from, peer_id const& sender,
                                                               std::optional<std::uint64_t> range, duration remaining,
                                                               time_point now) {
  expire(now);
  if (what.value.size() > limits_.max_value_bytes || what.key.size() > record::max_key_bytes)
    return refuse(errc::refused_too_large);
  duration const life = std::min(remaining, what.lifetime_max);
  bool const clean = what.is_content() && what.flags == record::flag_content && what.publisher.empty() &&
                     what.sequence == 0 && what.within_limits();
  if (!clean || what.key.size() != crypto::digest().size() || life <= duration(0)) return refuse(errc::malformed);

  slot_view const name(what.key, peer_id());
  auto const known = find_slot(name);
  if (known != nullptr) {  // what is held was looked at: no need to hash it again
    if (known->valid->what.value != what.value) return refuse(errc::refused_hash);
    if (from == origin::handed_on) {
      ++counters_.unchanged;
      return {};
    }
    extend(*known, life, from == origin::own, true, now);
    return {};
  }

  bool const own = from == origin::own;
  std::uint64_t* const full = own ? nullptr : no_room(sender, range, {1, what.key.size() + what.value.size(), 1});
  if (full != nullptr) {
    ++*full;
    return {errc::refused_full, std::nullopt, false};
  }
  crypto::digest named{};
  std::copy(what.key.begin(), what.key.end(), named.begin());
  if (!own && content_key(what.value) != named) return refuse(errc::refused_hash);
  slot& in = open_slot(nullptr, name, peer_id(), range);
  in.own = own;
  in.brought_by = sender;
  in.valid = std::make_unique<copy>(copy{std::move(what), named, now + life});
  end_change(in);
  ++counters_.stored;
  return {std::nullopt, std::nullopt, true};
}

KADORO_DECL std::optional<errc> record_store::renew_content(bytes_view key, duration life, time_point now) {
  expire(now);
  slot* const at = find_slot({key, peer_id()});
  if (at == nullptr) return refuse(errc::refused_unknown).refused;
  if (life < record::min_lifetime || life > record::max_lifetime) return refuse(errc::malformed).refused;
  extend(*at, life, false, false, now);
  return std::nullopt;
}

KADORO_DECL void record_store::extend(slot& in, duration life, bool own, bool put, time_point now) {
  copy& here = *in.valid;
  bool const longer = life > here.what.lifetime_max;  // whoever hands it on may say so much
  begin_change(in);
  in.own = in.own || own;
  here.expires = std::max(here.expires, now + life);
  here.what.lifetime_max = std::max(here.what.lifetime_max, life);
  end_change(in, !longer && !put);
  ++counters_.renewed;
}

}  // namespace kadoro::inline KADORO_ABI::kad
