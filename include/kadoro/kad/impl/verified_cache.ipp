#pragma once

#include "kadoro/kad/verified_cache.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL crypto::digest verified_cache::name_of(record_header const& what) {
  crypto::sha256_hasher hasher;
  hasher.update(what.signed_bytes());
  hasher.update(what.signature);
  return hasher.finish();
}

KADORO_DECL std::size_t verified_cache::set_of(crypto::digest const& name) const noexcept {
  return static_cast<std::size_t>(load_be<std::uint64_t>(name.data()) % sets_);
}

KADORO_DECL bool verified_cache::find(crypto::digest const& name) {
  if (table_.empty()) return false;
  set& in = table_[set_of(name)];
  if (in.first == name) return true;
  if (in.second != name) return false;
  std::swap(in.first, in.second);
  return true;
}

KADORO_DECL void verified_cache::insert(crypto::digest const& name) {
  if (find(name)) return;
  if (table_.empty()) table_.resize(sets_);
  set& in = table_[set_of(name)];
  in.second = in.first;
  in.first = name;
}

KADORO_DECL bool verified_cache::verify(record_header const& what) {
  crypto::digest const name = name_of(what);
  if (find(name)) {
    ++hits_;
    return true;
  }
  ++misses_;
  if (!what.verify()) return false;
  insert(name);
  return true;
}

KADORO_DECL void verified_cache::remember(record_header const& what) { insert(name_of(what)); }

KADORO_DECL bool verified_cache::contains(record_header const& what) const {
  if (table_.empty()) return false;
  crypto::digest const name = name_of(what);
  set const& in = table_[set_of(name)];
  return in.first == name || in.second == name;
}

}  // namespace kadoro::inline KADORO_ABI::kad
