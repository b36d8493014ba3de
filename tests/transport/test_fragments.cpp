#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/frame_pool.hpp"
#include "simulated_peer.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using kadoro::transport::datagram::datagram_transport;
using kadoro::transport::datagram::drop;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t large_value = 65536;

bytes some_bytes(std::size_t size, std::uint64_t seed = 1) {
  bytes out(size);
  chacha20_random random(seed);
  random.fill(out);
  return out;
}

/// The bytes that went over the wire, both ways, lost ones included.
struct meter {
  io::sim::world& world;
  std::uint64_t total = 0;

  explicit meter(io::sim::world& of) : world(of) {
    world.set_filter([this](io::endpoint const&, io::endpoint const&, bytes& data) {
      total += data.size();
      return true;
    });
  }
  ~meter() { world.set_filter({}); }
};

/// Two peers; the second keeps what it is given and gives it back.
struct pair_of_peers {
  explicit pair_of_peers(std::uint64_t seed, io::sim::link_policy const& link = {}, datagram::options how_a = {},
                         datagram::options how_b = {})
      : world(seed), a(linked(link), how_a), b(world.add_host(address_of(2)), how_b), to_b(a.knows(b)) {
    b.on_serve = [this](message const& request, message& answer) {
      if (request.type == message_type::put_value && request.record) {
        ++puts;
        kept = to_bytes(request.record->value);
      }
      if (request.type == message_type::get_value) {
        ++gets;
        wire::record r;
        r.value = kept;
        r.publisher = publisher;
        answer.records.push_back(r);
      }
    };
  }
  ~pair_of_peers() {
    a.close();
    b.close();
  }

  io::sim::context& linked(io::sim::link_policy const& link) {
    world.set_link(link);
    return world.add_host(address_of(1));
  }

  static coro::task<result<message>> put_of(simulated_peer& from, peer_ref to, bytes value) {
    message request;
    request.type = message_type::put_value;
    request.key = as_bytes("key");
    request.record.emplace();
    request.record->value = value;
    co_return co_await from.transport->request(std::move(to), request);
  }
  static coro::task<result<message>> get_of(simulated_peer& from, peer_ref to) {
    message request;
    request.type = message_type::get_value;
    request.key = as_bytes("key");
    for (int page = 0; page < 3; ++page) {
      auto const answer = co_await from.transport->request(to, request);
      if (!answer || !answer->records.empty() || answer->records_cursor == 0) co_return answer;
      request.records_cursor = answer->records_cursor;
    }
    co_return fail(errc::timed_out, "the answer never came");
  }

  result<message> put(bytes const& value) { return a.host.run(put_of(a, to_b, value)); }
  result<message> get() { return a.host.run(get_of(a, to_b)); }

  io::sim::world world;
  simulated_peer a;
  simulated_peer b;
  peer_ref to_b;
  bytes kept;
  bytes const publisher = bytes(38, 7);
  int puts = 0;
  int gets = 0;
};

io::sim::link_policy lossy(double loss, duration delay = 20ms) {
  io::sim::link_policy link;
  link.delay = delay;
  link.loss = loss;
  return link;
}

/// `count` puts and gets of 64 KiB; the bytes that they took.
std::uint64_t bytes_for(double loss, int count, std::uint64_t& failed) {
  pair_of_peers w(42, lossy(loss));
  meter const wire(w.world);
  failed = 0;
  for (int i = 0; i < count; ++i) {
    bytes const value = some_bytes(large_value, static_cast<std::uint64_t>(i));
    if (!w.put(value) || w.kept != value) ++failed;
    auto const back = w.get();
    if (!back || back->records.size() != 1 || !equal(back->records[0].value, value)) ++failed;
  }
  CHECK(w.puts == count);  // each put together once, and done once
  CHECK(w.a.transport->fragment_bytes() == 0);
  CHECK(w.b.transport->fragment_bytes() < 16 * 1024);  // what was answered lately
  return wire.total;
}

}  // namespace

TEST_CASE("fragments: 64 KiB there and back, in four round trips each, the first contact and the loss apart") {
  pair_of_peers w(1, lossy(0, 50ms));
  REQUIRE(w.a.ask(w.to_b, message_type::ping).has_value());
  bytes const value = some_bytes(large_value);
  time_point const start = w.world.now();
  auto const stored = w.put(value);
  REQUIRE(stored.has_value());
  CHECK(w.world.now() - start == 300ms);  // 10, then 20, then the rest
  CHECK(w.kept == value);
  time_point const again = w.world.now();
  auto const found = w.get();
  REQUIRE(found.has_value());
  REQUIRE(found->records.size() == 1);
  CHECK(equal(found->records[0].value, value));
  CHECK(w.world.now() - again == 300ms);
  CHECK(w.a.transport->counts().fragments_repeated == 0);
  CHECK(w.b.transport->counts().fragments_repeated == 0);
  CHECK(w.to_b->rtt.smoothed() == 100ms);
  w.world.run_for(1s);
  CHECK(w.b.transport->large_answer_bytes() == 0);
}

