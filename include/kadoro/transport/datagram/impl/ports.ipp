#pragma once

#include <algorithm>

#include "kadoro/transport/datagram/impl/link.hpp"

/// @file
/// One UDP port, or one of each family: where datagrams go out, and where peers are told to come.

namespace kadoro::inline KADORO_ABI::transport::datagram {

KADORO_DECL io::udp_port* datagram_transport::port_to(io::endpoint const& to) const noexcept {
  if (port_->local().is_v6() == to.is_v6()) return port_.get();
  return also_port_.get();
}

KADORO_DECL void datagram_transport::send(io::endpoint const& to, bytes_view data) {
  if (io::udp_port* const port = port_to(to)) port->send(to, data);
}

KADORO_DECL io::udp_counters datagram_transport::port_counts() const noexcept {
  io::udp_counters all = port_->counters();
  if (also_port_) all += also_port_->counters();
  return all;
}

/// Where a first flight to `who` goes: its most promising addresses, and one of each family if it has them and we do.
/// They race, and a family that leads nowhere from here must not hold up the other one.
KADORO_DECL std::vector<io::endpoint> datagram_transport::dial_targets(peer const& who) const {
  std::vector<io::endpoint> targets;
  for (peer::address const& a : who.addresses()) {
    auto const where = a.where.udp_endpoint();
    if (!where || !a.where.is_datagram() || where->port() == 0 || port_to(*where) == nullptr) continue;
    if (targets.size() < max_dialled_addresses) {
      targets.push_back(*where);
      continue;
    }
    bool const other = std::none_of(targets.begin(), targets.end(),
                                    [&where](io::endpoint const& t) { return t.is_v6() == where->is_v6(); });
    if (!other) continue;
    targets.back() = *where;
    break;
  }
  return targets;
}

KADORO_DECL std::string_view datagram_transport::families() const noexcept {
  if (also_port_) return "IPv4 or IPv6";
  return port_->local().is_v6() ? "IPv6" : "IPv4";
}

/// What an interface has comes before what peers have said, and what nobody else can dial is last.
KADORO_DECL std::vector<multiaddr> datagram_transport::listen_addresses() const {
  std::vector<io::endpoint> places;
  std::vector<io::endpoint> loopback;
  for (io::udp_port const* port : {port_.get(), also_port_.get()}) {
    if (port == nullptr) continue;
    io::endpoint const bound = port->local();
    std::vector<io::endpoint> own{bound};
    if (bound.is_unspecified()) own = context_.local_addresses();
    for (io::endpoint where : own) {
      if (where.is_v6() != bound.is_v6()) continue;
      if (where.port() == 0) where.set_port(bound.port());
      (where.is_loopback() ? loopback : places).push_back(where);
    }
  }
  for (bool const v6 : {false, true}) {  // behind a NAT no interface has it
    auto const agreed = seen_as_.agreed(v6);
    if (agreed && !agreed->is_loopback() && port_to(*agreed) != nullptr) places.push_back(*agreed);
  }
  places.insert(places.end(), loopback.begin(), loopback.end());
  std::vector<multiaddr> out;
  for (io::endpoint const& where : places) {
    multiaddr whole = multiaddr::datagram(where, id_);
    if (std::find(out.begin(), out.end(), whole) == out.end()) out.push_back(std::move(whole));
  }
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
