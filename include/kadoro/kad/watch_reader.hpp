#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "kadoro/base/result.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/io/inbox.hpp"
#include "kadoro/kad/watch.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {
class watch_feed;

/// What a reader and the node's thread share.
struct watch_channel {
  explicit watch_channel(std::size_t room) noexcept : bound(room) {}

  KADORO_DECL void end(error why);

  std::mutex mutex;
  std::condition_variable news;
  std::size_t const bound;
  std::deque<watch_event> queue;  ///< at most `bound`
  bool closed = false;            ///< by the reader
  std::optional<error> ended;     ///< nothing more comes
};

}  // namespace detail

/// A watch in another thread: the same stream as `kad::watch`, but one to wait for. From `node_handle::watch`.
///
///     auto changes = handle.watch(as_bytes("key"));
///     for (;;) {
///       auto const e = changes->next();       // result<kad::watch_event>
///       if (!e) break;
///       ...
///     }
///
/// Up to `bound` events wait here for a reader that is slow. What happens beyond that waits at the node, where of each
/// publisher the last word is kept, once: no state is lost, only steps between. So it never holds up the node, whose
/// thread it needs: do not wait there.
///
/// One thread at a time may use it. Destroying it closes it.
class watch_reader {
 public:
  static constexpr std::size_t default_bound = 64;

  watch_reader(watch_reader&&) noexcept = default;
  watch_reader& operator=(watch_reader&& other) noexcept {
    std::swap(inbox_, other.inbox_);
    std::swap(channel_, other.channel_);
    std::swap(feed_, other.feed_);
    std::swap(owes_wake_, other.owes_wake_);
    return *this;
  }
  KADORO_DECL ~watch_reader();

  /// The next change; waits for it. Errors: `closed` (here, or because the node or its context ended; what came before
  /// comes first), those of `node::watch`.
  KADORO_DECL result<watch_event> next();
  /// The same, but waits no longer than `limit`, of real time: then `timed_out`, and nothing is lost. With zero it only
  /// looks.
  KADORO_DECL result<watch_event> next(duration limit);

  /// Ends it: what was not read is dropped. Idempotent.
  KADORO_DECL void close();

 private:
  friend class node_handle;
  /// Where the feed is, once there is one; belongs to the node's thread.
  using feed_place = std::shared_ptr<std::weak_ptr<detail::watch_feed>>;

  watch_reader(std::shared_ptr<io::inbox> inbox, std::shared_ptr<detail::watch_channel> channel,
               feed_place feed) noexcept
      : inbox_(std::move(inbox)), channel_(std::move(channel)), feed_(std::move(feed)) {}
  KADORO_DECL result<watch_event> take(std::unique_lock<std::mutex>& lock);
  /// The feed goes on, or sees that it is closed.
  KADORO_DECL void wake_feed();

  std::shared_ptr<io::inbox> inbox_;
  std::shared_ptr<detail::watch_channel> channel_;
  feed_place feed_;
  bool owes_wake_ = false;  ///< the inbox was full
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/watch_reader.ipp"
#endif