TEST_CASE("fragments: at 2 % loss 64 KiB cost at most 1.3 times the bytes, at 10 % nothing fails") {
  int const many = coro::frame_pool::enabled ? 1000 : 200;  // puts, and as many gets; a sanitizer takes its time
  std::uint64_t failed = 0;
  std::uint64_t const clean = bytes_for(0, many, failed);
  CHECK(failed == 0);
  CHECK(clean / (2 * static_cast<std::uint64_t>(many)) < 65536 * 108 / 100);
  std::uint64_t const two = bytes_for(0.02, many, failed);
  CHECK(failed == 0);
  MESSAGE("2 % loss: ", static_cast<double>(two) / static_cast<double>(clean));
  CHECK(two * 10 <= clean * 13);
  std::uint64_t const few = bytes_for(0, 60, failed);
  std::uint64_t const ten = bytes_for(0.1, 60, failed);
  CHECK(failed == 0);
  MESSAGE("10 % loss: ", static_cast<double>(ten) / static_cast<double>(few));
  CHECK(ten * 10 <= few * 15);
}

TEST_CASE("fragments: duplicates, disorder and jitter change nothing in what arrives") {
  io::sim::link_policy link;
  link.delay = 10ms;
  link.jitter = 15ms;
  link.duplicate = 0.1;
  link.reorder = 0.1;
  link.reorder_delay = 50ms;
  link.loss = 0.02;
  pair_of_peers w(3, link);
  for (int i = 0; i < 30; ++i) {
    bytes const value = some_bytes(1200 + static_cast<std::size_t>(i) * 2200, static_cast<std::uint64_t>(i));
    auto const stored = w.put(value);
    REQUIRE(stored.has_value());
    CHECK(w.kept == value);
    auto const back = w.get();
    REQUIRE(back.has_value());
    REQUIRE(back->records.size() == 1);
    CHECK(equal(back->records[0].value, value));
  }
  CHECK(w.puts == 30);
  CHECK(w.b.transport->counts().of(drop::malformed) == 0);
  CHECK(w.a.transport->counts().of(drop::malformed) == 0);
}

TEST_CASE("fragments: a narrow link with a short queue slows the sender down, and loses nothing for good") {
  io::sim::link_policy link;
  link.delay = 20ms;
  link.bandwidth_bytes_per_s = 200'000;
  link.queue_bytes = 20'000;
  pair_of_peers w(4, link);
  meter const wire(w.world);
  for (int i = 0; i < 5; ++i) {
    bytes const value = some_bytes(large_value, static_cast<std::uint64_t>(i));
    auto const stored = w.put(value);
    REQUIRE(stored.has_value());
    CHECK(w.kept == value);
    auto const back = w.get();
    REQUIRE(back.has_value());
    CHECK(equal(back->records.at(0).value, value));
  }
  MESSAGE("bytes: ", static_cast<double>(wire.total) / (10.0 * large_value));
  CHECK(wire.total < 10u * large_value * 14 / 10);
}

TEST_CASE("fragments: many at once to one peer take turns") {
  pair_of_peers w(5, lossy(0.01));
  int done = 0;
  int good = 0;
  static auto const one = [](pair_of_peers& in, bool put, int& ended, int& well) -> coro::task<void> {
    auto work =
        put ? pair_of_peers::put_of(in.a, in.to_b, bytes(large_value, 3)) : pair_of_peers::get_of(in.a, in.to_b);
    auto const answer = co_await std::move(work);
    ++ended;
    well += answer.has_value() ? 1 : 0;
  };
  w.kept = some_bytes(large_value);
  for (int i = 0; i < 24; ++i) w.a.host.spawn(one(w, i % 2 == 0, done, good));
  w.world.run_until([&done] { return done == 24; });
  CHECK(good == 24);
  CHECK(w.puts == 12);
  CHECK(w.b.transport->counts().of(drop::fragments_peer_full) == 0);
  CHECK(w.a.transport->counts().of(drop::fragments_peer_full) == 0);
}

