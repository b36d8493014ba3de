#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "kadoro/kad/key.hpp"
#include "kadoro/kad/routing_table.hpp"
#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using transport::peer_id;

/// All servers of a small swarm, beside the routing table, and whether everybody knows the same ones.
///
/// A node's view is a digest over the ids of the servers that it knows and of its own. Members tell each other their
/// views when these change. A node whose view everybody else has told too knows the swarm completely: there is no
/// server that one of its members knows and it does not. Where views differ, members ask each other whom they know. Two
/// that cannot reach each other have views of their own, and so nobody's is complete. Beyond four k, or where
/// there are more of one address range than a table takes, a node has no view at all; then lookups find the way.
///
/// Bookkeeping only: `node_core` does the telling.
class membership {
 public:
  static constexpr std::size_t max_members_per_k = 4;

  /// `self` counts in the view of a server; a client has none, and is never complete.
  KADORO_DECL membership(peer_id const& self, bool server, table_options const& limits = {});

  /// A server that has answered. False if it is known.
  KADORO_DECL bool add(peer_ref const& who);
  /// It was lost, has left, or is no server any more. False if it was not known.
  KADORO_DECL bool remove(peer_id const& who);

  /// The digest of what this node knows; 0: it has no view.
  KADORO_DECL std::uint64_t view() const noexcept;
  /// `who` has told its view. True if that is another one than before, and not ours.
  KADORO_DECL bool heard(peer_id const& who, std::uint64_t view);
  /// `who` was told our view, or is being told.
  KADORO_DECL void told(peer_id const& who, std::uint64_t view);
  /// Members that were not told our view.
  KADORO_DECL peer_list untold() const;
  /// All members.
  KADORO_DECL peer_list all() const;
  /// The next `n` members, each in its turn.
  KADORO_DECL peer_list take_turn(std::size_t n);
  /// The next member, in its turn, whose view is not ours; null if there is none.
  KADORO_DECL peer_ref take_differing();

  /// Everybody has told the view that this node has.
  KADORO_DECL bool complete() const noexcept;

  /// The `n` members closest to `where`, of one address range the first few, unless nobody else is left.
  KADORO_DECL peer_list closest(key const& where, std::size_t n) const;

  std::size_t size() const noexcept { return members_.size(); }
  std::size_t max_size() const noexcept { return max_members_per_k * limits_.k; }
  /// Servers that found no room, because there are too many or too many of their address range.
  std::uint64_t turned_away() const noexcept { return turned_away_; }

 private:
  struct member {
    std::optional<std::uint64_t> range;
    std::uint64_t heard = 0;  ///< its view; 0: not told yet
    std::uint64_t told = 0;   ///< our view as it was told last
  };

  bool server_;
  table_options limits_;
  bool overflow_ = false;
  std::uint64_t turned_away_ = 0;
  transport::range_tally ranges_;
  std::uint64_t digest_ = 0;
  std::map<peer_ref, member, transport::by_peer_id> members_;
  peer_id turn_;      ///< whose it was last
  peer_id differed_;  ///< likewise
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/membership.ipp"
#endif
