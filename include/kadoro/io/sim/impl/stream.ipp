#pragma once

#include <algorithm>
#include <utility>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/tcp_stack.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

namespace limits {

// RFC 6298, with the minimum that Linux uses.
inline constexpr duration first_patience = std::chrono::seconds(1);
inline constexpr duration least_patience = std::chrono::milliseconds(200);
inline constexpr duration most_patience = std::chrono::seconds(120);
inline constexpr unsigned repeats_of_a_loss = 3;
// Segments that may lie ahead of a gap: what a window holds, if all are full, and some.
inline constexpr std::size_t max_ahead = 256;

}  // namespace limits

KADORO_DECL stream::stream(tcp_stack& stack, endpoint const& local, endpoint const& remote, std::uint64_t number,
                           phase begin)
    : timer_node(&stream::on_timer),
      stack_(&stack),
      local_(local),
      remote_(remote),
      number_(number),
      caller_(begin == phase::calling),
      phase_(begin) {}

KADORO_DECL void stream::send(std::uint8_t flags, std::uint64_t position, bytes_view data) {
  segment out;
  out.number = number_;
  out.position = position;
  out.received = expected_ + (end_seen_ ? 1 : 0);
  out.room = static_cast<std::uint32_t>(room());
  out.flags = static_cast<std::uint8_t>(flags | (caller_ ? 0 : segment::answers));
  out.data = data;
  told_room_ = room();
  stack_->send(local_, remote_, out);
}

/// Nothing but what has been received here, and how much more may come.
KADORO_DECL void stream::send_word() { send(0, next_); }

KADORO_DECL void stream::begin() {
  waiting_since_ = stack_->host_.world_.now();
  send(segment::opens);
  stack_->host_.world_.arm(*this, stack_->host_.world_.now() + limits::first_patience);
}

KADORO_DECL void stream::take(segment const& in) {
  std::shared_ptr<stream> const alive = shared_from_this();
  if (in.has(segment::resets)) {
    // After its end the other side has nothing to say, and nothing to lose here: this is how it forgets.
    if (end_seen_ && out_.empty()) return drop(errc::closed);
    return drop(phase_ == phase::calling ? errc::connection_refused : errc::reset);
  }
  if (in.has(segment::opens)) {
    if (phase_ == phase::calling)
      open(in);
    else if (phase_ == phase::called)
      return send(segment::opens);  // the first answer was lost
    else
      return send_word();
  } else if (phase_ == phase::calling) {
    return;
  } else if (phase_ == phase::called) {
    open(in);
  }
  waiting_since_ = stack_->host_.world_.now();
  take_acknowledgement(in);
  take_data(in);
  if (phase_ == phase::open) pump();
  if (phase_ == phase::open) end_if_done();
}

KADORO_DECL void stream::open(segment const& in) {
  time_point const now = stack_->host_.world_.now();
  if (expiries_ == 0) measure(now - waiting_since_);
  expiries_ = 0;
  phase_ = phase::open;
  stack_->host_.world_.disarm(*this);
  limit_ = in.received + in.room;
  if (caller_) {
    send_word();
  } else if (listener_ != nullptr) {
    listener_->on_open(*this);
  }
  tell();
}

KADORO_DECL void stream::measure(duration round_trip) noexcept {
  if (smoothed_ == duration::zero()) {
    smoothed_ = round_trip;
    variation_ = round_trip / 2;
    return;
  }
  duration const off = round_trip > smoothed_ ? round_trip - smoothed_ : smoothed_ - round_trip;
  variation_ = (3 * variation_ + off) / 4;
  smoothed_ = (7 * smoothed_ + round_trip) / 8;
}

/// How long it waits for an acknowledgement now: twice as long after each time that it waited in vain.
KADORO_DECL duration stream::patience() const noexcept {
  duration once = limits::first_patience;
  if (smoothed_ > duration::zero()) once = std::max(limits::least_patience, smoothed_ + 4 * variation_);
  return std::min(limits::most_patience, once * (1 << std::min(expiries_, 12u)));
}

KADORO_DECL void stream::start_timer() {
  world& in = stack_->host_.world_;
  if (armed()) return;
  waiting_since_ = in.now();
  in.arm(*this, in.now() + patience());
}

KADORO_DECL void stream::send_part(std::uint64_t position, std::size_t size_bytes) {
  std::size_t const begin = static_cast<std::size_t>(position - first_);
  bool const last = end_wanted_ && position + size_bytes == all();
  std::uint8_t const flags = last ? segment::ends : 0;
  send(flags, position, bytes_view(out_).subspan(begin, size_bytes));
}

