#pragma once

#include "kadoro/transport/datagram/impl/link.hpp"

/// @file
/// What a transport does when first flights come too fast: who sends them first proves that its address is its own.

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// The first flight is not decrypted. Its sender gets a cookie: less than a tenth of what it sent, and at most so many
/// a second.
KADORO_DECL void datagram_transport::give_cookie(io::datagram const& in) {
  counts_.note(drop::no_cookie, in.from);
  time_point const now = context_.now();
  if (!cookies_.take(now)) return;
  ++counts_.cookies_given;
  cookie const what = cookie_maker_.make(in.from, now, context_.random());
  send(in.from, write_cookie(keys_, in.data, what, context_.random()));
}

/// A responder of ours is loaded: the first flight goes there again, and says that our address is ours.
KADORO_DECL void datagram_transport::on_cookie(io::datagram const& in) {
  if (in.data.size() != cookie_packet_bytes) return counts_.note(drop::wrong_size, in.from);
  if (in.data[1] != protocol_version) return counts_.note(drop::wrong_version, in.from);
  if (!keys_.stamped(in.data)) return counts_.note(drop::wrong_mac, in.from);
  auto const at = dials_.find(load_be<std::uint32_t>(in.data.data() + 4));
  if (at == dials_.end()) return counts_.note(drop::unexpected, in.from);
  dial& d = *at->second;
  if (std::find(d.targets.begin(), d.targets.end(), in.from) == d.targets.end())
    return counts_.note(drop::unexpected, in.from);
  auto const what = read_cookie(keys_, d.packet, in.data);
  if (!what) return counts_.note(drop::not_authentic, in.from);
  auto const known = d.cookies.find(in.from);
  if (known != d.cookies.end() && known->second == *what)  // our answer to it is on its way
    return counts_.note(drop::unexpected, in.from);
  d.cookies[in.from] = *what;
  ++counts_.cookies_taken;
  ++d.transmissions;  // so that the time of the answer is not taken for a round trip
  send_first_flight_to(d, in.from);
}

KADORO_DECL void datagram_transport::send_first_flight_to(dial const& d, io::endpoint const& to) {
  auto const known = d.cookies.find(to);
  if (known == d.cookies.end()) return send(to, d.packet);
  byte_array<first_flight_bytes> packet{};
  std::copy(d.packet.begin(), d.packet.end(), packet.begin());
  byte_array<mac_bytes> const mac2 = mac2_of(packet, known->second);
  std::copy(mac2.begin(), mac2.end(), packet.end() - mac_bytes);
  send(to, packet);
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
