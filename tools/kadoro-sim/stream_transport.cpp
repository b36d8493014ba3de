#include "stream_transport.hpp"

#include <algorithm>
#include <cassert>

#include "kadoro/coro/sleep.hpp"

namespace kadoro_sim {

using namespace kadoro;
using transport::message_type;
using transport::multiaddr;
using transport::peer_id;

namespace {

/// What a message begins with: its kind and the number of its exchange, chosen by the requester.
enum class part : std::uint8_t { hello = 1, request = 2, answer = 3, reset = 4 };
constexpr std::size_t part_header_bytes = 5;

bytes part_of(part kind, std::uint32_t exchange, bytes_view body = {}) {
  bytes out(part_header_bytes);
  out[0] = static_cast<std::uint8_t>(kind);
  store_be(out.data() + 1, exchange);
  out.append(body);
  return out;
}

}  // namespace

/// One request of ours. It lives in the frame of `request`.
///
///     waiting for a connection --open--> on a connection --answer | reset | acknowledged | silence--> done
struct stream_transport::pending : coro::timer_node {
  pending(stream_transport& by, peer_ref target, message const& request) noexcept
      : timer_node([](timer_node& n) {
          pending& p = static_cast<pending&>(n);
          p.owner.on_exchange_silence(p);
        }),
        owner(by),
        to(std::move(target)),
        what(request) {}
  pending(pending const&) = delete;
  pending& operator=(pending const&) = delete;
  ~pending() {
    if (id == 0) return;
    owner.requests_.erase(id);
    if (owner.requests_.empty()) owner.drained_.set();
  }