/// Sends what the windows allow.
KADORO_DECL void stream::pump() {
  std::uint64_t const allowed = std::min(limit_, first_ + window_);
  bool const end_is_due = end_wanted_ && !end_arrived_;
  while (next_ < all() && next_ < allowed) {
    std::uint64_t const size = std::min<std::uint64_t>({segment::max_data_bytes, all() - next_, allowed - next_});
    // A little room is not worth a segment while more will come (RFC 9293, 3.8.6.2.1).
    if (size < segment::max_data_bytes && next_ + size < all() && next_ > first_) break;
    if (!timed_ && next_ == top_) {
      timed_ = next_;
      timed_at_ = stack_->host_.world_.now();
    }
    send_part(next_, static_cast<std::size_t>(size));
    next_ += size;
    if (end_is_due && next_ == all()) ++next_;  // it went along
    top_ = std::max(top_, next_);
  }
  if (end_is_due && next_ == all()) {
    send_part(next_++, 0);
    top_ = std::max(top_, next_);
  }
  if (in_flight() || next_ < all()) start_timer();
}

KADORO_DECL void stream::resend_first() {
  timed_.reset();  // whose acknowledgement comes now cannot be told (Karn)
  send_part(first_, std::min<std::size_t>(segment::max_data_bytes, out_.size()));
}

KADORO_DECL void stream::take_acknowledgement(segment const& in) {
  if (in.received > top_) return;  // never sent
  std::uint64_t const old_limit = std::exchange(limit_, std::max(limit_, in.received + in.room));
  if (in.received > first_ && !end_arrived_) return note_progress(in.received);
  if (limit_ > old_limit && !in_flight()) {  // word of room: the pause between two questions is over
    expiries_ = 0;
    stack_->host_.world_.disarm(*this);
  }
  bool const repeats = in.received == first_ && in_flight() && in.data.empty() && limit_ == old_limit;
  if (!repeats || in.has(segment::ends) || in.has(segment::asks) || ++repeats_ != limits::repeats_of_a_loss) return;
  if (first_ < recover_) return;  // this loss is being repaired already
  recover_ = top_;
  threshold_ = std::max<std::uint64_t>((next_ - first_) / 2, 2 * segment::max_data_bytes);
  window_ = threshold_;
  resend_first();
}

/// Everything before `upto` has arrived.
KADORO_DECL void stream::note_progress(std::uint64_t upto) {
  world& in = stack_->host_.world_;
  if (timed_ && upto > *timed_) {
    measure(in.now() - timed_at_);
    timed_.reset();
  }
  bool const end_too = upto > all();
  std::uint64_t const arrived = (end_too ? all() : upto) - first_;
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(arrived));
  first_ += arrived;
  next_ = std::max(next_, upto);
  end_arrived_ = end_too;
  expiries_ = 0;
  repeats_ = 0;
  in.disarm(*this);
  if (first_ < recover_ && in_flight())
    resend_first();  // the next of several lost ones (RFC 6582)
  else
    grow_window(arrived);
  if (arrived > 0 && told_ != nullptr) told_->on_writable();
}

KADORO_DECL void stream::grow_window(std::uint64_t arrived_bytes) noexcept {
  std::uint64_t const segment_bytes = segment::max_data_bytes;
  if (window_ < threshold_)
    window_ += std::min(arrived_bytes, segment_bytes);
  else
    window_ += std::max<std::uint64_t>(1, segment_bytes * segment_bytes / window_);
  window_ = std::min<std::uint64_t>(window_, 16 * buffer_bytes);
}

/// Takes what belongs at `expected_`; false if `data` lies elsewhere or there is no room.
KADORO_DECL bool stream::append(std::uint64_t position, bytes_view data) {
  if (position > expected_ || position + data.size() <= expected_) return false;
  bytes_view const news = data.subspan(static_cast<std::size_t>(expected_ - position));
  if (news.size() > room()) return false;
  in_.append(news);
  expected_ += news.size();
  return true;
}

KADORO_DECL void stream::take_data(segment const& in) {
  if (in.data.empty() && !in.has(segment::ends) && !in.has(segment::asks)) return;
  bool const is_new = in.position + in.data.size() > expected_;
  if (released_ && !in.data.empty() && is_new) return abort();  // nobody will read it
  bool some = append(in.position, in.data);
  if (in.position > expected_ && in.position + in.data.size() <= expected_ + room() &&
      ahead_.size() < limits::max_ahead && !in.data.empty())
    ahead_.try_emplace(in.position, to_bytes(in.data));
  if (in.has(segment::ends)) end_at_ = in.position + in.data.size();
  while (!ahead_.empty() && ahead_.begin()->first <= expected_) {
    some = append(ahead_.begin()->first, ahead_.begin()->second) || some;
    ahead_.erase(ahead_.begin());
  }
  if (end_at_ == expected_ && !std::exchange(end_seen_, true)) some = true;
  if (some && told_ != nullptr) told_->on_readable();
  send_word();
}

