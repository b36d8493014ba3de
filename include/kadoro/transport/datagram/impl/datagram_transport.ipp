#pragma once

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/transport/datagram/impl/link.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

// ---- opening and closing --------------------------------------------------------------------------------------------

KADORO_DECL result<std::unique_ptr<datagram_transport>> datagram_transport::open(io::context& context, peer_book& book,
                                                                                 crypto::identity const& self,
                                                                                 options const& how) {
  auto port = context.open_udp(how.listen, how.sharing);
  if (!port) return fail(port.error());
  std::unique_ptr<io::udp_port> also;
  if (how.also_listen) {
    if (how.also_listen->is_v6() == how.listen.is_v6())
      return fail(errc::invalid_argument, "to listen at " + how.listen.to_string() + " and at " +
                                              how.also_listen->to_string() + ": one must be IPv4, the other IPv6");
    auto second = context.open_udp(*how.also_listen, how.sharing);
    if (!second) return fail(second.error());
    also = std::move(*second);
  }
  return std::unique_ptr<datagram_transport>(
      new datagram_transport(context, book, self, how, std::move(*port), std::move(also)));
}

inline datagram_transport::datagram_transport(io::context& context, peer_book& book, crypto::identity const& self,
                                              options const& how, std::unique_ptr<io::udp_port> port,
                                              std::unique_ptr<io::udp_port> also)
    : context_(context),
      book_(book),
      self_(self),
      id_(peer_id::of_ed25519(self.public_key())),
      options_(how),
      keys_(how.swarm_key),
      port_(std::move(port)),
      also_port_(std::move(also)) {
  next_request_ = static_cast<std::uint32_t>(context_.random().next()) | 1u;
  drained_.set();
  port_->set_receiver(this);
  if (also_port_) also_port_->set_receiver(this);
}

KADORO_DECL datagram_transport::~datagram_transport() {
  assert(requests_.empty() && "close() the transport before it is destroyed");
  port_->set_receiver(nullptr);
  if (also_port_) also_port_->set_receiver(nullptr);
}

KADORO_DECL result<std::size_t> datagram_transport::check_record_fits(bytes_view key, wire::record const& what) const {
  return datagram::check_record_fits(key, what);
}

KADORO_DECL std::string datagram_transport::counters_text() const {
  std::string text = "sessions=" + std::to_string(sessions()) +
                     " requests_sent=" + std::to_string(counts_.requests_sent) +
                     " retransmissions=" + std::to_string(counts_.retransmissions) +
                     " requests_received=" + std::to_string(counts_.requests_received) +
                     " requests_failed=" + std::to_string(counts_.requests_failed);
  if (counts_.large_messages_sent + counts_.large_messages_received > 0)
    text += " large_messages_sent=" + std::to_string(counts_.large_messages_sent) +
            " large_messages_received=" + std::to_string(counts_.large_messages_received) +
            " fragments_sent=" + std::to_string(counts_.fragments_sent) +
            " fragments_repeated=" + std::to_string(counts_.fragments_repeated);
  if (counts_.requests_held_back > 0) text += " requests_held_back=" + std::to_string(counts_.requests_held_back);
  if (counts_.rekeys > 0) text += " rekeys=" + std::to_string(counts_.rekeys);
  if (counts_.cookies_given + counts_.cookies_taken > 0)
    text += " cookies_given=" + std::to_string(counts_.cookies_given) +
            " cookies_taken=" + std::to_string(counts_.cookies_taken);
  if (counts_.paths_challenged > 0)
    text += " paths_challenged=" + std::to_string(counts_.paths_challenged) +
            " paths_moved=" + std::to_string(counts_.paths_moved) +
            " paths_failed=" + std::to_string(counts_.paths_failed) +
            " paths_returned=" + std::to_string(counts_.paths_returned);
  if (counts_.records_passed_over > 0) text += " records_passed_over=" + std::to_string(counts_.records_passed_over);
  for (std::size_t i = 0; i < counts_.dropped.size(); ++i) {
    if (counts_.dropped[i].count == 0) continue;
    std::string name(to_string(static_cast<drop>(i)));
    std::replace(name.begin(), name.end(), ' ', '_');
    text += " dropped_" + name + "=" + std::to_string(counts_.dropped[i].count) +
            "(last:" + counts_.dropped[i].last_from.to_string() + ")";
  }
  io::udp_counters const of_ports = port_counts();
  for (auto const& [name, count] : {std::pair{" dropped_unread=", of_ports.dropped_unread},
                                    std::pair{" dropped_queue_full=", of_ports.dropped_queue_full},
                                    std::pair{" dropped_by_system=", of_ports.dropped_by_system},
                                    std::pair{" dropped_too_long=", of_ports.truncated}})
    if (count > 0) text += name + std::to_string(count);
  return text;
}

KADORO_DECL coro::task<void> datagram_transport::close() {
  if (!closed_) {
    closed_ = true;
    frame bye;
    bye.kind = frame_kind::goodbye;
    for (auto& [index, s] : sessions_)
      if (s.confirmed) seal_and_send(s, bye);
    for (auto& [number, p] : requests_)
      complete(*p, fail(errc::closed, "closed before " + p->to->id().to_string() + " answered"));
    context_.disarm(cleaner_);
    for (auto& [who, l] : links_) {
      end_dial(l, {});
      if (l.large) l.large->answers.clear();
    }
  }
  auto const drained = co_await drained_.wait();
  static_cast<void>(drained);                               // a cancelled close has said its goodbyes too
  auto const turn = co_await coro::sleep_for(duration(1));  // one loop turn, in which the goodbyes are flushed
  static_cast<void>(turn);
  while (!sessions_.empty()) close_session(sessions_.begin()->second);  // their keys too
  for (auto at = links_.begin(); at != links_.end();) drop_link_if_idle((at++)->second);
}

// ---- requests of ours -----------------------------------------------------------------------------------------------

KADORO_DECL coro::task<result<message>> datagram_transport::request(peer_ref to, message const& what) {
  pending p(*this, std::move(to));
  prepare(p, what);
  auto const waited = co_await p.done.wait();
  if (!waited) co_return fail(waited.error());
  co_return std::move(p.outcome->what);
}

