#pragma once

#include <memory>
#include <utility>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/kad/watch_reader.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

/// The node's end of a channel, on its thread. However it ends, the reader hears of it.
class watch_feed {
 public:
  watch_feed(watch changes, std::shared_ptr<watch_channel> to) noexcept
      : changes_(std::move(changes)), to_(std::move(to)) {}
  watch_feed(watch_feed const&) = delete;
  watch_feed& operator=(watch_feed const&) = delete;
  ~watch_feed() { to_->end(errc::closed); }

  watch& changes() noexcept { return changes_; }
  coro::event& room() noexcept { return room_; }

  /// There is room again, or the reader has closed.
  void wake() noexcept {
    if (closed()) changes_.close();
    room_.set();
  }

  bool closed() {
    std::lock_guard const lock(to_->mutex);
    return to_->closed;
  }

  /// False if the reader must read first.
  bool deliver(watch_event what) {
    bool more = false;
    {
      std::lock_guard const lock(to_->mutex);
      if (!to_->closed) to_->queue.push_back(std::move(what));
      more = to_->queue.size() < to_->bound;
    }
    to_->news.notify_one();
    return more;
  }

 private:
  watch changes_;
  std::shared_ptr<watch_channel> to_;
  coro::event room_;
};

inline coro::task<void> feed_watch(std::shared_ptr<watch_feed> feed) {
  for (;;) {
    auto event = co_await feed->changes().next();
    if (!event) co_return;  // closed, here or with the node
    feed->room().reset();
    bool const more = feed->deliver(std::move(*event));
    if (feed->closed()) co_return;
    if (more) continue;
    auto const read = co_await feed->room().wait();
    if (!read) co_return;
  }
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
