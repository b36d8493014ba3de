#pragma once

#include <cstdint>
#include <vector>

#include "kadoro/crypto/sha256.hpp"
#include "kadoro/kad/record.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// Remembers which signatures were found valid, so that a reader that meets the same record again, from another holder
/// or a second later, pays for a hash instead of a signature. Bounded; remembers successes only, so whatever pushes an
/// entry out costs time and never correctness. One per node, shared by its store and its lookups.
class verified_cache {
 public:
  /// Room for about this many; nothing is allocated before the first success.
  explicit verified_cache(std::size_t entries = 4096) noexcept : sets_(entries < 2 ? 1 : entries / 2) {}

  /// `what.verify()`, if it is not known already.
  KADORO_DECL bool verify(record_header const& what);
  bool verify(record const& what) { return verify(what.header()); }

  /// For a header that is known to be good: our own.
  KADORO_DECL void remember(record_header const& what);
  KADORO_DECL bool contains(record_header const& what) const;

  std::uint64_t hits() const noexcept { return hits_; }
  std::uint64_t misses() const noexcept { return misses_; }

 private:
  /// Two places for whatever falls into the same set; the one used last is first. All zero is an empty place.
  struct set {
    crypto::digest first{};
    crypto::digest second{};
  };

  KADORO_DECL static crypto::digest name_of(record_header const& what);
  KADORO_DECL std::size_t set_of(crypto::digest const& name) const noexcept;
  KADORO_DECL bool find(crypto::digest const& name);
  KADORO_DECL void insert(crypto::digest const& name);

  std::size_t sets_;
  std::vector<set> table_;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/verified_cache.ipp"
#endif