/// Begins it, or sets what has come of it. Apart from the coroutine, whose frame would keep all of this while it waits.
KADORO_DECL void datagram_transport::prepare(pending& p, message const& what) {
  p.kind = work_of(what.type);
  p.read_only = is_read(what.type);
  if (auto told = still_paused(*p.to, what)) return complete(p, std::move(*told));
  bool const fragments = (options_.features & feature_fragments) != 0;
  auto encoded =
      encode_request(what, fragments ? max_large_message_bytes : max_packet_message_bytes, detail::spare().wire);
  if (!encoded) return complete(p, fail(encoded.error()));
  p.encoded = std::move(*encoded);
  if (auto refused = begin(p)) complete(p, fail(std::move(*refused)));
}

KADORO_DECL std::optional<error> datagram_transport::begin(pending& p) {
  if (closed_) return error(errc::closed, "this transport is closed");
  if (p.to->id() == id_) return error(errc::invalid_argument, "a request to ourselves");
  if (requests_.size() >= max_requests)
    return error(errc::queue_full, std::to_string(max_requests) + " requests are under way already");
  if (auto full = too_many_requests_to(*p.to)) return full;
  while (next_request_ == 0 || requests_.contains(next_request_)) ++next_request_;
  p.id = next_request_++;
  p.begun = p.progress = context_.now();
  requests_.emplace(p.id, &p);
  count_request(p);
  drained_.reset();
  ++counts_.requests_sent;
  link& l = link_of(p.to);
  session* const s = usable(l);
  if (s != nullptr) {
    send_on(*s, l, p);
    return {};
  }
  auto failure = await_session(l, p);
  if (failure) drop_link_if_idle(l);
  return failure;
}

/// Lets `p` wait for the session that a dial will bring. A request only ever waits while a dial runs.
KADORO_DECL std::optional<error> datagram_transport::await_session(link& l, pending& p) {
  p.where.link_before(l.waiting);
  auto failure = l.dialling ? std::nullopt : start_dial(l, &p);
  if (failure)
    p.where.unlink();
  else
    for (session* const s : l.sessions) send_early(*s, l);
  return failure;
}

/// The first transmission, or another one.
KADORO_DECL void datagram_transport::send_on(session& s, link& l, pending& p) {
  if (p.is_large()) return send_in_fragments(l, p);
  frame f;
  f.kind = frame_kind::request;
  f.id = p.id;
  f.transmission = p.transmissions;
  f.message = p.encoded;
  seal_and_send(s, f);
  p.sent_at[p.transmissions % p.sent_at.size()] = context_.now();
  if (p.transmissions > 0) ++counts_.retransmissions;
  ++p.transmissions;
  ++p.on_session;
  p.timeout = p.on_session == 1 ? l.who->rtt.timeout() : 2 * p.timeout;
  p.where.link_before(l.in_flight);
  context_.arm(p.silence, next_look(p.progress, p.timeout));
}

/// When to look again after a transmission: after `timeout`, but not after the patience, which began then, has run out.
KADORO_DECL time_point datagram_transport::next_look(time_point since, duration timeout) const {
  time_point const now = context_.now();
  return std::min(now + timeout, std::max(since + options_.patience, now + rtt_estimator::min_timeout));
}

KADORO_DECL void datagram_transport::send_waiting(session& s, link& l) {
  for (coro::list_node* at = l.waiting.next(); at != &l.waiting;) {
    pending& p = static_cast<pending::place&>(*at).owner;
    at = at->next();
    send_on(s, l, p);
  }
}

/// Nobody answered in time: send again, perhaps dial again, or give up.
KADORO_DECL void datagram_transport::on_silence(pending& p) {
  link& l = link_of(p.to);
  time_point const now = context_.now();
  if (is_queued(l, p)) {
    pump(l);
    return context_.arm(p.silence, now + p.timeout);
  }
  if (now - p.progress >= options_.patience || now - p.begun >= long_patience * options_.patience) {
    bool const dead = p.to->last_heard <= p.begun && p.to->lost_at < p.begun;  // one outage is one loss
    if (dead)
      while (!l.sessions.empty()) close_session(*l.sessions.back());
    error const why = no_answer(*p.to, p.transmissions);
    peer_ref const lost = p.to;
    ++counts_.requests_failed;
    complete(p, fail(why));
    drop_link_if_idle(l);
    if (dead) lose(lost, why);
    return;
  }
  static constexpr duration long_silence = std::chrono::seconds(1);  // where the timeout is long, one is enough
  bool const suspicious = p.on_session >= 2 || now - p.progress >= long_silence;
  session* const s = usable(l);
  if (s != nullptr) {
    bool const dialling = l.dialling != nullptr;
    send_on(*s, l, p);
    if (p.done.is_set()) return;
    // Without an address to dial, the session is all we have.
    if (suspicious && !dialling && !l.dialling) static_cast<void>(start_dial(l, &p));
    return;
  }
  if (auto failure = await_session(l, p)) {
    ++counts_.requests_failed;
    complete(p, fail(std::move(*failure)));
    drop_link_if_idle(l);
  }
}

/// A whole schedule went unanswered.
KADORO_DECL void datagram_transport::lose(peer_ref const& who, error const& why) {
  ++who->unanswered;
  who->lost_at = context_.now();
  if (handler_ != nullptr) handler_->on_peer_lost(who, why);
}

KADORO_DECL void datagram_transport::complete(pending& p, result<message> outcome) {
  p.outcome = std::make_unique<pending::finished>(std::move(outcome));
  p.where.unlink();
  context_.disarm(p.silence);
  if (p.in_fragments) p.in_fragments->where.unlink();
  p.done.set();
}