TEST_CASE("fragments: a path that takes only small packets fails a large message, and that alone") {
  pair_of_peers w(6, lossy(0, 10ms));
  REQUIRE(w.a.ask(w.to_b, message_type::ping).has_value());
  io::sim::link_policy hole = lossy(0, 10ms);
  hole.mtu_bytes = 1000;
  w.world.set_link(hole);
  time_point const start = w.world.now();
  auto const lost = w.put(some_bytes(large_value));
  REQUIRE_FALSE(lost.has_value());
  CHECK(lost.error() == condition::no_answer);
  CHECK(w.world.now() - start < 3200ms);
  w.world.set_link(lossy(0, 10ms));
  auto const stored = w.put(some_bytes(large_value));
  CHECK(stored.has_value());
}

TEST_CASE("fragments: a peer without the feature") {
  datagram::options old;
  old.features = kadoro::transport::transport::feature_signed_records;
  SUBCASE("is not sent a large request, and the error names both sizes") {
    pair_of_peers w(7, lossy(0), {}, old);
    for (int i = 0; i < 2; ++i) {  // with a dial, and with a session
      auto const refused = w.put(some_bytes(2000));
      REQUIRE_FALSE(refused.has_value());
      CHECK(refused.error() == errc::too_large);
      CHECK(refused.error().message().find("20") != std::string::npos);
      CHECK(refused.error().message().find(std::to_string(datagram::max_packet_message_bytes)) != std::string::npos);
    }
    CHECK(w.a.transport->counts().fragments_sent == 0);
    CHECK(w.put(some_bytes(1000)).has_value());
    CHECK(w.a.transport->sessions() == 1);
  }
  SUBCASE("is not sent a large answer, and what it cannot have is counted") {
    pair_of_peers w(8, lossy(0), old);
    w.kept = some_bytes(5000);
    for (int i = 0; i < 2; ++i) {
      auto const nothing = w.get();
      REQUIRE(nothing.has_value());
      CHECK(nothing->records.empty());
      CHECK(nothing->records_cursor == 0);
    }
    CHECK(w.b.transport->counts().records_passed_over == 2);
    CHECK(w.b.transport->counts().fragments_sent == 0);
    auto const too_large = w.put(some_bytes(2000));
    REQUIRE_FALSE(too_large.has_value());
    CHECK(too_large.error() == errc::too_large);
  }
}

TEST_CASE("fragments: an answer that is too large for the handshake comes over the session") {
  pair_of_peers w(9, lossy(0, 50ms));
  w.kept = some_bytes(large_value);
  auto const found = w.get();
  REQUIRE(found.has_value());
  REQUIRE(found->records.size() == 1);
  CHECK(equal(found->records[0].value, w.kept));
  CHECK(w.gets == 2);
  CHECK(w.a.transport->counts().first_flights_sent == 1);
}

TEST_CASE("fragments: when only the answer is lost, only the answer is sent again") {
  pair_of_peers w(10, lossy(0, 10ms));
  REQUIRE(w.a.ask(w.to_b, message_type::ping).has_value());
  int answers_to_lose = 2;
  std::uint64_t from_a = 0;
  w.world.set_filter([&](io::endpoint const& from, io::endpoint const&, bytes&) {
    if (from == w.a.transport->local()) ++from_a;
    return from == w.a.transport->local() || w.puts == 0 || answers_to_lose-- <= 0;
  });
  bytes const value = some_bytes(large_value);
  auto const stored = w.put(value);
  REQUIRE(stored.has_value());
  CHECK(w.puts == 1);
  CHECK(w.b.transport->counts().answers_repeated >= 1);
  CHECK(from_a < 57 + 57 / 2);
  w.world.set_filter({});
}

TEST_CASE("fragments: the peer restarts in the middle, and the request is done all the same") {
  io::sim::world world(11);
  world.set_link(lossy(0, 50ms));
  simulated_peer a(world.add_host(address_of(1)));
  auto host = std::make_unique<io::sim::context>(world, address_of(2));
  auto b = std::make_unique<simulated_peer>(*host);
  crypto::identity const identity = b->identity;
  auto const to_b = a.knows(*b);
  REQUIRE(a.ask(to_b, message_type::ping).has_value());
  std::optional<bool> good;
  static auto const one = [](simulated_peer& from, peer_ref to, std::optional<bool>& well) -> coro::task<void> {
    auto const answer = co_await pair_of_peers::put_of(from, std::move(to), bytes(large_value, 1));
    well = answer.has_value();
  };
  a.host.spawn(one(a, to_b, good));
  world.run_for(120ms);
  REQUIRE_FALSE(good);
  host->crash();
  b.reset();
  host = std::make_unique<io::sim::context>(world, address_of(2));
  b = std::make_unique<simulated_peer>(*host, identity, datagram::options());
  std::size_t served_bytes = 0;
  b->on_serve = [&](message const& request, message&) {
    if (request.record) served_bytes += request.record->value.size();
  };
  world.run_until([&good] { return good.has_value(); });
  CHECK(*good);
  CHECK(served_bytes == large_value);
  a.close();
  b->close();
}

