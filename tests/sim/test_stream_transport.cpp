#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "../../tools/kadoro-sim/stream_transport.hpp"
#include "../kad/simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;
using kadoro_sim::stream_transport;
using transport::message;
using transport::message_type;

namespace {

/// One end, with a handler that records what happens to it.
struct stream_peer final : transport::handler {
  explicit stream_peer(io::sim::context& on, std::optional<byte_array<32>> swarm_key = {},
                       peer_mode mode = peer_mode::server)
      : stream_peer(on, crypto::identity::generate(on.random()), swarm_key, mode) {}

  stream_peer(io::sim::context& on, crypto::identity const& self, std::optional<byte_array<32>> swarm_key = {},
              peer_mode mode = peer_mode::server)
      : host(on), identity(self), id(peer_id::of_ed25519(self.public_key())) {
    stream_transport::options how;
    how.listen = on.address();
    how.listen.set_port(4001);
    how.swarm_key = swarm_key;
    how.mode = mode;
    transport = std::move(stream_transport::open(on, book, id, how).value());
    transport->set_handler(this);
  }

  peer_ref knows(stream_peer const& other) {
    auto const who = book.intern(other.id);
    who->add_address(multiaddr::datagram(other.transport->local(), std::nullopt), false);
    return who;
  }
  result<message> ask(peer_ref to, message_type type, bytes_view key = as_bytes("key"),
                      std::optional<wire::record> record = {}) {
    message m;
    m.type = type;
    m.key = key;
    m.record = record;
    return host.run(transport->request(std::move(to), m));
  }

  reply on_request(peer_ref const& from, message const& request, message& answer) override {
    served.push_back(request.type);
    last_from = from;
    if (request.record) {
      last_record = *request.record;
      value = to_bytes(request.record->value);
    }
    answer.refusal = refusal;
    answer.contacts = contacts;
    answer.records = records;
    answer.records_cursor = answer.contacts_cursor = 0;
    return silent ? reply::silence : reply::send;
  }
  void on_peer_confirmed(peer_ref const& who) override { confirmed.push_back(who->id()); }
  void on_peer_lost(peer_ref const& who, error const& why) override {
    lost.push_back(who->id());
    last_loss = why;
  }

  io::sim::context& host;
  crypto::identity identity;
  peer_id id;
  transport::peer_book book;
  std::unique_ptr<stream_transport> transport;
  std::vector<message_type> served;
  std::vector<peer_id> confirmed;
  std::vector<peer_id> lost;
  error last_loss{errc::closed};
  peer_ref last_from;
  wire::record last_record;  // its views are gone; the numbers are not
  bytes value;
  std::optional<errc> refusal;
  peer_list contacts;
  pooled_vector<wire::record> records;
  bool silent = false;
};

io::endpoint host_address(unsigned n) {
  return io::endpoint::v4({10, 0, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)}, 0);
}

struct two_peers {
  explicit two_peers(std::uint64_t seed, duration delay = 10ms)
      : world(seed), host_a(world, host_address(1)), host_b(world, host_address(2)) {
    io::sim::link_policy link;
    link.delay = delay;
    world.set_link(link);
    a = std::make_unique<stream_peer>(host_a);
    b = std::make_unique<stream_peer>(host_b);
    to_b = a->knows(*b);
  }
  void close() {
    host_a.run(a->transport->close());
    host_b.run(b->transport->close());
  }

  io::sim::world world;
  io::sim::context host_a;
  io::sim::context host_b;
  std::unique_ptr<stream_peer> a;
  std::unique_ptr<stream_peer> b;
  peer_ref to_b;
};

coro::task<void> call(stream_peer& by, peer_ref to) {
  message m;
  auto const answer = co_await by.transport->request(to, m);
  CHECK(answer.has_value());
}

/// Both call at the same instant, so that there are two connections between them.
void dial_both_ways(two_peers& w) {
  w.host_a.spawn(call(*w.a, w.to_b));
  w.host_b.spawn(call(*w.b, w.b->knows(*w.a)));
  w.world.run_for(1s);
  REQUIRE(w.a->transport->connections() == 2);
}

node_options over_streams() {
  node_options o;
  o.transport = kadoro_sim::open_stream;
  return o;
}

put_options by(quorum q, duration lifetime = 10min) {
  put_options how;
  how.quorum = q;
  how.lifetime = lifetime;
  return how;
}