KADORO_DECL error datagram_transport::no_answer(peer const& to, std::size_t transmissions) const {
  std::string text = to.id().to_string();
  bool nobody_listens = false;
  for (peer::address const& a : to.addresses()) {
    text += text.find(" at ") == std::string::npos ? " at " : ", ";
    text += a.where.to_string();
    auto const where = a.where.udp_endpoint();
    nobody_listens = nobody_listens || (where && nobody_listens_.contains(*where));
  }
  text += ": no answer to " + std::to_string(transmissions) + " transmissions; it is down or unreachable";
  text += nobody_listens ? " (its system says that nobody listens there)" : ", or its swarm key differs from ours";
  return error(errc::no_answer, std::move(text));
}

// ---- dials ----------------------------------------------------------------------------------------------------------

/// Nothing on success. Where the peer is calling us there is a session as soon as it has our answer, and we call only
/// if there is none by then: if both ends did, each of them would pay for two handshakes.
KADORO_DECL std::optional<error> datagram_transport::start_dial(link& l, pending* carried) {
  std::vector<io::endpoint> targets = dial_targets(*l.who);
  if (targets.empty())
    return error(errc::unreachable, l.who->id().to_string() + ": no address known that a UDP socket of " +
                                        std::string(families()) + " can dial");
  if (!l.remote_static) {
    auto const key = l.who->id().ed25519_key();
    if (!key) return error(errc::unreachable, l.who->id().to_string() + ": not an Ed25519 peer id");
    auto const worked_out = crypto::x25519_of(*key);
    if (!worked_out) return error(errc::unreachable, l.who->id().to_string() + ": its key is no valid point");
    l.remote_static = *worked_out;
  }
  l.dialling = std::make_unique<dial>(*this, l);
  dial& d = *l.dialling;
  d.targets = std::move(targets);
  d.begun = context_.now();
  d.timeout = l.who->rtt.timeout();
  if (auto const until = called_until(d); until && carried != nullptr) {
    context_.arm(d, std::min(*until, d.begun + options_.patience));
    return {};
  }
  auto failure = call(d, carried);
  if (failure) end_dial(l, {});
  return failure;
}

/// How long the peer's own call, from an address that we would dial, may still become a session. Nothing: it does not
/// call, or too few have told us where they see us, which only the answer to a call of ours does.
KADORO_DECL std::optional<time_point> datagram_transport::called_until(dial const& d) const {
  time_point const now = context_.now();
  if (!seen_as_.known(now)) return std::nullopt;
  std::optional<time_point> until;
  for (session const* s : d.towards.sessions)
    if (!s->confirmed && s->created + d.timeout > now &&
        std::find(d.targets.begin(), d.targets.end(), s->remote) != d.targets.end())
      until = s->created + d.timeout;
  return until;
}

/// Sends the first flight, which carries `carried` if that is a read.
KADORO_DECL std::optional<error> datagram_transport::call(dial& d, pending* carried) {
  d.index = fresh_index();
  // One whose answer has begun to come over a session stays there: what fits into a handshake would cut it short.
  bool const rides = carried != nullptr && carried->read_only && carried->progress == carried->begun &&
                     carried->encoded.size() <= max_first_flight_message_bytes;
  frame f;
  if (rides) {
    f.kind = frame_kind::request;
    f.id = carried->id;
    f.transmission = carried->transmissions;
    f.message = carried->encoded;
    carried->sent_at[carried->transmissions % carried->sent_at.size()] = context_.now();
    ++carried->transmissions;
    d.carried_request = carried->id;
  }
  d.packet.resize(first_flight_bytes);
  d.handshake = write_first_flight(d.packet, d.index, *d.towards.remote_static, rides ? &f : nullptr);
  if (!d.handshake) return error(errc::unreachable, d.towards.who->id().to_string() + ": its key is no valid point");
  d.called = context_.now();
  for (io::endpoint const& to : d.targets) contacted_.note(to, d.called);
  dials_.emplace(d.index, &d);
  send_first_flight(d);
  return {};
}

/// Writes a first flight, with a request inside or without. Nothing if that key is no valid point.
KADORO_DECL std::optional<crypto::noise_handshake> datagram_transport::write_first_flight(
    bytes_span packet, std::uint32_t index, byte_array<32> const& remote_static, frame const* carried) {
  packet[0] = static_cast<std::uint8_t>(packet_type::first_flight);
  packet[1] = protocol_version;
  store_be(packet.data() + 4, index);
  byte_array<first_flight_payload_bytes> payload{};
  store_be(payload.data(), options_.features);
  payload[4] = static_cast<std::uint8_t>(options_.mode);
  std::copy(self_.public_key().begin(), self_.public_key().end(), payload.begin() + 5);
  if (carried != nullptr) {
    std::size_t const size = write_frame(*carried, bytes_span(payload).subspan(first_flight_prefix_bytes));
    store_be(payload.data() + first_flight_prefix_bytes - 2, static_cast<std::uint16_t>(size));
  }
  auto const prologue = prologue_of(packet);
  crypto::noise_handshake handshake(keys_.psk() != nullptr ? crypto::noise_pattern::ikpsk1 : crypto::noise_pattern::ik,
                                    true, prologue, self_.x25519(), &remote_static, keys_.psk(), context_.random());
  auto const written = handshake.write(payload, packet.subspan(first_flight_header_bytes, first_flight_noise_bytes));
  if (!written) return std::nullopt;
  keys_.stamp(packet.first(first_flight_bytes - mac_bytes));
  return handshake;
}

KADORO_DECL void datagram_transport::send_first_flight(dial& d) {
  for (io::endpoint const& to : d.targets) send_first_flight_to(d, to);
  ++d.transmissions;
  ++counts_.first_flights_sent;
  context_.arm(d, next_look(d.begun, d.timeout));
  d.timeout *= 2;
}

/// If nothing has been heard from that peer by any way, its other addresses have their turn next.
KADORO_DECL void datagram_transport::give_up(dial const& d) {
  peer& who = *d.towards.who;
  if (who.last_heard >= d.begun) return;
  for (io::endpoint const& where : d.targets) who.set_silent(where);
}

