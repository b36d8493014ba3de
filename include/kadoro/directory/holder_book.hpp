#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/directory/directory_event.hpp"
#include "kadoro/directory/shard_announcement.hpp"
#include "kadoro/directory/swarm_view.hpp"
#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::directory {

using transport::peer_list;
using transport::peer_ref;

/// Who holds what, as answers and contacts have shown: the bookkeeping of a directory, without any networking.
///
/// A holder has two records, a mark and an announcement, and is listed as long as one of them lives. A mark is watched:
/// it lives until word comes that it has ended. An announcement lives for what remained of its life when an answer
/// brought it, counted on this node's clock; a later answer may extend it. Both end at once when a tombstone with a
/// higher sequence is seen, and that sequence is remembered, so that an old copy does not bring them back. Knows no
/// clock: every `now` comes from the caller and never goes back.
class holder_book {
 public:
  struct limits {
    std::size_t max_holders_per_shard = 64;
    std::size_t max_withdrawn = 4096;  ///< tombstones remembered
  };
  struct counters {
    std::uint64_t refused_full = 0;     ///< holders beyond `max_holders_per_shard`
    std::uint64_t forgotten_early = 0;  ///< tombstones beyond `max_withdrawn`
  };
  enum class record_kind : std::uint8_t { mark, announcement };

  struct slot {
    std::uint64_t sequence = 0;  ///< the highest seen
    bool live = false;
    time_point expires{};
  };

  /// What is known of one peer.
  struct entry {
    peer_ref peer;
    slot mark;
    slot announcement;
    std::uint32_t shard = 0;
    bool loaded = false;
    bool verified = false;
    bool suspect = false;
    bool said_goodbye = false;
    bool checking = false;  ///< for the caller: a contact is under way
    std::optional<shard_announcement> details;
    bool details_stale = false;  ///< a newer mark was seen than these details belong to
    time_point since{};
    time_point doubted{};         ///< when the last contact failed
    time_point next_contact{};    ///< for the caller
    time_point remember_until{};  ///< withdrawn: until then no old copy counts

    bool listed() const noexcept { return mark.live || announcement.live; }
    bool found() const noexcept { return listed() && !suspect; }
    bool counts() const noexcept { return found() && verified; }
  };
  using entry_map = std::map<peer_id, entry>;

  KADORO_DECL holder_book(std::uint32_t total_shards, limits bounds, directory_observer* observer);

  /// This node holds `shard` itself; it counts without a contact.
  KADORO_DECL void set_own(std::uint32_t shard, bool loaded, time_point now);
  /// And says so with these words.
  void describe_own(shard_announcement what) { own_details_ = std::move(what); }
  KADORO_DECL void clear_own();

  // What the watch and answers said. True if it was news.
  KADORO_DECL bool on_mark(peer_ref const& who, shard_mark what, std::uint64_t sequence, time_point now);
  /// Nobody stores it any more.
  KADORO_DECL bool on_mark_ended(peer_id const& who, std::uint64_t sequence);
  KADORO_DECL bool on_announcement(peer_ref const& who, shard_announcement what, std::uint64_t sequence,
                                   duration remaining, time_point now);
  KADORO_DECL bool on_tombstone(peer_ref const& who, record_kind which, std::uint64_t sequence, duration remaining,
                                time_point now);

  // What contacts have shown. True if it was news.
  KADORO_DECL bool on_contact(entry& with);
  KADORO_DECL bool on_failure(entry& with, time_point now);
  KADORO_DECL bool on_goodbye(entry& with, time_point now);

  /// Ends what has run out by `now`. True if a holder was lost.
  KADORO_DECL bool expire(time_point now);

  /// Says `complete`, `ready` and their opposites if that changed. After every batch of the above.
  KADORO_DECL void reconsider();

  bool complete() const noexcept { return complete_; }
  bool ready() const noexcept { return ready_; }
  std::uint32_t total_shards() const noexcept { return total_shards_; }
  std::optional<std::uint32_t> own_shard() const noexcept { return own_shard_; }

  /// Listed and withdrawn ones.
  entry_map& entries() noexcept { return entries_; }
  KADORO_DECL entry* find(peer_id const& who) noexcept;
  /// Whether somebody is listed for `shard`, this node counted.
  KADORO_DECL bool known(std::uint32_t shard) const noexcept;

  KADORO_DECL std::vector<holder_view> holders(std::uint32_t shard, peer_id const& self, time_point now) const;
  counters const& counts() const noexcept { return counters_; }

 private:
  KADORO_DECL entry* admit(peer_ref const& who, std::uint32_t shard);
  KADORO_DECL static bool extend(slot& what, std::uint64_t sequence, time_point expires);
  KADORO_DECL bool list(entry& e, bool was_listed, std::uint32_t shard, bool loaded, time_point now);
  KADORO_DECL void drop(entry& e, directory_event::loss reason);
  KADORO_DECL void emit(directory_event::kind what, entry const& e,
                        directory_event::loss reason = directory_event::loss::none);
  KADORO_DECL void emit(directory_event::kind what);

  std::uint32_t total_shards_;
  limits limits_;
  directory_observer* observer_;
  entry_map entries_;
  std::size_t withdrawn_ = 0;          ///< entries that are not listed
  std::vector<std::uint32_t> listed_;  ///< holders by shard, this node not counted
  std::optional<std::uint32_t> own_shard_;
  bool own_loaded_ = false;
  std::optional<shard_announcement> own_details_;
  time_point own_since_{};
  bool complete_ = false;
  bool ready_ = false;
  counters counters_;
};

}  // namespace kadoro::inline KADORO_ABI::directory

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/directory/impl/holder_book.ipp"
#endif