  stream_transport& owner;
  peer_ref to;
  message const& what;
  bytes encoded;
  std::uint32_t id = 0;
  stream_connection* on = nullptr;
  std::uint32_t end = 0;  // of the request among what was sent on the connection
  bool again = false;     // it went over a connection that the peer did not know
  coro::event done;
  result<message> outcome = fail(errc::cancelled);
};

// ---- opening and closing --------------------------------------------------------------------------------------------

result<std::unique_ptr<stream_transport>> stream_transport::open(io::context& context,
                                                                 kadoro::transport::peer_book& book,
                                                                 peer_id const& self, options const& how) {
  auto port = context.open_udp(how.listen);
  if (!port) return fail(port.error());
  return std::unique_ptr<stream_transport>(new stream_transport(context, book, self, how, std::move(*port)));
}

stream_transport::stream_transport(io::context& context, kadoro::transport::peer_book& book, peer_id const& self,
                                   options const& how, std::unique_ptr<io::udp_port> port)
    : context_(context), book_(book), id_(self), options_(how), sealer_(how.swarm_key), port_(std::move(port)) {
  drained_.set();
  port_->set_receiver(this);
}

stream_transport::~stream_transport() {
  assert(requests_.empty() && "close() the transport before it is destroyed");
  port_->set_receiver(nullptr);
}

coro::task<void> stream_transport::close() {
  if (!closed_) {
    closed_ = true;
    for (auto& [number, c] : connections_) {
      if (c->now() == stream_connection::state::open)
        say_reset(c->where(), c->remote(), c->local(), stream_packet::reason::goodbye);
      c->end();
    }
    for (auto& [number, p] : requests_)
      complete(*p, fail(errc::closed, "closed before " + p->to->id().to_string() + " answered"));
  }
  auto const drained = co_await drained_.wait();
  static_cast<void>(drained);                               // a cancelled close has said its goodbyes too
  auto const turn = co_await coro::sleep_for(duration(1));  // one loop turn, in which the goodbyes are flushed
  static_cast<void>(turn);
  connections_.clear();
  ended_.clear();
}

std::vector<multiaddr> stream_transport::listen_addresses() const {
  io::endpoint const bound = port_->local();
  if (!bound.is_unspecified()) return {multiaddr::datagram(bound, id_)};
  std::vector<multiaddr> out;
  for (io::endpoint where : context_.local_addresses()) {
    if (where.is_v6() != bound.is_v6()) continue;
    where.set_port(bound.port());
    out.push_back(multiaddr::datagram(where, id_));
  }
  return out;
}

result<std::size_t> stream_transport::check_record_fits(bytes_view key, wire::record const& what) const {
  std::size_t const size = stream_put_bytes(key, what);
  if (size > max_stream_message_bytes)
    return fail(errc::too_large, "the record needs " + std::to_string(size) + " bytes, a stream's message holds " +
                                     std::to_string(max_stream_message_bytes));
  return size;
}

std::string stream_transport::counters_text() const {
  std::uint64_t retransmissions = counts_.retransmissions;
  for (auto const& [number, c] : connections_) retransmissions += c->retransmissions();
  std::string text = "connections=" + std::to_string(connections_.size());
  auto const add = [&text](char const* name, std::uint64_t value) {
    if (value > 0) text += std::string(" ") + name + "=" + std::to_string(value);
  };
  add("dialled", counts_.dialled);
  add("accepted", counts_.accepted);
  add("lost", counts_.lost);
  add("requests_sent", counts_.requests_sent);
  add("requests_failed", counts_.requests_failed);
  add("requests_received", counts_.requests_received);
  add("answers_received", counts_.answers_received);
  add("refusals_sent", counts_.refusals_sent);
  add("retransmissions", retransmissions);
  add("dropped_stranger", counts_.strangers);
  add("dropped_malformed", counts_.malformed);
  add("dropped_unknown_connection", counts_.unknown_connection);
  add("dropped_connections_full", counts_.connections_full);
  add("dropped_unexpected", counts_.unexpected);
  add("dropped_oversized", counts_.oversized);
  return text;
}

// ---- requests of ours -----------------------------------------------------------------------------------------------

coro::task<result<stream_transport::message>> stream_transport::request(peer_ref to, message const& what) {
  if (what.type == message_type::put_value && what.record && what.record->flags != 0) {
    message unsaid;  // a withdrawal is nothing that the schema could say
    unsaid.type = what.type;
    unsaid.refusal = errc::refused_unsupported;
    co_return unsaid;
  }
  pending p(*this, std::move(to), what);
  auto encoded = encode_stream_request(what);
  if (!encoded) co_return fail(encoded.error());
  p.encoded = std::move(*encoded);
  if (auto refused = begin(p)) co_return fail(std::move(*refused));
  auto const waited = co_await p.done.wait();
  if (!waited) co_return fail(waited.error());
  co_return std::move(p.outcome);
}

std::optional<error> stream_transport::begin(pending& p) {
  if (closed_) return error(errc::closed, "this transport is closed");
  if (p.to->id() == id_) return error(errc::invalid_argument, "a request to ourselves");
  if (requests_.size() >= max_requests)
    return error(errc::queue_full, std::to_string(max_requests) + " requests are under way already");
  while (next_exchange_ == 0 || requests_.contains(next_exchange_)) ++next_exchange_;
  p.id = next_exchange_++;
  requests_.emplace(p.id, &p);
  drained_.reset();
  ++counts_.requests_sent;
  if (stream_connection* const c = usable(p.to)) {
    if (send_on(*c, p)) return std::nullopt;
    return error(errc::queue_full, p.to->id().to_string() + ": too much waits to be sent to it");
  }
  stream_connection* const c = dialling(p.to);
  if (c == nullptr) return dial(p.to);
  if (c->dialled()) c->set_targets(targets_of(*p.to));  // an address may have become known meanwhile
  return std::nullopt;
}

bool stream_transport::send_on(stream_connection& c, pending& p) {
  if (!c.send_message(part_of(part::request, p.id, p.encoded), p.end)) return false;
  p.on = &c;
  context_.arm(p, context_.now() + exchange_patience);
  return true;
}

void stream_transport::send_waiting(stream_connection& c) {
  for (auto const& [id, p] : requests_) {
    if (p->on != nullptr || p->done.is_set() || p->to != c.who) continue;
    if (!send_on(c, *p)) complete(*p, fail(errc::queue_full, c.who->id().to_string() + ": too much waits for it"));
  }
}

void stream_transport::complete(pending& p, result<message> outcome) {
  if (p.done.is_set()) return;
  if (!outcome) ++counts_.requests_failed;
  p.on = nullptr;
  context_.disarm(p);
  p.outcome = std::move(outcome);
  p.done.set();
}

/// The connection lives, but nobody answers there.
void stream_transport::on_exchange_silence(pending& p) {
  complete(p, fail(errc::no_answer, p.to->id().to_string() + ": acknowledged the request, and did not answer it"));
}

// ---- connections ----------------------------------------------------------------------------------------------------

/// The open one that was heard last.
stream_connection* stream_transport::usable(peer_ref const& to) const {
  stream_connection* best = nullptr;
  for (auto const& [number, c] : connections_) {
    if (c->who != to || c->now() != stream_connection::state::open || c->ended()) continue;
    if (best == nullptr || c->heard_at() > best->heard_at()) best = c.get();
  }
  return best;
}

stream_connection* stream_transport::dialling(peer_ref const& to) const {
  auto const at = std::find_if(connections_.begin(), connections_.end(), [&to](auto const& entry) {
    return entry.second->who == to && entry.second->now() != stream_connection::state::open && !entry.second->ended();
  });
  return at == connections_.end() ? nullptr : at->second.get();
}

std::vector<io::endpoint> stream_transport::targets_of(kadoro::transport::peer const& to) const {
  std::vector<io::endpoint> targets;
  for (kadoro::transport::peer::address const& a : to.addresses()) {
    auto const where = a.where.udp_endpoint();
    if (where && a.where.is_datagram() && where->is_v6() == port_->local().is_v6() && where->port() != 0 &&
        targets.size() < max_dialled_addresses)
      targets.push_back(*where);
  }
  return targets;
}

std::optional<error> stream_transport::dial(peer_ref const& to) {
  std::vector<io::endpoint> targets = targets_of(*to);
  if (targets.empty()) return error(errc::unreachable, to->id().to_string() + ": no address known that can be dialled");
  if (!make_room()) return error(errc::queue_full, "too many connections are in use");
  std::uint64_t const number = fresh_number();
  stream_connection::owner& self = *this;
  auto c = std::make_unique<stream_connection>(self, context_, number, std::move(targets),
                                               part_header_bytes + max_stream_message_bytes);
  c->who = to;
  connections_.emplace(number, std::move(c));
  ++counts_.dialled;
  return std::nullopt;
}

/// Of a full table the connection goes that was idle longest, if there is an idle one.
bool stream_transport::make_room() {
  if (connections_.size() < max_connections) return true;
  stream_connection* idlest = nullptr;
  for (auto const& [number, c] : connections_) {
    bool const idle = c->now() == stream_connection::state::open && c->empty() && !has_requests(*c) && !c->ended();
    if (idle && (idlest == nullptr || c->used_at() < idlest->used_at())) idlest = c.get();
  }
  if (idlest == nullptr) {
    ++counts_.connections_full;
    return false;
  }
  on_idle(*idlest);
  return true;
}

bool stream_transport::has_requests(stream_connection const& c) const {
  return std::any_of(requests_.begin(), requests_.end(), [&c](auto const& entry) { return entry.second->on == &c; });
}

std::uint64_t stream_transport::fresh_number() {
  for (;;) {
    std::uint64_t const number = context_.random().next();
    if (number != 0 && !connections_.contains(number)) return number;
  }
}

void stream_transport::send_hello(stream_connection& c) {
  bytes hello{static_cast<std::uint8_t>(options_.mode)};
  hello.append(id_.bytes());
  std::uint32_t end = 0;
  static_cast<void>(c.send_message(part_of(part::hello, 0, hello), end));  // it is the first: there is room
}

/// The peer has said who it is.
void stream_transport::open_up(stream_connection& c, bytes_view hello) {
  auto const id = hello.empty() ? fail(errc::malformed) : peer_id::from_bytes(hello.subspan(1));
  if (!id || *id == id_ || c.now() == stream_connection::state::open) {
    ++counts_.malformed;
    say_reset(c.where(), c.remote(), c.local(), stream_packet::reason::unknown);
    return drop(c, error(errc::malformed, "a hello that is none"));
  }
  peer_ref const who = book_.intern(*id);
  if (c.dialled() && c.who != who) {
    say_reset(c.where(), c.remote(), c.local(), stream_packet::reason::idle);
    return lose(c, error(errc::wrong_identity, c.who->id().to_string() + ": " + who->id().to_string() + " answers at " +
                                                   c.where().to_string()));
  }
  c.who = who;
  who->mode = hello[0] == static_cast<std::uint8_t>(peer_mode::client) ? peer_mode::client : peer_mode::server;
  who->features = 0;
  if (!c.dialled()) {
    send_hello(c);
    ++counts_.accepted;
  }
  c.set_open();
  std::size_t open = 0;
  stream_connection* oldest = nullptr;
  for (auto const& [number, other] : connections_) {
    if (other->who != who || other->now() != stream_connection::state::open) continue;
    ++open;
    bool const spare = other.get() != &c && other->empty() && !has_requests(*other);
    if (spare && (oldest == nullptr || other->used_at() < oldest->used_at())) oldest = other.get();
  }
  if (open > max_connections_per_peer && oldest != nullptr) on_idle(*oldest);
  confirm(c);
}

void stream_transport::confirm(stream_connection& c) {
  kadoro::transport::peer& who = *c.who;
  who.last_heard = context_.now();
  who.unanswered = 0;
  who.add_address(multiaddr::datagram(c.where(), std::nullopt), true);
  if (handler_ != nullptr) handler_->on_peer_confirmed(c.who);
  send_waiting(c);
}

/// Forgets a connection, and fails what is under way on it. What waits for a dial goes elsewhere, or fails with it.
void stream_transport::drop(stream_connection& c, error const& why) {
  bool const was_open = c.now() == stream_connection::state::open;
  peer_ref const who = c.who;
  c.end();
  counts_.retransmissions += c.retransmissions();
  auto const at = connections_.find(c.local());
  if (at != connections_.end()) {
    ended_.push_back(std::move(at->second));
    connections_.erase(at);
  }
  stream_connection* const other = who ? usable(who) : nullptr;
  bool const still_dialling = who && dialling(who) != nullptr;
  bool const elsewhere = other != nullptr || still_dialling;
  if (!was_open && other != nullptr && !still_dialling) send_waiting(*other);
  for (auto const& [id, p] : requests_)
    if (p->on == &c || (!was_open && !elsewhere && who && p->to == who && p->on == nullptr)) complete(*p, fail(why));
}

/// The connection is gone, and as far as anybody knows, so is the peer.
void stream_transport::lose(stream_connection& c, error const& why) {
  peer_ref const who = c.who;
  time_point const since = c.quiet_since();
  ++counts_.lost;
  if (who && c.dialled() && c.now() != stream_connection::state::open)
    for (io::endpoint const& where : c.targets()) who->set_silent(where);  // others have their turn
  drop(c, why);
  bool const dead = who && usable(who) == nullptr && who->lost_at <= since;
  if (!dead) return;
  ++who->unanswered;
  who->lost_at = context_.now();
  if (handler_ != nullptr) handler_->on_peer_lost(who, why);
}

/// The peer does not know the connection: it has restarted, or a NAT has changed our address. It lives, so what waits
/// for it is said once more, over a new connection, because it may have forgotten all the others as well; the peer
/// itself is not given up before that fails, too.
void stream_transport::start_over(stream_connection& c, error const& why) {
  peer_ref const who = c.who;
  bool const was_open = c.now() == stream_connection::state::open;
  c.end();
  bool const elsewhere = who && (usable(who) != nullptr || dialling(who) != nullptr);
  std::vector<pending*> again;
  for (auto const& [id, p] : requests_) {
    bool const on_it = p->on == &c || (!was_open && !elsewhere && who && p->on == nullptr && p->to == who);
    if (on_it && !p->again && !p->done.is_set()) again.push_back(p);
  }
  if (again.empty()) return lose(c, why);
  for (pending* const p : again) {
    p->again = true;
    p->on = nullptr;
    context_.disarm(*p);
    if (dialling(who) != nullptr) continue;
    if (auto failed = dial(who)) complete(*p, fail(std::move(*failed)));
  }
  drop(c, why);
}

void stream_transport::on_silence(stream_connection& c) {
  ended_.clear();  // a timer: nothing of them runs
  std::string text = c.who ? c.who->id().to_string() : std::string("somebody");
  for (io::endpoint const& at : c.targets()) text += (&at == c.targets().data() ? " at " : ", ") + at.to_string();
  text += ": nothing was acknowledged for 10 s; it is down or unreachable, or its swarm key differs from ours";
  error const why(errc::no_answer, std::move(text));
  if (c.now() == stream_connection::state::accepted) return drop(c, why);  // it never said who it is
  lose(c, why);
}

void stream_transport::on_idle(stream_connection& c) {
  say_reset(c.where(), c.remote(), c.local(), stream_packet::reason::idle);
  drop(c, error(errc::closed, "an idle connection was closed"));
}

void stream_transport::say_reset(io::endpoint const& to, std::uint64_t theirs, std::uint64_t ours,
                                 stream_packet::reason why) {
  stream_packet p;
  p.what = stream_packet::kind::reset;
  p.to = theirs;
  p.from = ours;
  p.why = why;
  send(to, p);
}

void stream_transport::send(io::endpoint const& to, stream_packet const& p) { port_->send(to, sealer_.write(p)); }

// ---- what comes in --------------------------------------------------------------------------------------------------

void stream_transport::on_datagrams(std::span<io::datagram> batch) {
  if (closed_) return;
  ended_.clear();
  std::vector<std::uint64_t> touched;
  for (io::datagram const& in : batch) {
    if (!sealer_.authentic(in.data)) {
      ++counts_.strangers;
      continue;
    }
    auto const p = stream_sealer::read(in.data);
    if (!p) {
      ++counts_.malformed;
      continue;
    }
    on_packet(in.from, *p);
    if (p->what == stream_packet::kind::data) touched.push_back(p->to);
  }
  for (std::uint64_t const number : touched) {
    auto const at = connections_.find(number);
    if (at != connections_.end()) at->second->acknowledge();
  }
}

void stream_transport::on_packet(io::endpoint const& from, stream_packet const& p) {
  if (p.what == stream_packet::kind::open) return on_open(from, p);
  auto const at = connections_.find(p.to);
  stream_connection* const c = at == connections_.end() ? nullptr : at->second.get();
  if (p.what == stream_packet::kind::accept) {
    bool const asked = c != nullptr && c->now() == stream_connection::state::opening &&
                       std::find(c->targets().begin(), c->targets().end(), from) != c->targets().end();
    if (!asked) return;  // another address of the same peer was faster, or it comes twice
    c->on_accept(from, p.from);
    return send_hello(*c);
  }
  if (c == nullptr || c->remote() != p.from || c->where() != from || c->now() == stream_connection::state::opening) {
    ++counts_.unknown_connection;
    if (p.what == stream_packet::kind::data && resets_.take(context_.now()))
      say_reset(from, p.from, p.to, stream_packet::reason::unknown);
    return;
  }
  if (p.what == stream_packet::kind::reset) return on_reset(*c, p.why);
  if (c->now() == stream_connection::state::open) {
    bool const was_lost = c->who->unanswered > 0;
    c->who->last_heard = context_.now();
    if (was_lost) confirm(*c);
  }
  if (p.what == stream_packet::kind::data) return c->on_data(p);
  c->on_ack(p);
  complete_acknowledged(*c);
}

/// Nothing is learned of whoever opens a connection before its hello, which only that address can send.
void stream_transport::on_open(io::endpoint const& from, stream_packet const& p) {
  std::size_t half_open = 0;
  for (auto const& [number, c] : connections_) {
    if (!c->dialled() && c->remote() == p.from && c->where() == from) return c->accept_again();
    half_open += c->now() == stream_connection::state::accepted ? 1u : 0u;
  }
  if (half_open >= max_half_open) {
    ++counts_.connections_full;
    return;
  }
  if (!make_room()) return;
  std::uint64_t const number = fresh_number();
  stream_connection::owner& self = *this;
  connections_.emplace(number, std::make_unique<stream_connection>(self, context_, number, p.from, from,
                                                                   part_header_bytes + max_stream_message_bytes));
}

void stream_transport::on_reset(stream_connection& c, stream_packet::reason why) {
  std::string const name = c.who ? c.who->id().to_string() : std::string("somebody");
  switch (why) {
    case stream_packet::reason::unknown:
      return start_over(c, error(errc::no_answer, name + ": reset the connection: it does not know it (any more)"));
    case stream_packet::reason::idle: {
      error const idle(errc::closed, name + ": closed the connection");
      return has_requests(c) ? start_over(c, idle) : drop(c, idle);  // ours crossed its word on the way
    }
    case stream_packet::reason::goodbye: break;
  }
  peer_ref const who = c.who;
  error const left(errc::closed, name + ": said goodbye");
  drop(c, left);
  if (!who) return;
  for (stream_connection* other = usable(who); other != nullptr; other = usable(who)) drop(*other, left);
  if (handler_ != nullptr) handler_->on_peer_lost(who, left);
}

void stream_transport::on_message(stream_connection& c, bytes_view whole) {
  if (whole.size() < part_header_bytes) {
    ++counts_.malformed;
    return;
  }
  std::uint32_t const id = load_be<std::uint32_t>(whole.data() + 1);
  bytes_view const body = whole.subspan(part_header_bytes);
  part const kind = static_cast<part>(whole[0]);
  if (kind == part::hello) return open_up(c, body);
  if (c.now() != stream_connection::state::open) {
    ++counts_.malformed;
    return;
  }
  switch (kind) {
    case part::request: return on_request(c, id, body);
    case part::answer: return on_answer(c, id, body);
    case part::reset: return on_answer(c, id, std::nullopt);
    default: ++counts_.malformed;
  }
}

void stream_transport::on_oversized(stream_connection& c, bytes_view begin) {
  ++counts_.oversized;
  if (c.now() != stream_connection::state::open) return;
  std::uint32_t const id = load_be<std::uint32_t>(begin.data() + 1);
  std::uint32_t end = 0;
  if (static_cast<part>(begin[0]) == part::request)
    static_cast<void>(c.send_message(part_of(part::reset, id), end));
  else
    on_answer(c, id, std::nullopt);
}

/// Whatever the schema does not have, and whatever is refused, is reset; why, nobody hears.
void stream_transport::on_request(stream_connection& c, std::uint32_t id, bytes_view body) {
  std::uint32_t end = 0;
  auto const asked = decode_stream_request(body);
  if (!asked) ++counts_.malformed;
  bool refused = !asked || !is_libp2p(asked->type) || (asked->key.empty() && asked->type != message_type::ping);
  if (!refused) {
    if (handler_ == nullptr) return;
    ++counts_.requests_received;
    message answer;
    answer.type = asked->type;
    peer_ref const from = c.who;
    if (handler_->on_request(from, *asked, answer) == kadoro::transport::handler::reply::silence) return;
    refused = answer.refusal.has_value();
    if (!refused) {
      if (asked->type == message_type::add_provider) return;
      if (!c.send_message(part_of(part::answer, id, encode_stream_answer(*asked, answer)), end)) ++counts_.unexpected;
      return;
    }
  }
  ++counts_.refusals_sent;
  if (!c.send_message(part_of(part::reset, id), end)) ++counts_.unexpected;
}

/// No body: the exchange was reset.
void stream_transport::on_answer(stream_connection& c, std::uint32_t id, std::optional<bytes_view> body) {
  auto const at = requests_.find(id);
  if (at == requests_.end() || at->second->on != &c || at->second->done.is_set()) {
    ++counts_.unexpected;
    return;
  }
  pending& p = *at->second;
  ++counts_.answers_received;
  message refusal;
  refusal.type = p.what.type;
  refusal.refusal = errc::refused;
  complete(p, body ? read_answer(p, *body) : result<message>(std::move(refusal)));
}

result<stream_transport::message> stream_transport::read_answer(pending const& p, bytes_view body) {
  auto storage = std::make_shared<bytes const>(body.begin(), body.end());
  auto answer = decode_stream_answer(*storage, book_, id_);
  if (!answer) {
    ++counts_.malformed;
    return fail(errc::no_answer, p.to->id().to_string() + ": its answer does not parse");
  }
  answer->storage = std::move(storage);
  if (p.what.type == message_type::put_value && p.what.record) {
    // Who has stored a record repeats it.
    bool const same = answer->record && equal(answer->record->value, p.what.record->value);
    answer->record.reset();
    if (!same) answer->refusal = errc::refused;
  }
  return std::move(*answer);
}

/// ADD_PROVIDER has no answer: it is done when it has arrived.
void stream_transport::complete_acknowledged(stream_connection& c) {
  for (auto const& [id, p] : requests_) {
    if (p->on != &c || p->what.type != message_type::add_provider || !c.acknowledged(p->end)) continue;
    message done;
    done.type = p->what.type;
    complete(*p, std::move(done));
  }
}

result<std::unique_ptr<transport::transport>> open_stream(io::context& context, kadoro::transport::peer_book& book,
                                                          crypto::identity const& self,
                                                          kad::node_options const& options) {
  stream_transport::options how;
  how.listen = options.listen;
  how.mode = options.mode;
  how.swarm_key = options.swarm_key;
  auto opened = stream_transport::open(context, book, peer_id::of_ed25519(self.public_key()), how);
  if (!opened) return fail(opened.error());
  return std::unique_ptr<transport::transport>(std::move(*opened));
}

}  // namespace kadoro_sim