KADORO_DECL void datagram_transport::on_dial_silence(dial& d) {
  link& l = d.towards;
  if (!d.handshake && l.wanted()) {                                               // its own call has come to nothing
    coro::list_node const& those = l.waiting.linked() ? l.waiting : l.in_flight;  // they went out behind our answer
    if (auto failure = call(d, &static_cast<pending::place&>(*those.next()).owner)) end_dial(l, std::move(failure));
    return drop_link_if_idle(l);
  }
  time_point const end = d.begun + options_.patience;
  if (context_.now() < end && (l.wanted() || d.rekeys)) return send_first_flight(d);
  if (!l.wanted()) {  // nobody waits any more, but a late answer still tells that the peer lives
    if (d.handshake && context_.now() < end) return context_.arm(d, end);
    if (d.handshake) give_up(d);
    end_dial(l, {});
    drop_link_if_idle(l);
    return;
  }
  peer_ref const lost = l.who;
  error const why = no_answer(*lost, d.transmissions);
  bool const dead = usable(l) == nullptr && lost->lost_at < d.begun;
  give_up(d);
  std::vector<pending*> late;  // they joined a dial that had begun before, and have patience left
  for (coro::list_node* at = l.waiting.next(); at != &l.waiting; at = at->next()) {
    pending& p = static_cast<pending::place&>(*at).owner;
    if (d.rekeys || p.begun > d.begun) late.push_back(&p);
  }
  for (pending* const p : late) p->where.unlink();
  end_dial(l, why);
  for (pending* const p : late) {
    if (auto failure = await_session(l, *p)) {
      ++counts_.requests_failed;
      complete(*p, fail(std::move(*failure)));
    }
  }
  drop_link_if_idle(l);
  if (dead) lose(lost, why);
}

/// Forgets the dial; with a failure, fails the requests that wait for it.
KADORO_DECL void datagram_transport::end_dial(link& l, std::optional<error> failure) {
  if (!l.dialling) return;
  dials_.erase(l.dialling->index);
  l.dialling.reset();
  if (!failure) return;
  while (l.waiting.linked()) {
    ++counts_.requests_failed;
    complete(static_cast<pending::place&>(*l.waiting.next()).owner, fail(*failure));
  }
}

// ---- what comes in --------------------------------------------------------------------------------------------------

KADORO_DECL void datagram_transport::on_datagrams(std::span<io::datagram> batch) {
  if (closed_) return;
  for (io::datagram const& in : batch) {
    switch (in.data.empty() ? packet_type{} : static_cast<packet_type>(in.data[0])) {
      case packet_type::first_flight: on_first_flight(in); break;
      case packet_type::answer: on_answer(in); break;
      case packet_type::sealed: on_sealed(in); break;
      case packet_type::other_identity: on_other_identity(in); break;
      case packet_type::cookie: on_cookie(in); break;
      default: counts_.note(drop::unknown_type, in.from);
    }
  }
  if (!words_.empty()) send_words();
}

KADORO_DECL void datagram_transport::on_unreachable(io::endpoint const& to) {
  static constexpr std::size_t max_hints = 256;
  if (nobody_listens_.size() >= max_hints) nobody_listens_.clear();
  nobody_listens_[to] = context_.now();
}

/// mac1, replay cache, cookie if loaded, rate limit, decryption, identity: the cheap checks come first, and until the
/// session is confirmed nothing is remembered of the peer.
KADORO_DECL void datagram_transport::on_first_flight(io::datagram const& in) {
  time_point const now = context_.now();
  if (in.data.size() != first_flight_bytes) return counts_.note(drop::wrong_size, in.from);
  if (in.data[1] != protocol_version) return counts_.note(drop::wrong_version, in.from);
  if (!keys_.stamped(in.data.first(first_flight_bytes - mac_bytes))) return counts_.note(drop::wrong_mac, in.from);
  bytes_view const ephemeral = in.data.subspan(first_flight_header_bytes, key_bytes);
  if (auto const* known = first_flights_.find(ephemeral)) {
    if (known->from != in.from || known->answer.empty() || now - known->when >= first_flight_cache::answer_life)
      return counts_.note(drop::replayed, in.from);
    ++counts_.first_flights_repeated;
    return send(in.from, known->answer);
  }
  if (load_.note(now) && !cookie_maker_.knows(in.data, in.from, now)) return give_cookie(in);
  if (!handshakes_.take(in.from.range(), now)) return counts_.note(drop::rate_limited, in.from);
  if (auto const full = make_room_for_session(in.from, false, session::idle_before_eviction))
    return counts_.note(*full, in.from);

  auto const prologue = prologue_of(in.data);
  crypto::noise_handshake handshake(keys_.psk() != nullptr ? crypto::noise_pattern::ikpsk1 : crypto::noise_pattern::ik,
                                    false, prologue, self_.x25519(), nullptr, keys_.psk(), context_.random());
  byte_array<first_flight_payload_bytes> payload{};
  auto const read = handshake.read(in.data.subspan(first_flight_header_bytes, first_flight_noise_bytes), payload);
  if (!read) return say_who_we_are(in);

  byte_array<32> claimed{};
  std::copy_n(payload.begin() + 5, claimed.size(), claimed.begin());
  if (claimed == self_.public_key() || !belong_together(claimed, *handshake.remote_static()))
    return counts_.note(drop::wrong_identity, in.from);
  std::size_t const frame_size = load_be<std::uint16_t>(payload.data() + first_flight_prefix_bytes - 2);
  if (frame_size > payload.size() - first_flight_prefix_bytes) return counts_.note(drop::malformed, in.from);
  ++counts_.first_flights_received;

  peer_ref const who = book_.intern(peer_id::of_ed25519(claimed));
  std::uint32_t const index = fresh_index();
  byte_array<max_answer_payload_bytes> reply{};
  store_be(reply.data(), index);
  store_be(reply.data() + 4, options_.features);
  reply[8] = static_cast<std::uint8_t>(options_.mode);
  store_endpoint(bytes_span(reply).subspan(9), in.from);
  std::size_t answered = 0;
  if (frame_size > 0) {
    auto const f = read_frame(bytes_view(payload).subspan(first_flight_prefix_bytes, frame_size));
    if (f && f->kind == frame_kind::request) {
      bool const more_later = speaks_fragments(load_be<std::uint32_t>(payload.data()));
      answered = serve(who, in.from, *f, false, bytes_span(reply).subspan(answer_prefix_bytes),
                       max_handshake_message_bytes, more_later ? oversized::ask_again : oversized::pass_over)
                     .frame.size();
    } else {
      counts_.note(drop::malformed, in.from);
    }
  }
  store_be(reply.data() + 28, static_cast<std::uint16_t>(answered));

  byte_array<max_answer_bytes> packet{};
  packet[0] = static_cast<std::uint8_t>(packet_type::answer);
  packet[1] = protocol_version;
  store_be(packet.data() + 4, index);
  std::uint32_t const remote_index = load_be<std::uint32_t>(in.data.data() + 4);
  store_be(packet.data() + 8, remote_index);
  auto const written = handshake.write(bytes_view(reply).first(answer_prefix_bytes + answered),
                                       bytes_span(packet).subspan(answer_header_bytes));
  if (!written) return counts_.note(drop::wrong_identity, in.from);
  bytes_span const whole = bytes_span(packet).first(answer_header_bytes + *written + mac_bytes);
  keys_.stamp(whole);
  send(in.from, whole);
  first_flights_.remember(ephemeral, in.from, whole, now);

  link& l = link_of(who);
  l.remote_static = *handshake.remote_static();
  session* const s = open_session(l, in.from, handshake.split(), index, remote_index, false);
  s->remote_features = load_be<std::uint32_t>(payload.data());
  s->remote_mode = payload[4] == static_cast<std::uint8_t>(peer_mode::client) ? peer_mode::client : peer_mode::server;
  s->allowance = max_amplification * in.data.size() - whole.size();
  s->first_flight = to_bytes(ephemeral);
  send_early(*s, l);
}