TEST_CASE("fragments: whoever stops waiting, or leaves, stops the rest") {
  pair_of_peers w(12, lossy(0, 50ms));
  w.kept = some_bytes(large_value);
  REQUIRE(w.a.ask(w.to_b, message_type::ping).has_value());
  std::optional<result<message>> ended;
  static auto const limited = [](pair_of_peers& in, bool put, duration limit,
                                 std::optional<result<message>>& out) -> coro::task<void> {
    auto work =
        put ? pair_of_peers::put_of(in.a, in.to_b, bytes(large_value, 3)) : pair_of_peers::get_of(in.a, in.to_b);
    out = co_await coro::with_deadline(std::move(work), limit);
  };
  SUBCASE("a get is cancelled") {
    w.a.host.spawn(limited(w, false, 120ms, ended));
    w.world.run_for(1s);
    REQUIRE(ended);
    CHECK(ended->error() == errc::timed_out);
    CHECK(w.b.transport->large_answer_bytes() == 0);  // it was told
    CHECK(w.b.transport->counts().fragments_sent < 45);
    CHECK(w.a.transport->fragment_bytes() == 0);
  }
  SUBCASE("a put is cancelled: what has arrived is dropped in time, and counted") {
    w.a.host.spawn(limited(w, true, 120ms, ended));
    w.world.run_for(1s);
    REQUIRE(ended);
    CHECK(ended->error() == errc::timed_out);
    CHECK(w.b.transport->fragment_bytes() > 0);
    CHECK(w.a.transport->counts().fragments_sent == 30);
    w.world.run_for(25s);
    CHECK(w.b.transport->fragment_bytes() == 0);
    CHECK(w.b.transport->counts().of(drop::fragments_expired) == 1);
    CHECK(w.puts == 0);
  }
  SUBCASE("puts are cancelled, as many as the peer puts together at once: they give way to the next") {
    std::array<std::optional<result<message>>, datagram::reassembly::max_messages> all;
    for (auto& each : all) w.a.host.spawn(limited(w, true, 120ms, each));
    w.world.run_for(200ms);
    for (auto const& each : all) CHECK(each.has_value());
    REQUIRE(w.puts == 0);
    auto const next = w.put(some_bytes(large_value));
    REQUIRE_MESSAGE(next.has_value(), (next ? std::string() : next.error().message()));
    CHECK(w.puts == 1);
    CHECK(w.kept == some_bytes(large_value));
  }
  SUBCASE("the sender of an answer closes") {
    w.a.host.spawn(limited(w, false, 10s, ended));
    w.world.run_for(120ms);
    w.b.close();
    w.world.run_for(1s);
    REQUIRE(ended);
    CHECK(ended->error() == errc::closed);
    CHECK(w.a.transport->fragment_bytes() == 0);
  }
  SUBCASE("the requester closes") {
    w.a.host.spawn(limited(w, false, 10s, ended));
    w.world.run_for(120ms);
    w.a.close();
    w.world.run_for(1s);
    REQUIRE(ended);
    CHECK(ended->error() == errc::closed);
    CHECK(w.b.transport->large_answer_bytes() == 0);
  }
  SUBCASE("the requester falls silent: the answer is given up, and counted") {
    w.a.host.spawn(limited(w, false, 10s, ended));
    w.world.run_for(120ms);
    w.a.host.set_online(false);
    w.world.run_for(5s);
    CHECK(w.b.transport->large_answer_bytes() == 0);
    CHECK(w.b.transport->counts().of(drop::large_answer_given_up) == 1);
    w.a.host.set_online(true);
  }
}