KADORO_DECL void stream::end_if_done() {
  if (!released_ || !end_arrived_) return;
  if (end_seen_) return drop(errc::closed);
  world& in = stack_->host_.world_;
  if (!armed()) in.arm(*this, in.now() + linger);
}

KADORO_DECL void stream::on_due() {
  std::shared_ptr<stream> const alive = shared_from_this();
  world& in = stack_->host_.world_;
  ++in.internal_fired_;
  if (stack_->host_.paused_) return in.arm(*this, in.now() + limits::first_patience);
  bool const opening = phase_ != phase::open;
  if (!opening && released_ && end_arrived_) return drop(errc::closed);
  if (in.now() - waiting_since_ >= (opening ? call_give_up : give_up)) return drop(errc::no_answer);
  ++expiries_;
  in.arm(*this, in.now() + patience());
  if (opening) return send(segment::opens);
  if (!in_flight()) return send(segment::asks, next_);  // there is no room over there, or word of it was lost
  threshold_ = std::max<std::uint64_t>((next_ - first_) / 2, 2 * segment::max_data_bytes);
  window_ = segment::max_data_bytes;
  recover_ = 0;
  repeats_ = 0;
  timed_.reset();
  next_ = first_;
  pump();
}

KADORO_DECL void stream::tell() {
  if (told_ == nullptr) return;
  told_->on_readable();
  if (told_ != nullptr) told_->on_writable();
}

KADORO_DECL void stream::drop(errc why) {
  if (phase_ == phase::over) return;
  std::shared_ptr<stream> const alive = shared_from_this();
  phase_ = phase::over;
  why_over_ = why;
  tcp_stack& stack = *std::exchange(stack_, nullptr);
  stack.host_.world_.disarm(*this);
  if (listener_ != nullptr) std::exchange(listener_, nullptr)->on_over(*this);
  stack.forget(*this);
  out_.clear();
  ahead_.clear();
  tell();
}

// The program's side.

KADORO_DECL result<bool> stream::connected() {
  if (phase_ == phase::over) return fail(tcp_error(why_over_, "TCP connection to", remote_, "connecting"));
  return phase_ == phase::open;
}

KADORO_DECL result<tcp_read> stream::try_read(bytes_span into) {
  if (!in_.empty()) {
    std::size_t const size = std::min(into.size(), in_.size());
    std::copy_n(in_.begin(), size, into.begin());
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(size));
    counters_.received_bytes += size;
    // Word of the room once it is worth a segment and half the buffer, not for every byte (RFC 9293, 3.8.6.2.2).
    if (phase_ == phase::open && !end_seen_ && room() >= told_room_ + buffer_bytes / 2) send_word();
    return tcp_read{size, false};
  }
  if (end_seen_) return tcp_read{0, true};
  if (phase_ == phase::over) return fail(tcp_error(why_over_, "TCP connection to", remote_, "reading"));
  return tcp_read{};
}

KADORO_DECL result<std::size_t> stream::try_write(bytes_view data) {
  if (phase_ == phase::over) {
    errc const why = why_over_ == errc::closed ? errc::reset : why_over_;
    return fail(tcp_error(why, "TCP connection to", remote_, "writing"));
  }
  if (phase_ != phase::open || end_wanted_) return std::size_t{0};
  std::size_t const size = std::min(data.size(), buffer_bytes - out_.size());
  out_.append(data.first(size));
  counters_.sent_bytes += size;
  pump();
  return size;
}

KADORO_DECL void stream::shutdown_send() {
  if (phase_ != phase::open || std::exchange(end_wanted_, true)) return;
  pump();
}

KADORO_DECL void stream::abort() {
  if (phase_ == phase::over) return;
  if (phase_ != phase::calling) send(segment::resets);
  drop(errc::reset);
}

KADORO_DECL void stream::release(std::shared_ptr<stream> self) {
  self->told_ = nullptr;
  self->released_ = true;
  if (self->phase_ == phase::over) return;
  if (self->phase_ != phase::open || !self->in_.empty()) return self->abort();
  self->shutdown_send();
  self->end_if_done();
}

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
