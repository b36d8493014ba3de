#pragma once

#include <algorithm>
#include <utility>

#include "kadoro/kad/impl/watch_feed.hpp"
#include "kadoro/kad/watch_reader.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

KADORO_DECL void watch_channel::end(error why) {
  {
    std::lock_guard const lock(mutex);
    if (!ended) ended = std::move(why);
  }
  news.notify_all();
}

}  // namespace detail

KADORO_DECL watch_reader::~watch_reader() { close(); }

KADORO_DECL void watch_reader::close() {
  if (!channel_) return;
  {
    std::lock_guard const lock(channel_->mutex);
    if (std::exchange(channel_->closed, true)) return;
    channel_->queue.clear();
  }
  channel_->news.notify_all();
  wake_feed();
}

KADORO_DECL void watch_reader::wake_feed() {
  auto const posted = inbox_->post([place = feed_] {
    if (auto const feed = place->lock()) feed->wake();
  });
  owes_wake_ = !posted && posted.error() == errc::queue_full;
}

KADORO_DECL result<watch_event> watch_reader::take(std::unique_lock<std::mutex>& lock) {
  detail::watch_channel& from = *channel_;
  if (from.closed) return fail(errc::closed, "watch: it was closed here");
  if (from.queue.empty() && *from.ended == errc::closed)
    return fail(errc::closed, "watch: the node or its context has ended");
  if (from.queue.empty()) return fail(*from.ended);
  bool const was_full = from.queue.size() == from.bound;
  result<watch_event> out = std::move(from.queue.front());
  from.queue.pop_front();
  lock.unlock();
  if (was_full) wake_feed();
  return out;
}

KADORO_DECL result<watch_event> watch_reader::next() {
  for (;;) {
    auto event = next(std::chrono::hours(1));
    if (event || event.error() != errc::timed_out) return event;
  }
}

KADORO_DECL result<watch_event> watch_reader::next(duration limit) {
  static constexpr duration again = std::chrono::milliseconds(10);
  auto const something = [&of = *channel_] { return of.closed || of.ended || !of.queue.empty(); };
  std::unique_lock lock(channel_->mutex);
  while (owes_wake_ && !something()) {  // the inbox was full: nothing comes until it has taken our word
    wake_feed();
    duration const pause = std::min(limit, again);
    if (owes_wake_ && !channel_->news.wait_for(lock, pause, something)) limit -= pause;
    if (limit <= duration::zero()) break;
  }
  if (!channel_->news.wait_for(lock, limit, something)) return fail(errc::timed_out, "watch: nothing has changed");
  return take(lock);
}

}  // namespace kadoro::inline KADORO_ABI::kad
