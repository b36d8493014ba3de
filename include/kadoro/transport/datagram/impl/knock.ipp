#pragma once

#include <algorithm>

#include "kadoro/transport/datagram/impl/link.hpp"

/// @file
/// Where this end is seen, and a first flight that nobody waits for: it shows whether an address can be reached by
/// somebody who was never written to from there.

namespace kadoro::inline KADORO_ABI::transport::datagram {

KADORO_DECL bool datagram_transport::is_own(io::endpoint const& where) const {
  io::udp_port const* const port = port_to(where);
  if (port == nullptr) return false;
  io::endpoint const bound = port->local();
  if (!bound.is_unspecified()) return bound == where;
  if (bound.port() != where.port()) return false;
  auto const own = context_.local_addresses();
  return std::any_of(own.begin(), own.end(), [&where](io::endpoint const& a) {
    return contact_memory::host_of(a) == contact_memory::host_of(where);
  });
}

KADORO_DECL std::vector<observation> datagram_transport::observations() const {
  std::vector<observation> words = seen_as_.all();
  for (observation& w : words) w.own = is_own(w.seen);
  return words;
}

KADORO_DECL std::optional<io::endpoint> datagram_transport::session_address(peer_ref const& who) const {
  auto const at = links_.find(who);
  session const* const s = at == links_.end() ? nullptr : usable(at->second);
  return s == nullptr ? std::nullopt : std::optional<io::endpoint>(s->remote);
}

/// To where, by a port or another: sessions last longer than the memory.
KADORO_DECL bool datagram_transport::has_sent_to(io::endpoint const& where) const {
  io::endpoint const host = contact_memory::host_of(where);
  if (contacted_.knows(where, context_.now())) return true;
  return std::any_of(sessions_.begin(), sessions_.end(),
                     [&host](auto const& entry) { return contact_memory::host_of(entry.second.remote) == host; });
}

KADORO_DECL bool datagram_transport::knock(peer_ref const& who, io::endpoint const& where, bytes_view nonce) {
  bool const possible = where.port() != 0 && !where.is_unspecified() && port_to(where) != nullptr && !is_own(where);
  if (closed_ || !possible || who->id() == id_ || links_.contains(who) || has_sent_to(where)) return false;
  auto const key = who->id().ed25519_key();
  if (!key) return false;
  auto const remote_static = crypto::x25519_of(*key);
  if (!remote_static) return false;
  message ping;
  ping.type = message_type::ping;
  ping.key = nonce;
  auto const encoded = encode_request(ping, max_packet_message_bytes, detail::spare().wire);
  if (!encoded) return false;
  frame f;
  f.kind = frame_kind::request;
  f.message = *encoded;
  byte_array<first_flight_bytes> packet{};
  if (!write_first_flight(packet, fresh_index(), *remote_static, &f)) return false;
  contacted_.note(where, context_.now());
  ++counts_.knocks_sent;
  send(where, packet);
  return true;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
