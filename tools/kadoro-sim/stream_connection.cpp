#include "stream_connection.hpp"

#include <algorithm>
#include <utility>

namespace kadoro_sim {

using namespace kadoro;

stream_connection::stream_connection(owner& of, coro::scheduler& scheduler, std::uint64_t local,
                                     std::vector<io::endpoint> targets, std::size_t limit_bytes)
    : timer_node([](timer_node& n) { static_cast<stream_connection&>(n).on_timer(); }),
      owner_(of),
      scheduler_(scheduler),
      local_(local),
      targets_(std::move(targets)),
      limit_bytes_(limit_bytes),
      dialled_(true),
      now_(state::opening),
      timeout_(rtt_.timeout()),
      begun_(scheduler.now()),
      quiet_since_(begun_),
      used_at_(begun_) {
  open_again();
  arm();
}

stream_connection::stream_connection(owner& of, coro::scheduler& scheduler, std::uint64_t local, std::uint64_t remote,
                                     io::endpoint const& from, std::size_t limit_bytes)
    : timer_node([](timer_node& n) { static_cast<stream_connection&>(n).on_timer(); }),
      owner_(of),
      scheduler_(scheduler),
      local_(local),
      remote_(remote),
      targets_{from},
      limit_bytes_(limit_bytes),
      dialled_(false),
      now_(state::accepted),
      timeout_(rtt_.timeout()),
      begun_(scheduler.now()),
      quiet_since_(begun_),
      heard_at_(begun_),
      used_at_(begun_) {
  accept_again();
  arm();
}

void stream_connection::open_again() {
  stream_packet p;
  p.what = stream_packet::kind::open;
  p.from = local_;
  for (io::endpoint const& to : targets_) owner_.send(to, p);
  ++opens_;
  next_send_ = scheduler_.now() + timeout_;
  timeout_ = std::min(2 * timeout_, transport::rtt_estimator::max_timeout);
}

void stream_connection::accept_again() {
  stream_packet p;
  p.what = stream_packet::kind::accept;
  p.to = remote_;
  p.from = local_;
  owner_.send(where(), p);
}

void stream_connection::on_accept(io::endpoint const& from, std::uint64_t remote) {
  if (now_ != state::opening) return;  // of another address, or once more
  heard_at_ = scheduler_.now();
  if (opens_ == 1) rtt_.sample(heard_at_ - begun_);
  remote_ = remote;
  targets_ = {from};
  now_ = state::greeting;
  timeout_ = rtt_.timeout();
  next_send_ = heard_at_ + timeout_;
  pump();
  arm();
}

void stream_connection::end() noexcept {
  ended_ = true;
  scheduler_.disarm(*this);
}

// ---- out ------------------------------------------------------------------------------------------------------------

bool stream_connection::send_message(bytes_view whole, std::uint32_t& end) {
  if (queued_bytes_ + whole.size() > max_queued_bytes) return false;
  queued_bytes_ += whole.size();
  if (out_.empty()) {
    quiet_since_ = scheduler_.now();
    timeout_ = rtt_.timeout();
    next_send_ = quiet_since_ + timeout_;
  }
  for (;;) {
    fragment f;
    bytes_view const part = whole.first(std::min(whole.size(), stream_packet::max_body_bytes));
    whole = whole.subspan(part.size());
    f.body = to_bytes(part);
    f.last = whole.empty();
    out_.push_back(std::move(f));
    if (whole.empty()) break;
  }
  end = first_out_ + static_cast<std::uint32_t>(out_.size());
  used_at_ = scheduler_.now();
  pump();
  arm();
  return true;
}

/// Sends what has not been sent yet and fits into the window.
void stream_connection::pump() {
  if (now_ == state::opening) return;
  for (std::size_t i = 0; i < out_.size() && i < window; ++i)
    if (out_[i].transmissions == 0) transmit(i);
}

void stream_connection::transmit(std::size_t index) {
  fragment& f = out_[index];
  stream_packet p;
  p.what = stream_packet::kind::data;
  p.to = remote_;
  p.from = local_;
  p.number = first_out_ + static_cast<std::uint32_t>(index);
  p.last = f.last;
  p.body = f.body;
  if (f.transmissions++ > 0) ++retransmissions_;
  f.sent_at = scheduler_.now();
  owner_.send(where(), p);
}

void stream_connection::on_ack(stream_packet const& p) {
  if (now_ == state::opening) return;
  time_point const now = scheduler_.now();
  heard_at_ = now;
  bool progress = false;
  for (std::size_t i = 0; i < out_.size() && out_[i].transmissions > 0; ++i) {
    std::uint32_t const ahead = first_out_ + static_cast<std::uint32_t>(i) - p.number;  // of the first missing one
    bool const below = ahead >= 1u << 31;
    bool const here = below || (ahead >= 1 && ahead <= 64 && (p.beyond >> (ahead - 1) & 1) != 0);
    if (!here || out_[i].arrived) continue;
    out_[i].arrived = progress = true;
    if (out_[i].transmissions > 1) continue;  // which one was it? (Karn)
    rtt_.sample(now - out_[i].sent_at);
    if (who && now_ == state::open) who->rtt.sample(now - out_[i].sent_at);
  }
  while (!out_.empty() && out_.front().arrived) {
    queued_bytes_ -= out_.front().body.size();
    out_.pop_front();
    ++first_out_;
  }
  if (!progress) return;
  quiet_since_ = now;
  timeout_ = rtt_.timeout();
  next_send_ = now + timeout_;
  pump();
  arm();
}

// ---- in -------------------------------------------------------------------------------------------------------------

void stream_connection::on_data(stream_packet const& p) {
  heard_at_ = used_at_ = scheduler_.now();
  unsaid_ = true;
  std::uint32_t const ahead = p.number - next_in_;
  if (ahead >= window) return;  // seen before, or beyond what may be under way
  early_.try_emplace(p.number, received{to_bytes(p.body), p.last});
  for (auto at = early_.find(next_in_); at != early_.end() && !ended_; at = early_.find(next_in_)) {
    received const next = std::move(at->second);
    early_.erase(at);
    ++next_in_;
    take(next);
  }
}

void stream_connection::take(received const& next) {
  if (!skipping_) {
    assembling_.append(next.body);
    if (assembling_.size() > limit_bytes_) {
      skipping_ = true;
      owner_.on_oversized(*this, assembling_);
      assembling_.clear();
    }
  }
  if (!next.last) return;
  bool const skipped = std::exchange(skipping_, false);
  bytes const whole = std::exchange(assembling_, {});
  if (!skipped && !ended_) owner_.on_message(*this, whole);
}

void stream_connection::acknowledge() {
  if (!std::exchange(unsaid_, false) || ended_) return;
  stream_packet p;
  p.what = stream_packet::kind::ack;
  p.to = remote_;
  p.from = local_;
  p.number = next_in_;
  for (auto const& [number, part] : early_) p.beyond |= std::uint64_t{1} << (number - next_in_ - 1);
  owner_.send(where(), p);
  arm();
}

// ---- time -----------------------------------------------------------------------------------------------------------

void stream_connection::arm() {
  if (ended_) return;
  time_point due = used_at_ + idle_life;
  if (now_ == state::opening || !out_.empty()) due = std::min(next_send_, quiet_since_ + patience);
  if (now_ != state::open) due = std::min(due, begun_ + patience);
  scheduler_.arm(*this, due);
}

void stream_connection::on_timer() {
  time_point const now = scheduler_.now();
  bool const waits = now_ == state::opening || !out_.empty();
  if ((waits && now - quiet_since_ >= patience) || (now_ != state::open && now - begun_ >= patience))
    return owner_.on_silence(*this);
  if (!waits && now - used_at_ >= idle_life) return owner_.on_idle(*this);
  if (now_ == state::opening && now >= next_send_) {
    open_again();
  } else if (!out_.empty() && now >= next_send_) {
    timeout_ = std::min(2 * timeout_, transport::rtt_estimator::max_timeout);
    for (std::size_t i = 0; i < out_.size() && i < window; ++i)
      if (!out_[i].arrived) transmit(i);
    next_send_ = now + timeout_;
  }
  arm();
}

}  // namespace kadoro_sim