/// Whether that is the static key of whoever has that public key. Working it out costs more than a key exchange: where
/// there is a session, or a dial, that has been done.
KADORO_DECL bool datagram_transport::belong_together(byte_array<32> const& claimed,
                                                     byte_array<32> const& remote_static) const {
  auto const known = links_.find(peer_id::of_ed25519(claimed));
  if (known != links_.end() && known->second.remote_static) return *known->second.remote_static == remote_static;
  auto const worked_out = crypto::x25519_of(claimed);
  return worked_out && *worked_out == remote_static;
}

/// Both ends want to talk: what waits for our own dial need not wait for its answer, or for its beginning. It goes out
/// behind our answer, where only the holder of the initiator's ephemeral key can read it, and only to an address that
/// we would dial anyway.
KADORO_DECL void datagram_transport::send_early(session& s, link& l) {
  if (s.confirmed || !l.dialling ||
      std::find(l.dialling->targets.begin(), l.dialling->targets.end(), s.remote) == l.dialling->targets.end())
    return;
  for (coro::list_node* at = l.waiting.next(); at != &l.waiting;) {
    pending& p = static_cast<pending::place&>(*at).owner;
    at = at->next();
    std::size_t const size = sealed_header_bytes + frame_header_bytes + p.encoded.size() + tag_bytes;
    if (p.id == l.dialling->carried_request || p.is_large() || size > s.allowance) continue;
    s.allowance -= size;
    send_on(s, l, p);
  }
}

/// Whoever has the swarm key learns who lives here, so that it can say what is wrong.
KADORO_DECL void datagram_transport::say_who_we_are(io::datagram const& in) {
  counts_.note(drop::other_identity, in.from);
  if (!introductions_.take(context_.now())) return;
  byte_array<other_identity_bytes> packet{};
  packet[0] = static_cast<std::uint8_t>(packet_type::other_identity);
  packet[1] = protocol_version;
  std::copy_n(in.data.begin() + 4, 4 + key_bytes, packet.begin() + 4);  // its index and its ephemeral key
  std::copy(self_.public_key().begin(), self_.public_key().end(), packet.begin() + 8 + key_bytes);
  keys_.stamp(packet);
  send(in.from, packet);
}

KADORO_DECL void datagram_transport::on_other_identity(io::datagram const& in) {
  if (in.data.size() != other_identity_bytes) return counts_.note(drop::wrong_size, in.from);
  if (!keys_.stamped(in.data)) return counts_.note(drop::wrong_mac, in.from);
  auto const at = dials_.find(load_be<std::uint32_t>(in.data.data() + 4));
  if (at == dials_.end() || !equal(in.data.subspan(8, key_bytes),
                                   bytes_view(at->second->packet).subspan(first_flight_header_bytes, key_bytes)))
    return counts_.note(drop::unexpected, in.from);
  dial& d = *at->second;
  if (std::erase(d.targets, in.from) == 0) return counts_.note(drop::unexpected, in.from);
  d.towards.who->set_silent(in.from);
  if (!d.targets.empty()) return;  // the identity may still live at another of its addresses
  byte_array<32> key{};
  std::copy_n(in.data.begin() + 8 + key_bytes, key.size(), key.begin());
  link& l = d.towards;
  peer_ref const lost = l.who;
  error const why(errc::wrong_identity, lost->id().to_string() + ": at " + in.from.to_string() + " lives " +
                                            peer_id::of_ed25519(key).to_string() + " instead");
  bool const had_session = usable(l) != nullptr;
  end_dial(l, why);
  drop_link_if_idle(l);
  if (!had_session) lose(lost, why);
}

