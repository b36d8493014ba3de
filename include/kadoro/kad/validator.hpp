#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kadoro/base/result.hpp"
#include "kadoro/kad/get_result.hpp"
#include "kadoro/kad/record.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// What may stand under the keys of one namespace, and which of it counts. Both functions may be empty: then anything
/// may, and all of it does.
///
/// They run on the context's thread, on records that strangers made, a holder's while a request is being answered: they
/// must be quick, and must not call the node. One that throws has rejected. Tombstones and entries of providers say
/// nothing that could be judged, and never come here.
struct validator {
  /// Accepts a record, or rejects it: `return kad::reject("no JSON")`. Holders ask before they store, readers before
  /// they believe, this node before it puts.
  std::function<result<void>(record const&)> accept = {};

  /// The places in `candidates` of those that count, the best first. Asked when a get is decided, with the live records
  /// of all publishers; what it does not name, the reader does not see. Places that do not exist are ignored.
  std::function<std::vector<std::size_t>(std::span<found_record const> candidates)> select = {};
};

/// Validators by the beginning of a key, "/shards/" for example; the longest that fits a key is asked. The empty one
/// is for all other keys.
using validators_by_prefix = std::map<std::string, validator, std::less<>>;

/// What `validator::accept` returns to reject; the reason goes to the publisher, up to 200 bytes of it.
inline auto reject(std::string reason) { return fail(errc::refused_validator, std::move(reason)); }

/// What the validators of a node have said.
struct validator_counters {
  std::uint64_t refused = 0;   ///< records that others wanted to store here
  std::uint64_t rejected = 0;  ///< copies that answers or the own store brought
  std::uint64_t unwanted = 0;  ///< found records that `select` did not name
  std::uint64_t thrown = 0;    ///< how often one threw; counted above, too
};

namespace detail {

/// The validators of a node.
class validator_set {
 public:
  explicit validator_set(validators_by_prefix by_prefix) : by_prefix_(std::move(by_prefix)) {}

  /// Why `what` may not stand under its key; empty if it may.
  KADORO_DECL std::optional<std::string> objection_to(record const& what);

  /// Leaves of `found` what counts, in the order that the validator of `key` wants.
  KADORO_DECL void select(bytes_view key, found_records& found);

  validator_counters& counters() noexcept { return counters_; }

 private:
  KADORO_DECL validator const* find(bytes_view key) const noexcept;

  validators_by_prefix by_prefix_;
  validator_counters counters_;
};

}  // namespace detail

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/validator.ipp"
#endif
