#pragma once

#include <utility>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/impl/tcp_fairness.hpp"
#include "kadoro/io/reset_on_exit.hpp"
#include "kadoro/io/tcp_stream.hpp"

namespace kadoro::inline KADORO_ABI::io {

KADORO_DECL coro::task<result<tcp_stream>> tcp_stream::connect(context& on, endpoint remote) {
  auto opened = on.connect_tcp(remote);
  if (!opened) co_return fail(std::move(opened.error()));
  tcp_stream stream(std::move(*opened));
  state& self = *stream.state_;
  for (;;) {
    self.writable.reset();
    auto const done = self.connection->connected();
    if (!done) co_return fail(done.error());
    if (*done) break;
    auto const woken = co_await self.writable.wait();
    if (!woken) co_return fail(woken.error());
  }
  self.local = self.connection->local();
  co_return std::move(stream);
}

KADORO_DECL tcp_stream::tcp_stream(std::unique_ptr<tcp_connection> established)
    : state_(std::make_shared<state>(std::move(established))) {}

KADORO_DECL tcp_stream::state::state(std::unique_ptr<tcp_connection> opened)
    : local(opened->local()), remote(opened->remote()), connection(std::move(opened)) {
  connection->set_owner(*this);
}

KADORO_DECL void tcp_stream::state::close(bool abruptly) noexcept {
  if (connection == nullptr) return;
  if (abruptly) connection->abort();
  last_counters = connection->counters();
  connection.reset();
  readable.set();
  writable.set();
}

KADORO_DECL error tcp_stream::state::broken(error why) {
  failure = why;
  return why;
}

KADORO_DECL std::optional<error> tcp_stream::state::obstacle(char const* doing) const {
  if (connection == nullptr) return tcp_error(errc::closed, "TCP connection to", remote, doing);
  return failure;
}

KADORO_DECL void tcp_stream::close() noexcept {
  if (state_ != nullptr) state_->close(false);
}

KADORO_DECL void tcp_stream::abort() noexcept {
  if (state_ != nullptr) state_->close(true);
}

KADORO_DECL coro::task<result<std::size_t>> tcp_stream::read_some(bytes_span into) { return read(state_, into); }
KADORO_DECL coro::task<result<void>> tcp_stream::read_exactly(bytes_span into) { return read_all(state_, into); }
KADORO_DECL coro::task<result<void>> tcp_stream::write(bytes_view data) { return write_all(state_, data); }

KADORO_DECL coro::task<result<std::size_t>> tcp_stream::read(shared_state self, bytes_span into) {
  if (self->reading) {
    co_return fail(
        tcp_error(errc::invalid_argument, "TCP connection to", self->remote, "a second read while one is under way"));
  }
  self->reading = true;
  reset_on_exit const ends(self->reading);
  while (!into.empty()) {
    if (detail::had_its_share(self->at_once)) {
      auto const others_ran = co_await coro::sleep_for(duration::zero());
      if (!others_ran) co_return fail(others_ran.error());
    }
    auto obstacle = self->obstacle("reading");
    if (obstacle) co_return fail(std::move(*obstacle));
    self->readable.reset();
    auto got = self->connection->try_read(into);
    if (!got) co_return fail(self->broken(std::move(got.error())));
    if (got->size_bytes > 0 || got->end) co_return got->size_bytes;
    self->at_once = 0;
    auto const woken = co_await self->readable.wait();
    if (!woken) co_return fail(woken.error());
  }
  co_return std::size_t{0};
}

KADORO_DECL coro::task<result<void>> tcp_stream::read_all(shared_state self, bytes_span into) {
  while (!into.empty()) {
    auto const got = co_await read(self, into);
    if (!got) co_return fail(got.error());
    if (*got == 0) {
      co_return fail(errc::closed, "TCP connection to " + self->remote.to_string() +
                                       ": the other end finished while more was expected of it");
    }
    into = into.subspan(*got);
  }
  co_return result<void>();
}

KADORO_DECL coro::task<result<void>> tcp_stream::write_all(shared_state self, bytes_view data) {
  if (self->writing) {
    co_return fail(
        tcp_error(errc::invalid_argument, "TCP connection to", self->remote, "a second write while one is under way"));
  }
  self->writing = true;
  reset_on_exit const ends(self->writing);
  while (!data.empty()) {
    if (detail::had_its_share(self->at_once)) {
      auto const others_ran = co_await coro::sleep_for(duration::zero());
      if (!others_ran) co_return fail(others_ran.error());
    }
    auto obstacle = self->obstacle("writing");
    if (obstacle) co_return fail(std::move(*obstacle));
    if (self->send_ended) co_return fail(tcp_error(errc::closed, "TCP connection to", self->remote, "writing"));
    self->writable.reset();
    auto taken = self->connection->try_write(data);
    if (!taken) co_return fail(self->broken(std::move(taken.error())));
    data = data.subspan(*taken);
    if (*taken > 0) continue;
    self->at_once = 0;
    auto const woken = co_await self->writable.wait();
    if (!woken) co_return fail(woken.error());
  }
  co_return result<void>();
}

KADORO_DECL result<void> tcp_stream::shutdown_send() {
  auto obstacle = state_->obstacle("ending the writes");
  if (obstacle) return fail(std::move(*obstacle));
  if (state_->writing) {
    return fail(tcp_error(errc::invalid_argument, "TCP connection to", state_->remote,
                          "ending the writes while one is under way"));
  }
  state_->send_ended = true;
  state_->connection->shutdown_send();
  return {};
}

}  // namespace kadoro::inline KADORO_ABI::io