TEST_CASE(
    "fragments: peers that begin many messages and end none fill a bounded memory, and keep nobody out for long") {
  io::sim::world world(13);
  world.set_link(lossy(0, 5ms));
  simulated_peer b(world.add_host(address_of(2)));
  std::vector<std::unique_ptr<simulated_peer>> attackers;
  for (unsigned i = 0; i < 40; ++i) {
    attackers.push_back(std::make_unique<simulated_peer>(world.add_host(address_of(10 + i))));
    REQUIRE(attackers.back()->ask(attackers.back()->knows(b), message_type::ping).has_value());
  }
  // Each puts, and goes silent after its first fragments: b's words do not reach it.
  world.set_filter(
      [&b](io::endpoint const& from, io::endpoint const&, bytes&) { return from != b.transport->local(); });
  static auto const one = [](simulated_peer& from, peer_ref to) -> coro::task<void> {
    auto const answer = co_await pair_of_peers::put_of(from, std::move(to), bytes(large_value, 3));
    CHECK_FALSE(answer.has_value());
  };
  for (auto const& attacker : attackers)
    for (int i = 0; i < 8; ++i) attacker->host.spawn(one(*attacker, attacker->knows(b)));
  std::size_t highest = 0;
  for (int i = 0; i < 400; ++i) {
    world.run_for(10ms);
    highest = std::max(highest, b.transport->fragment_bytes());
  }
  CHECK(highest <= datagram_transport::max_request_fragment_bytes);
  CHECK(highest > datagram_transport::max_request_fragment_bytes * 9 / 10);
  CHECK(b.transport->counts().of(drop::fragments_full) > 0);
  CHECK(b.served.size() == attackers.size());  // the pings
  world.set_filter({});
  world.run_for(30s);
  CHECK(b.transport->fragment_bytes() == 0);
  CHECK(b.transport->counts().of(drop::fragments_expired) > 0);
  auto const fine = world.now();
  auto const stored =
      attackers[0]->host.run(pair_of_peers::put_of(*attackers[0], attackers[0]->knows(b), bytes(large_value, 4)));
  CHECK(stored.has_value());
  CHECK(world.now() - fine < 1s);
  for (auto const& attacker : attackers) attacker->close();
  b.close();
}

TEST_CASE("fragments: large answers to those who never say that they arrived are bounded") {
  io::sim::world world(14);
  world.set_link(lossy(0, 5ms));
  simulated_peer b(world.add_host(address_of(2)));
  bytes const value = some_bytes(large_value);
  bytes const publisher(38, 7);
  b.on_serve = [&](message const& request, message& answer) {
    if (request.type != message_type::get_value) return;
    wire::record r;
    r.value = value;
    r.publisher = publisher;
    answer.records.push_back(r);
  };
  std::vector<std::unique_ptr<simulated_peer>> askers;
  for (unsigned i = 0; i < 12; ++i) {
    askers.push_back(std::make_unique<simulated_peer>(world.add_host(address_of(10 + i))));
    REQUIRE(askers.back()->ask(askers.back()->knows(b), message_type::ping).has_value());
  }
  std::uint64_t from_b = 0;
  std::uint64_t to_b = 0;
  world.set_filter([&](io::endpoint const& from, io::endpoint const&, bytes& data) {
    (from == b.transport->local() ? from_b : to_b) += data.size();
    return from != b.transport->local();
  });
  static auto const one = [](simulated_peer& from, peer_ref to) -> coro::task<void> {
    auto const answer = co_await pair_of_peers::get_of(from, std::move(to));
    CHECK_FALSE(answer.has_value());
  };
  for (auto const& asker : askers)
    for (int i = 0; i < 40; ++i) asker->host.spawn(one(*asker, asker->knows(b)));
  std::size_t highest = 0;
  for (int i = 0; i < 200; ++i) {
    world.run_for(10ms);
    highest = std::max(highest, b.transport->large_answer_bytes());
  }
  CHECK(highest <= datagram_transport::max_large_answer_bytes);
  CHECK(b.transport->counts().of(drop::large_answers_full) > 0);
  world.run_for(30s);
  CHECK(b.transport->large_answer_bytes() == 0);
  CHECK(b.transport->counts().of(drop::large_answer_given_up) > 0);
  CHECK(from_b < 12u * 200 * 1200);  // not the 24 MB that were asked for
  world.set_filter({});
  for (auto const& asker : askers) asker->close();
  b.close();
}

TEST_CASE("fragments: what small requests cost stays the same beside a large one") {
  pair_of_peers w(15, lossy(0, 50ms));
  REQUIRE(w.a.ask(w.to_b, message_type::ping).has_value());
  std::optional<bool> good;
  static auto const one = [](pair_of_peers& in, std::optional<bool>& well) -> coro::task<void> {
    auto const answer = co_await pair_of_peers::put_of(in.a, in.to_b, bytes(large_value, 1));
    well = answer.has_value();
  };
  w.a.host.spawn(one(w, good));
  time_point const start = w.world.now();
  REQUIRE(w.a.ask(w.to_b, message_type::ping).has_value());
  CHECK(w.world.now() - start == 100ms);
  w.world.run_until([&good] { return good.has_value(); });
  CHECK(*good);
}