get_options from(quorum q) {
  get_options how;
  how.quorum = q;
  return how;
}

}  // namespace

TEST_CASE("stream: two round trips to connect, one for each exchange; both ends know each other, without features") {
  two_peers w(1);
  time_point const start = w.world.now();
  auto const first = w.a->ask(w.to_b, message_type::find_node);
  REQUIRE(first.has_value());
  CHECK_FALSE(first->refusal.has_value());
  CHECK(w.world.now() - start == 60ms);
  auto const second = w.a->ask(w.to_b, message_type::ping);
  CHECK(second.has_value());
  CHECK(w.world.now() - start == 80ms);
  CHECK(w.a->confirmed == std::vector{w.b->id});
  CHECK(w.b->confirmed == std::vector{w.a->id});
  CHECK(w.to_b->mode == peer_mode::server);
  CHECK(w.to_b->features == 0);
  CHECK(w.b->last_from->features == 0);
  CHECK(w.b->last_from->addresses().front().confirmed);
  CHECK(w.to_b->rtt.smoothed() == 20ms);

  // The other way over the same connection.
  auto const back = w.b->ask(w.b->last_from, message_type::ping);
  CHECK(back.has_value());
  CHECK(w.world.now() - start == 100ms);
  CHECK(w.a->transport->connections() == 1);
  CHECK(w.b->transport->connections() == 1);
  w.close();
}

TEST_CASE("stream: of a record passes what libp2p's schema has, and a put is confirmed by its echo") {
  two_peers w(2);
  record const r = record::make(w.a->identity, as_bytes("key"), 7, 90s, 0, as_bytes("value"));
  auto const put = w.a->ask(w.to_b, message_type::put_value, r.key, to_wire(r, 0, false));
  REQUIRE(put.has_value());
  CHECK_FALSE(put->refusal.has_value());
  CHECK_FALSE(put->record.has_value());
  CHECK(as_text(w.b->value) == "value");
  CHECK(w.b->last_record.sequence == 0);
  CHECK(w.b->last_record.signature.empty());
  CHECK(w.b->last_record.lifetime_ms == 0);
  CHECK(w.b->last_record.remaining_ms == 0);
  CHECK(w.b->last_record.publisher.size() == w.a->id.bytes().size());
  CHECK(w.b->last_record.ttl_s == 90);

  record const gone = record::make(w.a->identity, as_bytes("key"), 8, 90s, record::flag_tombstone, {});
  w.b->records = {to_wire(gone, 1000, false), to_wire(r, 5500, false), to_wire(r, 1000, false)};
  auto const got = w.a->ask(w.to_b, message_type::get_value);
  REQUIRE(got.has_value());
  REQUIRE(got->records.size() == 1);
  CHECK(as_text(got->records[0].value) == "value");
  CHECK(got->records[0].ttl_s == 5);
  CHECK(got->records[0].remaining_ms == 0);
  CHECK(got->records[0].sequence == 0);
  CHECK(got->records[0].signature.empty());
  CHECK(equal(got->records[0].publisher, w.a->id.bytes()));
  CHECK_FALSE(got->record.has_value());

  std::size_t const served = w.b->served.size();
  auto const withdrawn = w.a->ask(w.to_b, message_type::put_value, gone.key, to_wire(gone, 0, false));
  REQUIRE(withdrawn.has_value());
  CHECK(withdrawn->refusal == errc::refused_unsupported);
  CHECK(w.b->served.size() == served);
  w.close();
}

