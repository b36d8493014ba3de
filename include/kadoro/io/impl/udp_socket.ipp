#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "kadoro/io/udp_socket.hpp"

namespace kadoro::inline KADORO_ABI::io {

KADORO_DECL result<udp_socket> udp_socket::open(context& on, endpoint const& local) {
  auto opened = on.open_udp(local);
  if (!opened) return fail(std::move(opened.error()));
  return udp_socket(std::make_unique<state>(std::move(*opened)));
}

KADORO_DECL udp_socket::state::state(std::unique_ptr<udp_port> opened)
    : inbox(inbox_capacity), port(std::move(opened)) {
  port->set_receiver(this);
}

KADORO_DECL void udp_socket::state::on_datagrams(std::span<datagram> batch) {
  for (datagram const& one : batch) {
    if (count == inbox.size()) {
      ++dropped;
      continue;
    }
    letter& into = inbox[(first + count++) % inbox.size()];
    into.from = one.from;
    into.data.assign(one.data);
  }
  arrived.set();
}

KADORO_DECL coro::task<result<received>> udp_socket::receive(bytes_span into) {
  state& self = *state_;  // the socket may be moved while this waits
  while (self.count == 0) {
    self.arrived.reset();
    auto const woken = co_await self.arrived.wait();
    if (!woken) co_return fail(woken.error());
  }
  letter const& oldest = self.inbox[self.first];
  self.first = (self.first + 1) % self.inbox.size();
  --self.count;
  if (oldest.data.size() > into.size()) {
    std::string const text = "a datagram of " + std::to_string(oldest.data.size()) + " bytes from " +
                             oldest.from.to_string() + " for a buffer of " + std::to_string(into.size());
    co_return fail(errc::too_large, text);
  }
  std::copy(oldest.data.begin(), oldest.data.end(), into.begin());
  co_return received{oldest.from, oldest.data.size()};
}

}  // namespace kadoro::inline KADORO_ABI::io
