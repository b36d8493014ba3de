#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "kadoro/base/error.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/multiformats/peer_id.hpp"
#include "kadoro/transport/address_range.hpp"
#include "kadoro/transport/peer.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using multiformats::peer_id;
using transport::peer_list;
using transport::peer_ref;

/// How many watches a node serves.
struct watch_limits {
  std::size_t max_watches = 16384;          ///< pairs of key and watcher
  std::size_t max_watches_per_peer = 1024;  ///< of one watcher
  std::size_t max_watched_keys = 4096;      ///< with a log of changes each
  std::size_t max_ended_per_key = 1024;     ///< publishers whose record has ended, kept in the log of a key
  /// Of one address range: fewer than keys, so that no range takes all logs. Private ranges are not limited.
  std::size_t max_watches_per_range = 2048;
};

struct watcher_counters {
  std::uint64_t accepted = 0;            ///< new watches
  std::uint64_t renewed = 0;             ///< watches that went on
  std::uint64_t refused_full = 0;        ///< beyond `watch_limits`
  std::uint64_t refused_full_peer = 0;   ///< among them: the watcher has its share
  std::uint64_t refused_full_range = 0;  ///< among them: its address range has
  std::uint64_t lapsed = 0;              ///< not renewed in time
  std::uint64_t dropped = 0;             ///< the watcher did not take a push
};

/// Who watches which key at this node, and what they have been told: the bookkeeping of a holder, without networking.
///
/// Each watched key has a log: every change of a publisher's record gets the next number, and only the last one of each
/// publisher is kept. A watcher is somewhere in that log. What it is told next is whatever stands behind its place, so
/// a watcher that is slow gets the last state of each publisher instead of a queue of all. Numbers start at random: a
/// watcher that comes with the number of another life gets everything.
///
/// Knows no clock: every `now` comes from the caller and never goes back.
class watcher_table {
 public:
  /// A watch that is not renewed for so long is over.
  static constexpr duration life = std::chrono::seconds(60);
  /// On their way to a watcher of a key at once. What changes beyond that gathers until the oldest has arrived.
  static constexpr std::size_t max_pushes = 16;

  struct name {
    kadoro::bytes key;
    peer_id watcher;
    friend bool operator<(name const& a, name const& b) noexcept {
      int const order = compare(a.key, b.key);
      return order != 0 ? order < 0 : a.watcher < b.watcher;
    }
  };

  /// What a watcher is to be told: what has changed behind `since` (0: everything), in order.
  struct changes {
    std::uint64_t since = 0;
    std::vector<std::pair<std::uint64_t, peer_id>> publishers;  ///< with the number of the change
    std::uint64_t head = 0;                                     ///< the last change that there is
  };

  explicit watcher_table(watch_limits limits = {}) noexcept : limits_(limits) {}

  bool watched(bytes_view key) const { return logs_.find(key) != logs_.end(); }

  /// `who` watches `key` for another `life`, and knows what changed up to `known`; 0: nothing. For a key that nobody
  /// has watched before, `publishers` are those of its records now, and its numbers start behind `start`.
  KADORO_DECL std::optional<errc> watch(bytes_view key, peer_ref const& who, std::uint64_t known,
                                        std::vector<peer_id> const& publishers, std::uint64_t start, time_point now);

  /// The record of `publisher` has changed; `live` is false if it has ended.
  KADORO_DECL void on_change(bytes_view key, peer_id const& publisher, bool live);

  /// What to tell the watcher next, at most `max` changes; nothing if it knows everything, or if that watch is over.
  KADORO_DECL std::optional<changes> next(bytes_view key, peer_id const& watcher, std::size_t max) const;
  /// It has been told up to `number`.
  KADORO_DECL void told(bytes_view key, peer_id const& watcher, std::uint64_t number);

  /// A push to a watcher, by what it had asked for when that began. Whoever asks again is told from its place on: what
  /// becomes of older pushes says nothing of it any more. It may have restarted, and they went to its last life.
  struct push {
    kadoro::bytes key;
    peer_ref to;
    std::uint64_t asked = 0;  ///< the number of that question
  };

  /// Those with something to be told, and less than `max_pushes` on their way to them; from now on one more is, until
  /// `push_ended` or `push_failed`.
  KADORO_DECL std::vector<push> take_due();
  /// True if there is something to be told that waited for that; then the next push has begun in its place.
  KADORO_DECL bool push_ended(push const& which);
  /// It did not take what it was told, or does not watch that key any more.
  KADORO_DECL void push_failed(push const& which);

  /// It has left, or is lost, whatever it watches.
  KADORO_DECL void drop_all(peer_id const& watcher);
  /// Ends watches that were not renewed.
  KADORO_DECL void expire(time_point now);

  std::size_t size() const noexcept { return watches_; }
  watcher_counters const& counters() const noexcept { return counters_; }

 private:
  struct place_of {
    peer_ref who;
    std::optional<std::uint64_t> range;  ///< that it counts against
    std::uint64_t place = 0;             ///< 0: before everything
    time_point until{};
    std::uint64_t asked = 0;  ///< the number of its last question
    std::size_t pushes = 0;   ///< on their way since that
  };
  struct log {
    std::uint64_t head = 0;
    std::uint64_t oldest = 0;                                ///< who knows less than this gets everything
    std::map<std::uint64_t, peer_id> changes;                ///< one of each publisher
    std::map<peer_id, std::pair<std::uint64_t, bool>> last;  ///< of a publisher: its number, and whether it lives
    std::size_t ended = 0;
    std::map<peer_id, place_of> watchers;
  };
  using log_map = std::map<kadoro::bytes, log, bytes_less>;

  KADORO_DECL void add_change(log& to, peer_id const& publisher, bool live);
  KADORO_DECL bool has_room(bool new_key, peer_id const& watcher, std::optional<std::uint64_t> range);
  KADORO_DECL log_map::iterator erase(log_map::iterator in, peer_id const& watcher);
  KADORO_DECL place_of* find(bytes_view key, peer_id const& who);
  KADORO_DECL place_of* find(push const& which);

  watch_limits limits_;
  log_map logs_;
  std::map<peer_id, std::size_t> per_peer_;
  transport::range_tally per_range_;
  std::size_t watches_ = 0;
  std::uint64_t questions_ = 0;
  std::vector<kadoro::bytes> changed_;  ///< keys, for `take_due`
  watcher_counters counters_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/watcher_table.ipp"
#endif