TEST_CASE("stream: a refusal is a reset without reason, so is what the schema lacks; ADD_PROVIDER has no answer") {
  two_peers w(3);
  w.b->refusal = errc::refused_full;
  auto const put = w.a->ask(w.to_b, message_type::get_value);
  REQUIRE(put.has_value());
  CHECK(put->refusal == errc::refused);
  w.b->refusal.reset();
  CHECK(w.b->served.size() == 1);
  for (auto const type : {message_type::renew, message_type::replicate}) {
    auto const unknown = w.a->ask(w.to_b, type);
    REQUIRE(unknown.has_value());
    CHECK(unknown->refusal == errc::refused);
  }
  auto const keyless = w.a->ask(w.to_b, message_type::get_value, {});
  REQUIRE(keyless.has_value());
  CHECK(keyless->refusal == errc::refused);
  CHECK(w.b->served.size() == 1);  // no effect
  CHECK(w.b->transport->counts().refusals_sent == 4);

  time_point const start = w.world.now();
  auto const provided = w.a->ask(w.to_b, message_type::add_provider);
  REQUIRE(provided.has_value());
  CHECK_FALSE(provided->refusal.has_value());
  CHECK(w.world.now() - start == 20ms);
  CHECK(w.b->served.back() == message_type::add_provider);
  CHECK(w.a->transport->counts().answers_received == 4);

  // Acknowledged is not answered.
  w.b->silent = true;
  auto const silence = w.a->ask(w.to_b, message_type::ping);
  REQUIRE_FALSE(silence.has_value());
  CHECK(silence.error() == errc::no_answer);
  CHECK(w.a->lost.empty());
  w.close();
}

