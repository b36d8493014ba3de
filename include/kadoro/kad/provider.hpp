#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/kad/get_result.hpp"
#include "kadoro/multiformats/multiaddr.hpp"
#include "kadoro/multiformats/multihash.hpp"
#include "kadoro/multiformats/peer_id.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using multiformats::multiaddr;
using multiformats::multihash;
using multiformats::peer_id;

/// Somebody who has a content. Its entry is a record under the multihash, with `record::flag_provider`, whose value
/// says where it can be reached; whoever speaks libp2p's schema only has an unsigned one.
struct provider {
  peer_id peer;
  std::vector<multiaddr> addresses;  ///< where it says that it can be reached, without its /p2p; may be empty
  duration remaining{};              ///< of its entry's life, by the most generous holder
  std::size_t holders = 0;           ///< how many of those asked know of it, this node included
  bool is_signed = false;            ///< it said so itself; else that is somebody's word
};

/// The answer to `node::get_providers`.
class providers_result {
 public:
  explicit providers_result(get_result entries);

  get_outcome outcome() const noexcept { return entries_.outcome(); }
  bool found() const noexcept { return entries_.found(); }
  /// In the order of their ids.
  std::vector<provider> const& providers() const noexcept { return providers_; }
  /// Who said that it does not provide the content any more.
  found_records const& withdrawn() const noexcept { return entries_.withdrawn(); }
  std::size_t answered() const noexcept { return entries_.answered(); }
  bool unconfirmed() const noexcept { return entries_.unconfirmed(); }
  trace steps() const { return entries_.steps(); }
  /// One sentence that tells the true cause.
  std::string explain() const { return entries_.explain(); }

  /// A copy of its own, as of now, that nothing changes any more: it may go to another thread.
  providers_result snapshot() const { return providers_result(entries_.snapshot()); }

 private:
  get_result entries_;
  std::vector<provider> providers_;
};

namespace detail {

inline constexpr std::size_t max_provider_addresses = 8;
inline constexpr std::size_t max_provider_bytes = 512;

/// Addresses as the value of a provider's entry: each with its length before it, as a varint; those that fit.
KADORO_DECL kadoro::bytes encode_addresses(std::vector<multiaddr> const& addresses);
/// Views of each; ends where something makes no sense.
KADORO_DECL std::vector<bytes_view> address_views(bytes_view value);
KADORO_DECL std::vector<multiaddr> decode_addresses(bytes_view value);

}  // namespace detail

inline providers_result::providers_result(get_result entries) : entries_(std::move(entries)) {
  for (found_record const& r : entries_.records())
    providers_.push_back(
        {r.value.publisher, detail::decode_addresses(r.value.value), r.remaining, r.holders, r.value.is_signed()});
}

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/provider.ipp"
#endif
