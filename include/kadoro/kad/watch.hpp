#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/kad/get_result.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// What became of one publisher's record under a watched key.
struct watch_event {
  enum class kind : std::uint8_t {
    add,     ///< a record of a publisher that had none
    change,  ///< a newer one
    expire,  ///< its publisher has stopped renewing it
    gone     ///< its publisher has withdrawn it
  };
  kind what = kind::add;
  found_record found;  ///< the record; of `expire` the last one, of `gone` the tombstone
};

KADORO_DECL std::string_view to_string(watch_event::kind what) noexcept;

/// The records under one key as they come and go: a bounded stream, pushed by the nodes that store them.
///
///     auto changes = node.watch(key);
///     for (;;) {
///       auto const e = co_await changes->next();
///       if (!e) break;
///       ...
///     }
///
/// A reader that is slow loses no state, only the steps between: of each publisher it gets the last word, once. So a
/// record that came and went unread is not seen at all. Destroying it ends the watch.
class watch {
 public:
  struct state;

  explicit watch(std::shared_ptr<state> shared) noexcept : state_(std::move(shared)) {}
  watch(watch&&) noexcept = default;
  watch& operator=(watch&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  KADORO_DECL ~watch();

  /// Completes with the next change. One reader at a time. Errors: `closed` (the node, or `close` here), `cancelled`
  /// (nothing is lost then).
  KADORO_DECL coro::task<result<watch_event>> next();

  /// Ends the stream: whoever waits in `next` gets `closed`. Idempotent.
  KADORO_DECL void close() noexcept;

  /// Whether a holder has told all that it has, so that what was not seen until then is not there.
  KADORO_DECL bool caught_up() const noexcept;
  /// The peers that tell this node of changes.
  KADORO_DECL std::vector<peer_id> holders() const;
  /// One sentence: who tells, or why nobody does.
  KADORO_DECL std::string explain() const;

 private:
  std::shared_ptr<state> state_;
};

namespace detail {
class watched_key;
}

/// One reader's place in a watched key.
struct watch::state {
  explicit state(std::shared_ptr<detail::watched_key> of) noexcept : key(std::move(of)) {}

  std::shared_ptr<detail::watched_key> key;
  std::map<peer_id, std::uint64_t> told;  ///< publishers whose record the reader takes to live, with its version
  std::deque<peer_id> queue;              ///< publishers with news for the reader, each once
  std::set<peer_id> queued;
  coro::event news;
  bool closed = false;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/watched_key.hpp"
#endif