KADORO_DECL void datagram_transport::on_answer(io::datagram const& in) {
  if (in.data.size() < answer_header_bytes + key_bytes + answer_prefix_bytes + tag_bytes + mac_bytes ||
      in.data.size() > max_answer_bytes)
    return counts_.note(drop::wrong_size, in.from);
  if (in.data[1] != protocol_version) return counts_.note(drop::wrong_version, in.from);
  if (!keys_.stamped(in.data)) return counts_.note(drop::wrong_mac, in.from);
  auto const at = dials_.find(load_be<std::uint32_t>(in.data.data() + 8));
  if (at == dials_.end()) return counts_.note(drop::unexpected, in.from);
  dial& d = *at->second;
  // Whoever has seen it can send it on, from anywhere; that would become an address of the peer.
  if (std::find(d.targets.begin(), d.targets.end(), in.from) == d.targets.end())
    return counts_.note(drop::unexpected, in.from);
  byte_array<max_answer_payload_bytes> payload{};
  auto const size = d.handshake->read(
      in.data.subspan(answer_header_bytes, in.data.size() - answer_header_bytes - mac_bytes), payload);
  if (!size) return counts_.note(drop::not_authentic, in.from);
  std::uint32_t const remote_index = load_be<std::uint32_t>(payload.data());
  std::size_t const frame_size = load_be<std::uint16_t>(payload.data() + 28);
  if (remote_index != load_be<std::uint32_t>(in.data.data() + 4) || frame_size != *size - answer_prefix_bytes)
    return counts_.note(drop::malformed, in.from);

  link& l = d.towards;
  if (d.transmissions == 1) l.who->rtt.sample(context_.now() - d.called);
  observed_ = load_endpoint(bytes_view(payload).subspan(9));
  seen_as_.note(*observed_, in.from, context_.now());

  static_cast<void>(make_room_for_session(in.from, true, duration::zero()));
  session* s = open_session(l, in.from, d.handshake->split(), d.index, remote_index, true);
  s->initiated = true;
  s->remote_features = load_be<std::uint32_t>(payload.data() + 4);
  s->remote_mode = payload[8] == static_cast<std::uint8_t>(peer_mode::client) ? peer_mode::client : peer_mode::server;
  ++counts_.sessions_opened;
  bool const sent_once = d.transmissions == 1;
  end_dial(l, {});
  if (frame_size > 0) {
    auto const f = read_frame(bytes_view(payload).subspan(answer_prefix_bytes, frame_size));
    if (f && f->kind == frame_kind::answer)
      on_answer_frame(l.who, in.from, *f, sent_once);
    else
      counts_.note(drop::malformed, in.from);
  }
  confirm(*s, l);
  if (s->next_counter == 0) seal_and_send(*s, frame());  // the responder needs a proof that we hold the keys
}

KADORO_DECL void datagram_transport::on_sealed(io::datagram const& in) {
  if (in.data.size() < sealed_header_bytes + frame_header_bytes + tag_bytes || in.data.size() > max_packet_bytes)
    return counts_.note(drop::wrong_size, in.from);
  auto const at = sessions_.find(load_be<std::uint32_t>(in.data.data() + 4));
  if (at == sessions_.end()) return counts_.note(drop::unknown_session, in.from);
  session& s = at->second;
  if (!s.confirmed && in.from != s.remote) return counts_.note(drop::unexpected, in.from);  // proves nothing of it
  std::uint64_t const counter = load_be<std::uint64_t>(in.data.data() + 8);
  time_point const now = context_.now();
  if (counter / 2 >= options_.session_packets ||
      (now - session::unconfirmed_life - s.created) / 2 >= options_.session_age)
    return counts_.note(drop::session_worn_out, in.from);  // the sender's clock has begun a little later, or slower
  if (!s.window.fresh(counter)) return counts_.note(drop::duplicate, in.from);
  bytes_span const sealed = in.data.subspan(sealed_header_bytes);
  bytes_span const plain = sealed.first(sealed.size() - tag_bytes);
  if (!crypto::open(s.receive_key, counter, in.data.first(sealed_header_bytes), sealed, plain))
    return counts_.note(drop::not_authentic, in.from);
  bool const newest = counter >= s.window.next();
  s.window.mark(counter);
  s.last_received = now;
  bool const was_lost = s.peer->unanswered > 0;
  s.peer->last_heard = now;
  if (!s.confirmed || was_lost) confirm(s, link_of(s.peer));

  auto const f = read_frame(plain);
  if (!f) return counts_.note(drop::malformed, in.from);
  peer_ref const from = s.peer;
  if (newest && (in.from != s.remote || s.paths)) note_path(s, in.from, f->kind);
  if (closed_) return;
  switch (f->kind) {
    case frame_kind::confirm: return;
    case frame_kind::answer: return on_answer_frame(from, in.from, *f, true);
    case frame_kind::request: return on_request_frame(s, in.from, *f, false);
    case frame_kind::fragment: return on_fragment(s, in.from, *f);
    case frame_kind::fragments_arrived: return on_fragments_arrived(s, in.from, *f);
    case frame_kind::path_challenge: return on_path_challenge(s, in.from, *f);
    case frame_kind::path_response: return on_path_response(s, in.from, newest, *f);
    case frame_kind::goodbye: {
      link& l = link_of(from);
      error const why(errc::closed, from->id().to_string() + " left");
      while (!l.sessions.empty()) close_session(*l.sessions.back());
      while (l.in_flight.linked()) complete(static_cast<pending::place&>(*l.in_flight.next()).owner, fail(why));
      if (l.large) {
        l.large->answers.clear();
        l.large->incoming = reassembly();
      }
      drop_link_if_idle(l);
      if (handler_ != nullptr) handler_->on_peer_lost(from, why);
      return;
    }
  }
}

/// A request that came in one packet, or was put together.
KADORO_DECL void datagram_transport::on_request_frame(session& s, io::endpoint const& where, frame const& f,
                                                      bool assembled) {
  peer_ref const from = s.peer;
  if (!assembled && sending_memory_.used() > 0 &&
      is_being_answered(link_of(from), f.id))  // it need not ask again, only wait
    return owe_word(s, {frame_kind::request, f.id, f.transmission, fragments_arrived::all, 0});
  byte_array<max_frame_bytes> reply;
  bool const fragments = speaks_fragments(s.remote_features);
  served_answer answer = serve(from, where, f, true, reply,
                               fragments ? max_large_message_bytes : max_packet_message_bytes, oversized::pass_over);
  if (closed_) return;
  if (assembled) remember_served(s, f, answer);
  if (!answer.large.empty()) return answer_in_fragments(link_of(from), f, std::move(answer.large));
  if (!answer.frame.empty()) seal_and_send(s, *read_frame(answer.frame));
}

/// The request that this answers; null if nobody waits for that.
KADORO_DECL datagram_transport::pending* datagram_transport::asker_of(peer_ref const& from, frame const& f) {
  auto const at = requests_.find(f.id);
  return at == requests_.end() || at->second->to != from || at->second->done.is_set() ? nullptr : at->second;
}

