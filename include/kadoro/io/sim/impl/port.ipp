#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/port.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

KADORO_DECL port::port(context& host, endpoint const& local)
    : ready_node(&port::on_ready), host_(&host), world_(host.world_), local_(local) {
  host.add_port(*this);
}

KADORO_DECL port::~port() {
  if (destroyed_ != nullptr) *destroyed_ = true;
  close();
}

KADORO_DECL void port::close() noexcept {
  receiver_ = nullptr;
  if (host_ == nullptr) return;
  context& host = *std::exchange(host_, nullptr);
  std::erase(host.ports_, this);
  unlink();
  for (flight* const one : inbox_) world_.land(*one);
  inbox_.clear();
  if (served_) host.serve_next();
}

KADORO_DECL void port::set_receiver(receiver* to) noexcept {
  receiver_ = to;
  if (host_ != nullptr && waiting()) host_->post(*this);
}

KADORO_DECL void port::send(endpoint const& to, bytes_view data) noexcept {
  if (host_ == nullptr) return;
  if (data.size() > max_datagram_bytes) {
    ++counters_.truncated;
    return;
  }
  if (to.is_v6() != local_.is_v6() || to.port() == 0 || to.is_unspecified()) {
    ++counters_.dropped_by_system;
    return;
  }
  // The bound of a real port, which empties its queue once per turn.
  if (std::exchange(sending_step_, world_.steps_) != world_.steps_) sent_in_step_ = 0;
  if (sent_in_step_ == max_queued_datagrams) {
    ++counters_.dropped_queue_full;
    return;
  }
  ++sent_in_step_;
  ++counters_.sent;
  counters_.sent_bytes += data.size();
  world_.send(*host_, local_, to, data);
}

/// Takes over `one`, or returns false if the inbox is full.
KADORO_DECL bool port::arrive(flight& one) {
  if (inbox_.size() == max_queued_datagrams) return false;
  inbox_.push_back(&one);
  if (receiver_ != nullptr) host_->post(*this);
  return true;
}

KADORO_DECL void port::deliver() {
  context& host = *host_;
  world& in = world_;
  bool const slow = host.is_slow();
  if (!waiting() || (slow && !served_)) return host.serve_next();
  served_ = false;
  std::vector<flight*> arrived;
  arrived.swap(inbox_);
  bool destroyed = false;
  destroyed_ = &destroyed;
  std::size_t const done = hand_over(arrived, slow ? 1 : arrived.size(), destroyed);
  for (std::size_t i = 0; i < done; ++i) in.land(*arrived[i]);
  if (destroyed) {
    for (std::size_t i = done; i < arrived.size(); ++i) in.land(*arrived[i]);
  } else {
    destroyed_ = nullptr;
    arrived.erase(arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(done));
    inbox_.swap(arrived);  // nothing arrives during a turn, so it gets its memory back
  }
  host.serve_next();
}

/// Gives up to `count` of `arrived` to the receiver; returns how many it took before it went away.
KADORO_DECL std::size_t port::hand_over(std::vector<flight*> const& arrived, std::size_t count, bool const& destroyed) {
  std::array<datagram, batch_capacity> batch;
  std::size_t next = 0;
  while (next < count && !destroyed && receiver_ != nullptr) {
    flight& head = *arrived[next];
    if (head.hint) {
      ++next;
      receiver_->on_unreachable(head.from);
      continue;
    }
    std::size_t size = 0;
    for (; next < count && size < batch.size() && !arrived[next]->hint; ++next) {
      flight& one = *arrived[next];
      ++counters_.received;
      counters_.received_bytes += one.data.size();
      batch[size++] = {one.from, one.data};
    }
    receiver_->on_datagrams({batch.data(), size});
  }
  return next;
}

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