TEST_CASE("stream: up to 16 KiB pass in fragments, more is refused with both sizes; answers are cut, without pages") {
  two_peers w(4);
  bytes const value(10'000, 0x5a);
  wire::record r;
  r.value = value;
  auto const put = w.a->ask(w.to_b, message_type::put_value, as_bytes("key"), r);
  REQUIRE(put.has_value());
  CHECK_FALSE(put->refusal.has_value());
  CHECK(w.b->value == value);
  w.b->records = {r};
  auto const got = w.a->ask(w.to_b, message_type::get_value);
  REQUIRE(got.has_value());
  REQUIRE(got->records.size() == 1);
  CHECK(equal(got->records[0].value, value));

  bytes const large(16 * 1024, 1);
  r.value = large;
  auto const refused = w.a->ask(w.to_b, message_type::put_value, as_bytes("key"), r);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == errc::too_large);
  CHECK(refused.error().message().find("16384") != std::string::npos);
  CHECK(refused.error().message().find("164") != std::string::npos);
  auto const fits = w.a->transport->check_record_fits(as_bytes("key"), r);
  REQUIRE_FALSE(fits.has_value());
  CHECK(fits.error() == errc::too_large);
  CHECK(fits.error().message().find(" 16384") != std::string::npos);
  r.value = bytes_view(large).first(16'000);
  CHECK(w.a->transport->check_record_fits(as_bytes("key"), r).has_value());

  // 16,000 bytes of record leave room for some contacts only; without it, 64 is the end.
  w.b->records = {r};
  for (unsigned i = 0; i < 80; ++i) {
    byte_array<32> key{};
    store_be(key.data(), i + 1);
    auto const contact = w.b->book.intern(peer_id::of_ed25519(key));
    contact->add_address(multiaddr::datagram(host_address(100 + i), std::nullopt), i % 2 == 0);
    w.b->contacts.push_back(contact);
  }
  auto const cut = w.a->ask(w.to_b, message_type::get_value);
  REQUIRE(cut.has_value());
  CHECK(cut->records.size() == 1);
  CHECK(cut->contacts.size() >= 3);
  CHECK(cut->contacts.size() <= 7);
  CHECK(cut->contacts_cursor == 0);
  w.b->records.clear();
  auto const whole = w.a->ask(w.to_b, message_type::find_node);
  REQUIRE(whole.has_value());
  CHECK(whole->contacts.size() == 40);  // the confirmed ones
  w.b->contacts.clear();
  w.close();
}

TEST_CASE("stream: everything arrives, once and in order, whatever the network does") {
  two_peers w(5);
  io::sim::link_policy link;
  link.delay = 10ms;
  link.jitter = 20ms;
  link.loss = 0.3;
  link.duplicate = 0.2;
  link.corrupt = 0.05;
  link.reorder = 0.2;
  w.world.set_link(link);
  bytes const value(10'000, 0x33);
  for (int i = 0; i < 40; ++i) {
    wire::record r;
    std::string const key = "key" + std::to_string(i);
    r.value = value;
    auto const put = w.a->ask(w.to_b, message_type::put_value, as_bytes(key), r);
    REQUIRE_MESSAGE(put.has_value(), put.error().message());
    CHECK_FALSE(put->refusal.has_value());
    CHECK(w.b->value == value);
  }
  CHECK(w.b->served.size() == 40);
  CHECK(w.a->lost.empty());
  CHECK(w.a->transport->counts().strangers > 0);  // what was corrupted
  CHECK(w.a->transport->counts().malformed == 0);
  CHECK(w.a->transport->counters_text().find("retransmissions=") != std::string::npos);
  w.close();
}

TEST_CASE("stream: who acknowledges nothing for 10 s is lost, once; who has restarted is asked again") {
  two_peers w(6);
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  w.world.set_blocked(w.host_a.address(), w.host_b.address(), true);
  time_point const start = w.world.now();
  auto const silence = w.a->ask(w.to_b, message_type::ping);
  REQUIRE_FALSE(silence.has_value());
  CHECK(silence.error() == errc::no_answer);
  CHECK(w.world.now() - start == 10s);
  CHECK(w.a->lost == std::vector{w.b->id});
  CHECK(w.to_b->unanswered == 1);
  CHECK(w.a->transport->connections() == 0);
  auto const dial = w.a->ask(w.to_b, message_type::ping);
  REQUIRE_FALSE(dial.has_value());
  CHECK(dial.error() == errc::no_answer);
  CHECK(dial.error().message().find("10.0.0.2:4001") != std::string::npos);
  CHECK(w.a->lost.size() == 2);

  w.world.set_blocked(w.host_a.address(), w.host_b.address(), false);
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  CHECK(w.to_b->unanswered == 0);
  crypto::identity const same = w.b->identity;
  w.host_b.crash();
  w.b.reset();
  io::sim::context again(w.world, host_address(2));
  stream_peer restarted(again, same);
  time_point const then = w.world.now();
  auto const reset = w.a->ask(w.to_b, message_type::ping);
  CHECK(reset.has_value());
  CHECK(w.world.now() - then == 80ms);  // the reset, two round trips to connect, the exchange
  CHECK(restarted.served.size() == 1);
  CHECK(w.a->lost.size() == 2);
  CHECK(w.a->transport->connections() == 1);

  // Somebody else comes up there: then the peer is lost.
  again.crash();
  restarted.transport.reset();
  io::sim::context other(w.world, host_address(2));
  stream_peer somebody(other);
  auto const wrong = w.a->ask(w.to_b, message_type::ping);
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error() == errc::wrong_identity);
  CHECK(w.a->lost.size() == 3);
  CHECK(somebody.served.empty());
  w.host_a.run(w.a->transport->close());
  other.run(somebody.transport->close());
}

TEST_CASE("stream: behind a NAT that forgets, requests go over new connections, and nobody is lost") {
  two_peers w(11);
  io::sim::nat_policy policy;
  policy.mapping = policy.filtering = io::sim::nat_behaviour::endpoint_dependent;
  io::sim::nat& box = w.world.add_nat(io::endpoint::v4({10, 9, 0, 1}, 0), policy);
  w.host_a.set_nat(&box);
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  for (int i = 0; i < 3; ++i) {
    w.world.run_for(1s);
    box.restart();
    auto const answer = w.a->ask(w.to_b, message_type::ping);
    CHECK(answer.has_value());
  }
  CHECK(w.a->lost.empty());
  CHECK(w.to_b->unanswered == 0);
  CHECK(w.b->served.size() == 4);
  CHECK(w.a->transport->connections() == 1);
  CHECK(w.b->transport->connections() <= stream_transport::max_connections_per_peer);
  w.close();
}

TEST_CASE("stream: after a restart no other connection of the former life is tried, nor does any count as a loss") {
  two_peers w(13);
  dial_both_ways(w);
  crypto::identity const same = w.b->identity;
  w.host_b.crash();
  w.b.reset();
  io::sim::context again(w.world, host_address(2));
  stream_peer restarted(again, same);
  auto const answer = w.a->ask(w.to_b, message_type::ping);
  CHECK(answer.has_value());
  CHECK(w.a->lost.empty());
  CHECK(restarted.served.size() == 1);
  w.host_a.run(w.a->transport->close());
  again.run(restarted.transport->close());
}

TEST_CASE("stream: what waits for a dial in vain goes over another connection that is left") {
  two_peers w(14);
  dial_both_ways(w);
  kadoro_sim::stream_sealer const sealer(std::nullopt);
  bool reset_once = false;
  // One connection is reset, and a new one cannot be opened.
  w.world.set_filter([&](io::endpoint const& from, io::endpoint const& to, bytes& data) {
    auto const p = kadoro_sim::stream_sealer::read(data);
    if (!p || to != w.b->transport->local()) return true;
    if (p->what == kadoro_sim::stream_packet::kind::open) return false;
    if (p->what != kadoro_sim::stream_packet::kind::data || reset_once) return true;
    kadoro_sim::stream_packet reset;
    reset.what = kadoro_sim::stream_packet::kind::reset;
    reset.to = p->from;
    reset.from = p->to;
    w.world.inject(to, from, sealer.write(reset));
    reset_once = true;
    return false;
  });
  time_point const start = w.world.now();
  auto const answer = w.a->ask(w.to_b, message_type::ping);
  CHECK(answer.has_value());
  CHECK(reset_once);
  CHECK(w.world.now() - start > 10s);
  CHECK(w.world.now() - start < 11s);
  CHECK(w.a->lost.empty());
  w.world.set_filter({});
  w.close();
}

TEST_CASE("stream: who forgets every connection at once is given up after the second") {
  two_peers w(12);
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  kadoro_sim::stream_sealer const sealer(std::nullopt);
  std::size_t resets = 0;
  // Every datagram with a fragment is answered by a reset, instead of reaching the peer.
  w.world.set_filter([&](io::endpoint const& from, io::endpoint const& to, bytes& data) {
    auto const p = kadoro_sim::stream_sealer::read(data);
    if (!p || p->what != kadoro_sim::stream_packet::kind::data || to != w.b->transport->local()) return true;
    kadoro_sim::stream_packet reset;
    reset.what = kadoro_sim::stream_packet::kind::reset;
    reset.to = p->from;
    reset.from = p->to;
    w.world.inject(to, from, sealer.write(reset));
    ++resets;
    return false;
  });
  auto const outcome = w.a->ask(w.to_b, message_type::ping);
  REQUIRE_FALSE(outcome.has_value());
  CHECK(outcome.error() == errc::no_answer);
  CHECK(resets == 2);
  CHECK(w.a->lost.size() == 1);
  CHECK(w.a->transport->connections() == 0);
  w.world.set_filter({});
  w.close();
}

TEST_CASE("stream: a goodbye is heard, and what waits for an answer fails") {
  two_peers w(7);
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  w.b->silent = true;
  result<message> outcome = message();
  w.host_a.spawn([](stream_peer& a, peer_ref to, result<message>& out) -> coro::task<void> {
    message m;
    out = co_await a.transport->request(to, m);
  }(*w.a, w.to_b, outcome));
  w.world.run_for(100ms);
  w.host_b.run(w.b->transport->close());
  w.world.run_for(100ms);
  REQUIRE_FALSE(outcome.has_value());
  CHECK(outcome.error() == errc::closed);
  CHECK(w.a->lost == std::vector{w.b->id});
  CHECK(w.a->last_loss == errc::closed);
  w.host_a.run(w.a->transport->close());
  auto const late = w.a->ask(w.to_b, message_type::ping);
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error() == errc::closed);
}