/// `exact`: it is known which transmission the answer answers, so its time may be taken.
KADORO_DECL void datagram_transport::on_answer_frame(peer_ref const& from, io::endpoint const& where, frame const& f,
                                                     bool exact) {
  pending* const p = asker_of(from, f);
  if (p == nullptr) return counts_.note(drop::unexpected, where);
  if (f.transmission >= p->transmissions) return counts_.note(drop::malformed, where);
  if (exact && !p->is_large() && p->transmissions - f.transmission <= static_cast<int>(p->sent_at.size()))
    from->rtt.sample(context_.now() - p->sent_at[f.transmission % p->sent_at.size()]);
  take_answer(*p, where, to_bytes(f.message));
}

KADORO_DECL void datagram_transport::take_answer(pending& p, io::endpoint const& where, bytes encoded) {
  auto const storage = std::allocate_shared<bytes const>(pooled_allocator<bytes>(), std::move(encoded));
  auto decoded = decode_answer(*storage, book_, id_, detail::spare().wire);
  if (!decoded) return counts_.note(drop::malformed, where);
  decoded->storage = storage;
  ++counts_.answers_received;
  if (p.kind && decoded->refusal == errc::refused_rate)
    p.to->pause(*p.kind, context_.now(), std::chrono::milliseconds(decoded->retry_after_ms));
  complete(p, std::move(decoded));
}

/// Lets the handler answer a request. The whole answer frame goes to `place` if it fits there, else its message comes
/// back by itself; it has at most `room` bytes.
KADORO_DECL datagram_transport::served_answer datagram_transport::serve(peer_ref const& from, io::endpoint const& where,
                                                                        frame const& f, bool may_write,
                                                                        bytes_span place, std::size_t room,
                                                                        oversized large) {
  auto request = may_write ? decode_request(f.message, book_, id_, detail::spare().wire)
                           : decode_request(f.message, detail::spare().wire);
  if (!request) {
    counts_.note(drop::malformed, where);
    return {};
  }
  if (!may_write && !is_read(request->type)) {
    counts_.note(drop::write_in_first_flight, where);
    return {};
  }
  if (handler_ == nullptr) return {};
  if (!may_write && request->type == message_type::ping && !request->key.empty())
    request->unsolicited = !has_sent_to(where);
  ++counts_.requests_received;
  detail::spare_messages& spare = detail::spare();
  detail::reset_at_end const ends(spare.answer);
  spare.answer.type = request->type;
  served_answer out;
  if (handler_->on_request(from, *request, spare.answer) == handler::reply::send) {
    cut_answer(spare.answer, room, large, spare.page);
    counts_.records_passed_over += spare.page.passed_over;
    out = write_answer(spare.page.what, spare.page.bytes_at_most, f, place, room);
  }
  return out;
}

KADORO_DECL datagram_transport::served_answer datagram_transport::write_answer(wire::message const& answer,
                                                                               std::size_t bytes_at_most,
                                                                               frame const& f, bytes_span place,
                                                                               std::size_t room) {
  served_answer out;
  bytes_span const body = place.subspan(frame_header_bytes);
  if (bytes_at_most > body.size()) {
    std::size_t const size = wire::encoded_size(answer);  // the cursors may not be needed
    if (size > body.size()) {
      if (size > room) return {};
      out.large.resize(size);
      static_cast<void>(wire::encode(answer, out.large));
      return out;
    }
  }
  std::size_t const size = wire::encode_fitting(answer, body);
  frame reply;
  reply.kind = frame_kind::answer;
  reply.id = f.id;
  reply.transmission = f.transmission;
  write_frame(reply, place);
  out.frame = place.first(frame_header_bytes + size);
  return out;
}

// ---- sessions -------------------------------------------------------------------------------------------------------

KADORO_DECL session* datagram_transport::open_session(link& l, io::endpoint const& remote,
                                                      crypto::noise_keys const& keys, std::uint32_t local_index,
                                                      std::uint32_t remote_index, bool confirmed) {
  if (l.sessions.size() == max_sessions_per_peer) {
    // What is confirmed does not give way to what anybody may have replayed; and where both ends dial at once, none
    // drops the one that the other has just made.
    auto const victim = std::find_if(l.sessions.begin(), l.sessions.end(),
                                     [confirmed](session* s) { return s->confirmed == confirmed; });
    close_session(victim != l.sessions.end() ? **victim : *l.sessions.front());
  }
  session* const s = &sessions_[local_index];
  s->local_index = local_index;
  s->remote_index = remote_index;
  s->peer = l.who;
  s->remote = remote;
  s->send_key = keys.send;
  s->receive_key = keys.receive;
  s->confirmed = confirmed;
  s->created = s->last_received = context_.now();
  s->range = counted_range(remote);
  ranges_.add(s->range);
  if (!confirmed) {
    ++unconfirmed_;
    unconfirmed_ranges_.add(s->range);
  }
  l.sessions.push_back(s);
  if (!cleaner_.armed()) context_.arm(cleaner_, context_.now() + session::unconfirmed_life);
  return s;
}

/// The peer holds the keys and lives where it says: now, and only now, it is learned.
KADORO_DECL void datagram_transport::confirm(session& s, link& l) {
  if (!s.confirmed) {
    s.confirmed = true;
    if (!s.first_flight.empty()) first_flights_.note_arrival(std::exchange(s.first_flight, {}));
    --unconfirmed_;
    unconfirmed_ranges_.remove(s.range);
    ++counts_.sessions_accepted;
  }
  if (l.dialling && !l.dialling->handshake) end_dial(l, {});  // nobody need call any more
  peer& who = *l.who;
  who.mode = s.remote_mode;
  who.features = s.remote_features;
  who.last_heard = context_.now();
  who.unanswered = 0;
  who.add_address(multiaddr::datagram(s.remote, std::nullopt), true);
  nobody_listens_.erase(s.remote);
  if (handler_ != nullptr) handler_->on_peer_confirmed(l.who);
  if (l.waiting.linked()) send_waiting(s, l);
  send_again(s, l);
}

