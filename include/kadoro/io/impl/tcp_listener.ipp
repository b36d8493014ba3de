#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/impl/tcp_fairness.hpp"
#include "kadoro/io/tcp_listener.hpp"

namespace kadoro::inline KADORO_ABI::io {

namespace detail {

inline constexpr duration first_accept_pause = std::chrono::milliseconds(10);
inline constexpr duration longest_accept_pause = std::chrono::seconds(1);

}  // namespace detail

KADORO_DECL result<tcp_listener> tcp_listener::open(context& on, endpoint const& local, std::size_t backlog) {
  if (backlog == 0 || backlog > max_tcp_backlog)
    return fail(tcp_error(errc::invalid_argument, "TCP listener", local, "the backlog must be 1 to 65535"));
  auto opened = on.listen_tcp(local, backlog);
  if (!opened) return fail(std::move(opened.error()));
  return tcp_listener(std::make_shared<state>(std::move(*opened)));
}

KADORO_DECL tcp_listener::state::state(std::unique_ptr<tcp_acceptor> opened)
    : local(opened->local()), acceptor(std::move(opened)) {
  acceptor->set_owner(*this);
}

KADORO_DECL void tcp_listener::close() noexcept {
  if (state_ == nullptr || state_->acceptor == nullptr) return;
  state_->acceptor.reset();
  state_->acceptable.set();
}

KADORO_DECL coro::task<result<tcp_stream>> tcp_listener::accept() { return accept_from(state_); }

KADORO_DECL coro::task<result<tcp_stream>> tcp_listener::accept_from(std::shared_ptr<state> self) {
  duration pause = detail::first_accept_pause;
  for (;;) {
    if (detail::had_its_share(self->at_once)) {
      auto const others_ran = co_await coro::sleep_for(duration::zero());
      if (!others_ran) co_return fail(others_ran.error());
    }
    if (self->acceptor == nullptr) co_return fail(tcp_error(errc::closed, "TCP listener", self->local, "accepting"));
    self->acceptable.reset();
    auto taken = self->acceptor->try_accept();
    if (taken && *taken != nullptr) {
      ++self->counters.accepted;
      co_return tcp_stream(std::move(*taken));
    }
    if (taken) {
      self->at_once = 0;
      auto const woken = co_await self->acceptable.wait();
      if (!woken) co_return fail(woken.error());
    } else if (taken.error() == errc::reset) {
      ++self->counters.gone;
    } else if (taken.error() == errc::out_of_descriptors) {
      ++self->counters.out_of_descriptors;
      auto const slept = co_await coro::sleep_for(pause);
      if (!slept) co_return fail(slept.error());
      pause = std::min(pause * 2, detail::longest_accept_pause);
    } else {
      co_return fail(std::move(taken.error()));
    }
  }
}

}  // namespace kadoro::inline KADORO_ABI::io