TEST_CASE("stream: somebody else at that address is named; strangers and unknown connections get nothing, or little") {
  two_peers w(8);
  byte_array<32> key{};
  key[0] = 1;
  auto const nobody = w.a->book.intern(peer_id::of_ed25519(key));
  nobody->add_address(multiaddr::datagram(w.b->transport->local(), std::nullopt), false);
  auto const wrong = w.a->ask(nobody, message_type::ping);
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error() == errc::wrong_identity);
  CHECK(wrong.error().message().find(w.b->id.to_string()) != std::string::npos);
  CHECK(w.a->lost == std::vector{nobody->id()});

  io::sim::context host_c(w.world, host_address(3));
  stream_peer stranger(host_c, byte_array<32>{7});
  auto const to_b = stranger.knows(*w.b);
  std::uint64_t const sent = w.b->transport->counts().accepted;
  std::size_t answered = 0;
  w.world.set_filter([&](io::endpoint const&, io::endpoint const& to, bytes&) {
    if (to.address()[3] == 3) ++answered;
    return true;
  });
  auto const outcome = stranger.ask(to_b, message_type::ping);
  REQUIRE_FALSE(outcome.has_value());
  CHECK(outcome.error() == errc::no_answer);
  CHECK(answered == 0);
  CHECK(w.b->transport->counts().strangers > 0);
  CHECK(w.b->transport->counts().accepted == sent);

  // A member's datagrams, replayed from elsewhere: nothing is learned, and the answers are shorter.
  std::vector<bytes> recorded;
  std::size_t longest = 0;
  w.world.set_filter([&](io::endpoint const& from, io::endpoint const& to, bytes& data) {
    if (from.address()[3] == 1) recorded.push_back(data);
    if (to.address()[3] == 9) longest = std::max(longest, data.size());
    return true;
  });
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  w.world.run_for(1s);
  std::vector<bytes> const replayed = recorded;
  std::size_t const confirmed = w.b->confirmed.size();
  std::size_t const served = w.b->served.size();
  std::size_t shortest = 1200;
  for (bytes const& data : replayed) {
    shortest = std::min(shortest, data.size());
    w.world.inject(io::endpoint::v4({10, 0, 0, 9}, 99), w.b->transport->local(), data);
    w.world.run_for(100ms);
  }
  CHECK(replayed.size() >= 3);
  CHECK(longest > 0);
  CHECK(longest < shortest);
  CHECK(w.b->confirmed.size() == confirmed);
  CHECK(w.b->served.size() == served);
  w.world.set_filter({});
  host_c.run(stranger.transport->close());
  w.close();
}