/// What has met silence on an older session goes out on the new one at once: the peer may have lost the older one.
KADORO_DECL void datagram_transport::send_again(session& s, link& l) {
  for (pending* const p : under_way(l))
    if (p->on_session >= 2) send_on(s, l, *p);
}

/// What waits for an answer of that peer. Sending one anew may move it in the list itself.
KADORO_DECL std::vector<datagram_transport::pending*> datagram_transport::under_way(link& l) {
  std::vector<pending*> all;
  for (coro::list_node* at = l.in_flight.next(); at != &l.in_flight; at = at->next())
    all.push_back(&static_cast<pending::place&>(*at).owner);
  return all;
}

KADORO_DECL void datagram_transport::close_session(session& s) {
  link& l = link_of(s.peer);
  l.sessions.erase(&s);
  contacted_.note(s.remote, context_.now());
  ranges_.remove(s.range);
  if (!s.confirmed) {
    --unconfirmed_;
    unconfirmed_ranges_.remove(s.range);
  }
  sodium_memzero(s.send_key.data(), s.send_key.size());
  sodium_memzero(s.receive_key.data(), s.receive_key.size());
  sessions_.erase(s.local_index);
}

/// The session to send on: the newest confirmed one; none if the peer may have forgotten it. Nothing of ours goes to
/// an address that is not validated: it would be a second answer to whoever replays a first flight.
KADORO_DECL session* datagram_transport::usable(link const& l) const {
  session* best = nullptr;
  for (session* s : l.sessions) {
    if (s->confirmed && context_.now() - s->last_received <= session::idle_before_redial && !is_worn_out(*s)) best = s;
  }
  return best;
}

KADORO_DECL void datagram_transport::seal_and_send(session& s, frame const& f) {
  byte_array<max_packet_bytes> packet;
  seal_packet(s, packet, write_frame(f, bytes_span(packet).subspan(sealed_header_bytes)));
}

/// Writes the header, seals the frame of `plain` bytes that stands behind it, and sends. Only on confirmed sessions,
/// but for what `send_early` allows: an address that is not validated gets the answer to its first flight, and no more.
KADORO_DECL void datagram_transport::seal_packet(session& s, bytes_span packet, std::size_t plain) {
  seal_packet_to(s, s.remote, packet, plain);
}

KADORO_DECL void datagram_transport::seal_packet_to(session& s, io::endpoint const& to, bytes_span packet,
                                                    std::size_t plain) {
  if (is_worn_out(s)) return counts_.note(drop::session_worn_out, s.remote);
  store_be(packet.data(), static_cast<std::uint32_t>(packet_type::sealed) << 24);
  store_be(packet.data() + 4, s.remote_index);
  store_be(packet.data() + 8, s.next_counter);
  bytes_span const body = packet.subspan(sealed_header_bytes, plain + tag_bytes);
  crypto::seal(s.send_key, s.next_counter++, bytes_view(packet).first(sealed_header_bytes), body.first(plain), body);
  send(to, bytes_view(packet).first(sealed_header_bytes + plain + tag_bytes));
  if (is_due(s)) rekey(s);
}

KADORO_DECL bool datagram_transport::is_due(session const& s) const {
  return std::max(s.next_counter, s.window.next()) >= options_.session_packets ||
         context_.now() - s.created >= options_.session_age;
}

KADORO_DECL bool datagram_transport::is_worn_out(session const& s) const {
  return s.next_counter / 2 >= options_.session_packets || (context_.now() - s.created) / 2 >= options_.session_age;
}

/// Another handshake for a session that is due, by who made the first; by the other end only if that takes long.
KADORO_DECL void datagram_transport::rekey(session& s) {
  static constexpr duration between_tries = std::chrono::seconds(1);
  time_point const now = context_.now();
  link& l = link_of(s.peer);
  if (closed_ || l.dialling || now < s.next_rekey || l.sessions.back() != &s) return;  // or the other end has begun
  bool const late = std::max(s.next_counter, s.window.next()) / 3 >= options_.session_packets / 2 ||
                    (now - s.created) / 3 >= options_.session_age / 2;
  if (!s.initiated && !late) return;
  s.next_rekey = now + between_tries;
  if (start_dial(l, nullptr)) return;  // no address to dial: the other end has ours
  l.dialling->rekeys = true;
  ++counts_.rekeys;
}

KADORO_DECL datagram_transport::link& datagram_transport::link_of(peer_ref const& to) {
  return links_.try_emplace(to, to).first->second;
}

KADORO_DECL void datagram_transport::drop_link_if_idle(link& l) {
  if (l.sessions.empty() && !l.dialling && !l.wanted()) links_.erase(links_.find(l.who));
}

KADORO_DECL std::uint32_t datagram_transport::fresh_index() {
  for (;;) {
    auto const index = static_cast<std::uint32_t>(context_.random().next());
    if (index != 0 && !sessions_.contains(index) && !dials_.contains(index)) return index;
  }
}

/// Forgets sessions that were never confirmed or that nobody uses, and links without any.
KADORO_DECL void datagram_transport::clean_up() {
  time_point const now = context_.now();
  first_flights_.drop_old_answers(now);
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    session& s = (at++)->second;
    if (s.paths) counts_.paths_failed += s.paths->expire(now);
    bool const worn_out = is_worn_out(s);
    bool const replaced = s.confirmed && is_due(s) && usable(link_of(s.peer)) != &s;  // by another one, or nobody sends
    duration const life = !s.confirmed || replaced ? session::unconfirmed_life : session::idle_life;
    if (now - (s.confirmed ? s.last_received : s.created) <= life) continue;
    if (worn_out) ++counts_.sessions_worn_out;
    close_session(s);
  }
  for (auto at = links_.begin(); at != links_.end();) {
    link& l = (at++)->second;
    if (l.large) expire_fragments(l);
    if (l.large && l.large->idle()) l.large.reset();
    drop_link_if_idle(l);
  }
  if (!sessions_.empty()) context_.arm(cleaner_, now + session::unconfirmed_life);
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
