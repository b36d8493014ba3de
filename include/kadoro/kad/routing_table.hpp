#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/kad/key.hpp"
#include "kadoro/transport/address_range.hpp"
#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using transport::peer_list;
using transport::peer_ref;

/// A server that this node knows to have answered.
struct contact {
  peer_ref peer;
  key id;
  time_point last_seen{};
  bool suspect = false;                ///< the last request to it failed
  std::optional<std::uint64_t> range;  ///< the address range that it counts against, from when it came in
};

struct table_options {
  std::size_t k = 20;  ///< contacts in a bucket, and in its replacement cache
  /// Of one address range in a bucket, and of those that a lookup or a view takes for the closest; private ranges are
  /// not limited.
  std::size_t max_per_range_in_bucket = 2;
  std::size_t max_per_range_in_table = 10;  ///< likewise, in all buckets, among the candidates of a lookup, in a view
};

enum class insert_result : std::uint8_t {
  added,      ///< a contact now
  refreshed,  ///< it was one already
  pending,    ///< the bucket is full: it waits in the replacement cache; see `eviction_candidate`
  rejected    ///< this node itself, a client, or one too many of its address range
};

struct bucket_status {
  int index = 0;  ///< how many leading bits its contacts share with this node
  std::size_t contacts = 0;
  std::size_t suspects = 0;
  std::size_t replacements = 0;
  std::optional<time_point> last_lookup;
};

struct table_counters {
  std::uint64_t rejected_range = 0;        ///< one too many of an address range
  std::uint64_t rejected_other = 0;        ///< self or a client
  std::uint64_t replacements_dropped = 0;  ///< pushed out of a full replacement cache by a newer one
  std::uint64_t removed = 0;               ///< contacts that failed, became clients, or were removed
  std::uint64_t promoted = 0;              ///< replacements that became contacts
};

/// The k-buckets of Kademlia (Maymounkov and Mazieres, 2002): one bucket per length of the prefix shared with this
/// node, each at most k contacts, the least recently seen first, with a replacement cache beside it. Old contacts that
/// answer are never displaced by new ones. Only servers that answered belong in here: that is the caller's to see to.
class routing_table {
 public:
  KADORO_DECL explicit routing_table(peer_id const& self, table_options options = {});

  key const& self() const noexcept { return self_; }
  table_options const& options() const noexcept { return options_; }

  /// `who` was heard from. Where its bucket is full but has a suspect, it takes the suspect's place.
  KADORO_DECL insert_result insert(peer_ref const& who, time_point now);

  /// Whom to ping before `who` can come in: the least recently seen contact of its bucket, if that bucket is full.
  KADORO_DECL std::optional<peer_ref> eviction_candidate(peer_ref const& who) const;

  /// A request to `who` went unanswered. The first failure makes it a suspect; it is removed at the second, or at once
  /// when a replacement waits, of which the one with the shortest round trip comes in, of several the newest; one that
  /// failed last time comes last. True if it is no contact any more.
  KADORO_DECL bool on_failed(peer_ref const& who);

  /// `who` answered: clears the suspicion. Changes nothing for somebody who is not in the table.
  KADORO_DECL void on_alive(peer_ref const& who, time_point now);

  /// Forgets `who`, as contact and as replacement; the best replacement takes its place, as above.
  KADORO_DECL void remove(peer_ref const& who);

  /// The `n` contacts closest to `target`, suspects included, in exact order of XOR distance. Valid until the next
  /// call, or until the table changes.
  KADORO_DECL std::span<contact const* const> nearest(key const& target, std::size_t n) const;
  /// Copies of these. Clears `out` first.
  KADORO_DECL void closest(key const& target, std::size_t n, std::vector<contact>& out) const;

  KADORO_DECL bool contains(peer_ref const& who) const;
  std::size_t size() const noexcept { return size_; }

  /// The bucket of `id`; 256 for this node itself.
  int bucket_of(key const& id) const noexcept { return self_.common_prefix(id); }

  /// A lookup went through this bucket.
  KADORO_DECL void touch(int index, time_point now);

  /// The buckets, up to the deepest with a contact, that no lookup went through for `interval` or ever.
  KADORO_DECL std::vector<int> buckets_to_refresh(time_point now, duration interval) const;

  /// Calls `fn(contact const&)` for every contact, by bucket, the least recently seen first. `fn` must not change the
  /// table.
  template <class Function>
  void for_each(Function&& fn) const {
    for (auto const& [index, where] : buckets_)
      for (contact const& c : where.contacts) fn(c);
  }

  /// The buckets that hold something, in order.
  KADORO_DECL std::vector<bucket_status> status() const;
  table_counters const& counters() const noexcept { return counters_; }

 private:
  struct bucket {
    std::vector<contact> contacts;      ///< least recently seen first
    std::vector<contact> replacements;  ///< likewise
    std::optional<time_point> last_lookup;
  };
  struct placed {
    std::uint64_t distance;  ///< its leading bits
    contact const* who;
    std::int32_t next;  ///< the next one that is in the same of the slots of `sort`; negative: none
  };
  static constexpr int slots = 64;
  using contacts_iterator = std::vector<contact>::iterator;

  KADORO_DECL static contacts_iterator find(std::vector<contact>& in, peer_ref const& who);
  KADORO_DECL static void refresh(std::vector<contact>& in, contacts_iterator at, time_point now);
  KADORO_DECL void sort(key const& target, int index, bucket const& from, std::size_t n) const;
  KADORO_DECL bool range_allows(bucket const& in, std::optional<std::uint64_t> range, contact const* leaving) const;
  KADORO_DECL void add(bucket& to, contact what);
  KADORO_DECL void erase(bucket& from, contacts_iterator at);
  KADORO_DECL void promote(bucket& in);

  table_options options_;
  key self_;
  std::map<int, bucket> buckets_;
  std::map<std::uint64_t, std::size_t> per_range_;
  std::size_t size_ = 0;
  table_counters counters_;
  mutable std::vector<placed> order_;          ///< room for `sort`
  mutable std::vector<contact const*> found_;  ///< room for `nearest`
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/routing_table.ipp"
#endif