TEST_CASE("stream: an idle connection is closed without a loss, and close leaves no timer") {
  two_peers w(9);
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  w.world.run_for(6min);
  CHECK(w.a->transport->connections() == 0);
  CHECK(w.b->transport->connections() == 0);
  CHECK(w.a->lost.empty());
  CHECK(w.b->lost.empty());
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  w.close();
  CHECK(w.a->transport->connections() == 0);
  CHECK(w.a->transport->requests_under_way() == 0);
  w.world.run_until_idle(10'000);
  CHECK(w.world.in_flight() == 0);
}

TEST_CASE("stream: a table of half-open connections is bounded, and empties itself") {
  two_peers w(10);
  kadoro_sim::stream_sealer const sealer(std::nullopt);
  for (std::uint64_t i = 1; i <= 200; ++i) {
    kadoro_sim::stream_packet p;
    p.what = kadoro_sim::stream_packet::kind::open;
    p.from = i;
    w.world.inject(io::endpoint::v4({10, 0, 0, 9}, 99), w.b->transport->local(), sealer.write(p));
  }
  w.world.run_for(1s);
  CHECK(w.b->transport->connections() == stream_transport::max_half_open);
  CHECK(w.b->transport->counts().connections_full == 200 - stream_transport::max_half_open);
  w.world.run_for(10s);
  CHECK(w.b->transport->connections() == 0);
  CHECK(w.b->lost.empty());
  CHECK(w.a->ask(w.to_b, message_type::ping).has_value());
  w.close();
}

// ---- swarms ---------------------------------------------------------------------------------------------------------

TEST_CASE("stream swarm: twelve nodes join, put, get, and notice a crash; then nothing is left") {
  simulated_swarm swarm(21);
  for (int i = 0; i < 12; ++i) swarm.add(over_streams());
  swarm.join_all();
  for (auto const& n : swarm.nodes) CHECK(n->servers() == 11);
  auto const receipt = swarm.put(3, "key", "value", by(quorum::all()));
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 11);
  for (std::size_t i = 0; i < 12; ++i) CHECK(swarm.holds(i, "key", 3));
  for (auto const& how : {get_options(), from(quorum::majority())}) {
    auto const got = swarm.get(7, "key", how);
    REQUIRE(got.found());
    REQUIRE(got.records().size() == 1);
    CHECK(as_text(got.records()[0].value.value) == "value");
    CHECK(got.records()[0].value.publisher == swarm.nodes[3]->id());
    CHECK_FALSE(got.records()[0].value.is_signed());
  }
  CHECK(swarm.get(7, "nothing", from(quorum::all())).outcome() == get_outcome::not_found);
  auto const withdrawn = swarm.withdraw(3, "key", by(quorum::one()));
  CHECK_FALSE(withdrawn.ok());
  CHECK(withdrawn.refused() == 11);

  swarm.crash(5);
  auto const next = swarm.put(2, "next", "value", by(quorum::majority()));
  CHECK(next.ok());
  swarm.world.run_for(60s);
  CHECK(next.stored() == 10);
  CHECK(next.stored() + next.unanswered() == next.population());
  for (std::size_t i = 1; i < 12; ++i)  // the first was told to join nobody, and has asked nobody since
    if (i != 5) CHECK(swarm.nodes[i]->servers() == 10);
  swarm.start(5, over_streams());
  swarm.hosts[5]->run(swarm.nodes[5]->join());
  swarm.world.run_for(30s);
  for (std::size_t i = 0; i < 12; ++i) CHECK(swarm.nodes[i]->servers() == 11);
  swarm.close_all();
  swarm.world.run_until_idle(100'000);
  CHECK(swarm.world.in_flight() == 0);
  swarm.nodes.clear();
}

TEST_CASE("stream swarm: records are renewed by full puts, and end with their lives") {
  simulated_swarm swarm(22);
  for (int i = 0; i < 6; ++i) swarm.add(over_streams());
  swarm.join_all();
  CHECK(swarm.put(1, "key", "value", by(quorum::all(), 20s)).ok());
  swarm.world.run_for(100s);
  for (std::size_t i = 0; i < 6; ++i) CHECK(swarm.holds(i, "key", 1));
  swarm.crash(1);
  swarm.world.run_for(21s);
  for (std::size_t i = 0; i < 6; ++i)
    if (i != 1) CHECK_FALSE(swarm.holds(i, "key", 1));
}

TEST_CASE("stream swarm: 10 KB pass, 16 KiB are refused with both sizes before anything is sent") {
  simulated_swarm swarm(23);
  for (int i = 0; i < 4; ++i) swarm.add(over_streams());
  swarm.join_all();
  std::string const value(10'000, 'v');
  auto const receipt = swarm.put(1, "large", value, by(quorum::all()));
  CHECK(receipt.stored() == 3);
  auto const got = swarm.get(2, "large", from(quorum::all()));
  REQUIRE(got.found());
  CHECK(as_text(got.records()[0].value.value) == value);
  auto const large = swarm.hosts[1]->run(swarm.nodes[1]->put(as_bytes("key"), bytes(16 * 1024, 1)));
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error() == condition::over_limit);
  CHECK(large.error().message().find("16384 bytes of value") != std::string::npos);
  CHECK(large.error().message().find("a stream's message holds 16384") != std::string::npos);
}

TEST_CASE("stream swarm: with 30 % loss everything still works") {
  simulated_swarm swarm(24);
  io::sim::link_policy link;
  link.delay = 10ms;
  link.loss = 0.3;
  swarm.world.set_link(link);
  for (int i = 0; i < 6; ++i) swarm.add(over_streams());
  swarm.join_all();
  swarm.world.run_for(30s);
  for (auto const& n : swarm.nodes) CHECK(n->servers() == 5);
  for (int i = 0; i < 10; ++i) {
    std::string const key = "key" + std::to_string(i);
    auto const receipt = swarm.put(static_cast<std::size_t>(i % 6), key, "value", by(quorum::majority()));
    CHECK_MESSAGE(receipt.ok(), receipt.explain());
    auto const got = swarm.get(static_cast<std::size_t>((i + 3) % 6), key, from(quorum::majority()));
    CHECK_MESSAGE(got.found(), got.explain());
  }
}

TEST_CASE("stream swarm: what went to a peer before it said that it is foreign is remembered, too") {
  simulated_swarm swarm(25);
  node_options options = over_streams();
  options.replicas = 1;  // so that nobody else is told
  for (int i = 0; i < 2; ++i) swarm.add(options);
  io::sim::link_policy slow;
  slow.delay = 1200ms;
  swarm.world.set_link(slow);
  peer_id const far = swarm.nodes[0]->id();
  std::string const name = "key";
  auto const receipt = swarm.put(1, name, "value", by(quorum::all(), 60s));
  REQUIRE(receipt.replicas().size() == 1);
  CHECK(receipt.replicas()[0].peer == far);
  CHECK(receipt.stored() == 1);
  CHECK(swarm.holds(0, name, 1));
  CHECK(swarm.withdraw(1, name, by(quorum::one(), 60s)).refused() == 1);
  swarm.world.run_for(24h);
  auto const word = swarm.nodes[1]->store().highest(as_bytes(name), swarm.nodes[1]->id());
  REQUIRE(word.has_value());
  CHECK(word->sequence > receipt.sequence());
}
