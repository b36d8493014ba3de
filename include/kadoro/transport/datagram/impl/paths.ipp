#pragma once

#include "kadoro/transport/datagram/impl/link.hpp"

/// @file
/// A session whose peer has a new address: nothing but challenges goes there until one is answered from there.

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// The newest packet of a session came from `where`. An older one says nothing: it may have been under way for long.
KADORO_DECL void datagram_transport::note_path(session& s, io::endpoint const& where, frame_kind kind) {
  // Who probes a path, or leaves, does not mean that it has moved.
  if (kind == frame_kind::path_challenge || kind == frame_kind::path_response || kind == frame_kind::goodbye) return;
  if (where == s.remote) return note_home(s);
  time_point const now = context_.now();
  if (!s.paths) s.paths = std::make_unique<path_book>();
  counts_.paths_failed += s.paths->expire(now);
  if (s.paths->may_return(where, now)) {
    ++counts_.paths_returned;
    io::endpoint const left = s.remote;
    move_session(s, where);
    s.paths->settle();
    s.peer->forget_address(left);  // whoever lives there has only passed on what others said
    return;
  }
  path_candidate* const c = s.paths->at(where, now, context_.random());
  if (c == nullptr) return counts_.note(drop::too_many_paths, where);
  if (now < c->next_challenge) return;
  c->next_challenge = now + s.peer->rtt.timeout();
  ++counts_.paths_challenged;
  challenge(s, c->where, path_is_new, c->token);
  challenge(s, s.remote, path_is_home, c->home_token);
}

/// The peer is heard where the session lives: what came from elsewhere, somebody has passed on.
KADORO_DECL void datagram_transport::note_home(session& s) {
  if (s.paths) counts_.paths_failed += s.paths->forget_candidates();
}

KADORO_DECL void datagram_transport::challenge(session& s, io::endpoint const& to, std::uint8_t which,
                                               path_token const& token) {
  byte_array<path_challenge_bytes> body{};
  std::copy(token.begin(), token.end(), body.begin());
  store_endpoint(bytes_span(body).subspan(path_token_bytes), to);
  send_path_frame(s, to, frame_kind::path_challenge, which, body);
}

/// The answer goes back to where it came from, and is not larger: also for a peer that sees us at an address which we
/// do not know.
KADORO_DECL void datagram_transport::on_path_challenge(session& s, io::endpoint const& where, frame const& f) {
  if (f.message.size() != path_challenge_bytes) return counts_.note(drop::malformed, where);
  send_path_frame(s, where, frame_kind::path_response, f.transmission, f.message.first(path_token_bytes));
  if (f.transmission != path_is_new || where != s.remote) return;
  seen_as_.note(load_endpoint(f.message.subspan(path_token_bytes)), where, context_.now());
  // The peer takes what comes from here, but answers to where we were: what is under way has to be asked again.
  link& l = link_of(s.peer);
  for (pending* const p : under_way(l))
    if (!p->is_large()) send_anew(l, *p);  // of a large one, its own timer finds out what is missing
}

KADORO_DECL void datagram_transport::on_path_response(session& s, io::endpoint const& where, bool newest,
                                                      frame const& f) {
  if (f.message.size() != path_token_bytes) return counts_.note(drop::malformed, where);
  time_point const now = context_.now();
  if (s.paths) counts_.paths_failed += s.paths->expire(now);
  path_candidate const* const c = s.paths ? s.paths->of_token(f.message) : nullptr;
  if (c != nullptr && c->where == where) {
    ++counts_.paths_moved;
    io::endpoint const home = s.remote;
    s.paths->leave(home, now);
    return move_session(s, where);
  }
  if (!s.paths || !s.paths->asked_home(f.message)) counts_.note(drop::unexpected, where);
  if (newest && where == s.remote) note_home(s);
}

/// All sessions with that peer that live where this one lived move with it: it is the peer that has moved.
KADORO_DECL void datagram_transport::move_session(session& s, io::endpoint const& to) {
  link& l = link_of(s.peer);
  io::endpoint const from = s.remote;
  for (session* const each : l.sessions)
    if (each->confirmed && each->remote == from) each->remote = to;
  s.peer->add_address(multiaddr::datagram(to, std::nullopt), true);
  nobody_listens_.erase(to);
  if (handler_ != nullptr) handler_->on_peer_confirmed(s.peer);
  if (closed_) return;
  // What has gone to the old address since the peer left it is lost, and so is what came back.
  for (pending* const p : under_way(l)) send_anew(l, *p);
}

/// Not the peer was silent, but the path was gone.
KADORO_DECL void datagram_transport::send_anew(link& l, pending& p) {
  session* const s = usable(l);
  if (s == nullptr) return;
  p.on_session = 0;
  send_on(*s, l, p);
}

KADORO_DECL void datagram_transport::send_path_frame(session& s, io::endpoint const& to, frame_kind kind,
                                                     std::uint8_t which, bytes_view token) {
  frame f;
  f.kind = kind;
  f.transmission = which;
  f.message = token;
  byte_array<path_packet_bytes> packet;
  seal_packet_to(s, to, packet, write_frame(f, bytes_span(packet).subspan(sealed_header_bytes)));
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
