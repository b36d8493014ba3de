#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kadoro/kad/key.hpp"
#include "kadoro/kad/watch.hpp"
#include "kadoro/transport/datagram/rate_limiter.hpp"
#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

using transport::peer_list;
using transport::peer_ref;

/// What is known of a key that this node watches: what its holders say, merged by the highest sequence of each
/// publisher, and who reads that. Without networking; `node_watch.ipp` talks to the holders.
///
/// A record lives as long as one holder vouches for it, though its life may have been extended since: a holder that
/// stops says so. What nobody vouches for any more, because its holders were lost, ends when its life as it was told
/// does, but not within `grace` where no other holder has told what it has yet.
class watched_key {
 public:
  static constexpr duration grace = std::chrono::seconds(10);
  static constexpr std::size_t max_publishers = 65536;
  static constexpr std::size_t max_bytes = std::size_t{64} << 20;  ///< of values: as a store holds of one range
  static constexpr std::size_t max_bytes_of_one = max_bytes / 4;  ///< of those that one holder was the first to tell of
  static constexpr std::size_t max_near = 64;

  /// A peer that is asked to tell. The node itself is one too, while it is a server.
  ///
  ///     (asked) --answered--> telling --no answer, or not one of the closest any more--> (forgotten)
  ///        \--does not speak it--> polled
  ///         \--refused--> refused, for a while
  struct holder {
    enum class state : std::uint8_t { asked, telling, polled, refused };
    peer_ref peer;
    state now = state::asked;
    bool busy = false;        ///< a job is talking to it
    bool again = false;       ///< ask once more, soon: changes are missing, or its word is doubted
    std::uint64_t known = 0;  ///< the number of the last change that it told
    bool complete = false;    ///< it has told all that it has
    bool retelling = false;   ///< it tells all anew, and has not come to the end of it
    std::uint64_t round = 0;  ///< of full tellings: what it vouched for in an earlier one only, it has no longer
    time_point next{};        ///< when to talk to it again
    duration interval{};      ///< polled: grows while nothing changes
    std::string why;          ///< refused: the cause
    /// How often `again` is heeded: one that always leaves something out is not asked for it without end.
    transport::datagram::token_bucket hurry{2, 16};
  };

  explicit watched_key(kadoro::bytes of) : key(std::move(of)), where(kad::key::of(key)) {}

  // What holders say; `by` is a holder, or this node.
  KADORO_DECL void on_record(peer_id const& by, std::uint64_t round, record what, duration remaining, time_point now);
  KADORO_DECL void on_ended(peer_id const& by, peer_id const& publisher, time_point now);
  /// It has told everything again in `round`.
  KADORO_DECL void on_told_all(peer_id const& by, std::uint64_t round, time_point now);
  /// It vouches for nothing any more.
  KADORO_DECL void on_holder_lost(peer_id const& by, time_point now);
  /// Ends what nobody vouches for. True if a publisher was forgotten of whom a lower sequence had been told meanwhile:
  /// of one that has lost its sequence that is all there is, and it counts from now on. The holders will be asked for
  /// all.
  KADORO_DECL bool expire(time_point now);

  /// Counts what readers were told of.
  std::uint64_t changes() const noexcept { return changes_; }

  /// False if it is news for which there is no room, which is counted: then it need not be verified.
  KADORO_DECL bool has_room_for(peer_id const& by, record const& what);
  /// The same record as is known already, so that it need not be verified again.
  KADORO_DECL bool knows(record const& what) const;

  KADORO_DECL void add_reader(std::shared_ptr<watch::state> const& who);
  KADORO_DECL bool drop_closed_readers();
  KADORO_DECL void close_readers();
  /// A server that may hold the key, or come to: of those that are known the closest are kept, `max_near`.
  KADORO_DECL void learn(peer_ref const& who);

  /// The next change for a reader, if there is one.
  KADORO_DECL std::optional<watch_event> take(watch::state& reader, time_point now) const;

  kadoro::bytes const key;
  kad::key const where;
  std::map<peer_id, holder> holders;
  peer_list near;  ///< other servers that holders know, the closest first
  std::string why_nobody = "nobody was asked yet";
  std::uint64_t dropped = 0;  ///< records beyond `max_publishers`, `max_bytes` and `max_bytes_of_one`

 private:
  struct entry {
    record what;                                ///< the highest sequence seen
    peer_id told_by;                            ///< who told of it first
    std::uint64_t version = 0;                  ///< counts changes of `what`
    time_point expires{};                       ///< as its holders said when they told of it
    std::map<peer_id, std::uint64_t> vouchers;  ///< with the round of their word
    bool live = false;
    time_point forget{};         ///< ended: until then its sequence is remembered
    bool outranks_some = false;  ///< a lower one was told, and turned down
  };

  /// Without signature there is no sequence, and the last word counts.
  static bool is_newer(record const& what, entry const& known) noexcept {
    return known.version == 0 || what.sequence > known.what.sequence ||
           (what.sequence == 0 && what.value != known.what.value);
  }
  KADORO_DECL void count_bytes(entry& e, bool more);
  KADORO_DECL void tell_readers(peer_id const& publisher);
  KADORO_DECL void end(std::map<peer_id, entry>::iterator at, time_point now);
  KADORO_DECL void withdraw_voucher(std::map<peer_id, entry>::iterator at, peer_id const& by, bool ended,
                                    time_point now);

  std::map<peer_id, entry> entries_;
  std::set<peer_id> unsure_;  ///< publishers that nobody vouches for, until they end, and ended ones until forgotten
  std::vector<std::weak_ptr<watch::state>> readers_;
  std::uint64_t changes_ = 0;
  std::size_t bytes_ = 0;                         // of all values
  std::map<peer_id, std::size_t> bytes_told_by_;  // nobody stays in it with nothing
};

}  // namespace kadoro::inline KADORO_ABI::kad::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/watch.ipp"
#include "kadoro/kad/impl/watched_key.ipp"
#endif
