#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/tcp_stack.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

/// True once for every call that `context::fail_opens` asked for, and where there are too many streams.
KADORO_DECL bool tcp_stack::out_of_descriptors() {
  if (host_.failing_opens_ > 0) {
    --host_.failing_opens_;
    ++host_.world_.counters_.failed_opens;
    return true;
  }
  return streams_.size() >= max_streams;
}

KADORO_DECL result<std::unique_ptr<tcp_connection>> tcp_stack::connect(endpoint const& from, endpoint const& remote) {
  if (out_of_descriptors()) return fail(tcp_error(errc::out_of_descriptors, "TCP connection to", remote, "no socket"));
  endpoint local = from;
  local.set_port(next_port_);
  next_port_ = next_port_ == 65535 ? 49152 : static_cast<std::uint16_t>(next_port_ + 1);
  std::uint64_t const number = ++host_.world_.stream_count_;
  auto const made = std::make_shared<stream>(*this, local, remote, number, stream::phase::calling);
  streams_.emplace(key(number, true), made);
  made->begin();
  return std::make_unique<io::detail::tcp_handle<std::shared_ptr<stream>>>(made);
}

KADORO_DECL result<std::unique_ptr<tcp_acceptor>> tcp_stack::listen(endpoint const& bound, std::size_t backlog) {
  if (out_of_descriptors()) return fail(tcp_error(errc::out_of_descriptors, "TCP listener", bound, "no socket"));
  endpoint local = bound;
  for (int tries = 0; bound.port() == 0 && tries < 16384; ++tries) {
    local.set_port(next_port_);
    next_port_ = next_port_ == 65535 ? 49152 : static_cast<std::uint16_t>(next_port_ + 1);
    if (!listeners_.contains(local)) break;
  }
  if (listeners_.contains(local)) return fail(tcp_error(errc::address_in_use, "TCP listener", local, "cannot listen"));
  return std::make_unique<listener>(*this, local, backlog);
}

KADORO_DECL void tcp_stack::send(endpoint const& local, endpoint const& remote, segment const& out) {
  out.encode(packet_);
  host_.world_.send(host_, local, remote, packet_, true);
}

KADORO_DECL void tcp_stack::refuse(endpoint const& local, endpoint const& remote, segment const& in) {
  segment answer;
  answer.number = in.number;
  answer.flags = segment::resets;
  if (!in.has(segment::answers)) answer.flags |= segment::answers;
  send(local, remote, answer);
}

KADORO_DECL void tcp_stack::take(endpoint const& local, endpoint const& remote, bytes_view packet) {
  auto const in = segment::decode(packet);
  if (!in) return;
  auto const found = streams_.find(key(in->number, in->has(segment::answers)));
  // Also by address: behind a NAT that has forgotten, the same connection comes from elsewhere, and is not it.
  if (found != streams_.end() && found->second->local() == local && found->second->remote() == remote)
    return found->second->take(*in);
  if (in->has(segment::resets)) return;
  if (in->flags == segment::opens) return take_call(local, remote, *in);
  refuse(local, remote, *in);
}

KADORO_DECL void tcp_stack::take_call(endpoint const& local, endpoint const& remote, segment const& in) {
  auto const found = listeners_.find(local);
  if (found == listeners_.end()) return refuse(local, remote, in);
  listener& at = *found->second;
  if (at.full() || streams_.size() >= max_streams) {  // as Linux: the caller will try again
    ++host_.world_.counters_.calls_ignored;
    return;
  }
  auto const made = std::make_shared<stream>(*this, local, remote, in.number, stream::phase::called);
  streams_.emplace(key(in.number, false), made);
  made->set_listener(&at);
  at.calls_.push_back(made.get());
  made->begin();
}

KADORO_DECL void tcp_stack::drop_all() {
  while (!streams_.empty()) {
    std::shared_ptr<stream> const one = streams_.begin()->second;
    one->drop(errc::reset);
  }
  while (!listeners_.empty()) {
    listener& one = *listeners_.begin()->second;
    one.waiting_.clear();
    one.stack_ = nullptr;
    listeners_.erase(listeners_.begin());
    if (one.told_ != nullptr) one.told_->on_acceptable();
  }
}

KADORO_DECL void tcp_stack::rebind(endpoint const& from, endpoint const& to) {
  std::vector<listener*> moved;
  for (auto const& [bound, each] : listeners_)
    if (host_key(bound) == from) moved.push_back(each);
  for (listener* const each : moved) {
    listeners_.erase(each->local_);
    std::uint16_t const number = each->local_.port();
    each->local_ = to;
    each->local_.set_port(number);
    listeners_.emplace(each->local_, each);
  }
}

KADORO_DECL listener::listener(tcp_stack& stack, endpoint const& local, std::size_t backlog)
    : stack_(&stack), local_(local), backlog_(backlog) {
  stack.listeners_.emplace(local, this);
}

KADORO_DECL listener::~listener() {
  if (stack_ == nullptr) return;
  stack_->listeners_.erase(local_);
  std::vector<stream const*> const calls = std::exchange(calls_, {});
  for (stream const* const each : calls) {
    std::shared_ptr<stream> const one = stack_->streams_.at({each->number(), false});
    one->set_listener(nullptr);
    one->abort();
  }
  for (std::shared_ptr<stream> const& each : waiting_) each->abort();
}

KADORO_DECL void listener::on_open(stream& one) {
  std::erase(calls_, &one);
  one.set_listener(nullptr);
  waiting_.push_back(one.shared_from_this());
  if (told_ != nullptr) told_->on_acceptable();
}

KADORO_DECL result<std::unique_ptr<tcp_connection>> listener::try_accept() {
  if (stack_ == nullptr) return fail(tcp_error(errc::closed, "TCP listener", local_, "accepting"));
  if (waiting_.empty()) return std::unique_ptr<tcp_connection>();
  if (stack_->out_of_descriptors())
    return fail(tcp_error(errc::out_of_descriptors, "TCP listener", local_, "accepting"));
  std::shared_ptr<stream> const first = std::move(waiting_.front());
  waiting_.pop_front();
  if (first->now_in() == stream::phase::over) return fail(errc::reset);
  return std::make_unique<io::detail::tcp_handle<std::shared_ptr<stream>>>(first);
}

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail
