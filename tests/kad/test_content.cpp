#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "foreign_transport.hpp"
#include "kadoro/io/sim/database.hpp"
#include "kadoro/kad/content.hpp"
#include "kadoro/kad/node_handle.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;
using origin = record_store::origin;
using transport::message;
using transport::message_type;
using transport::peer_ref;

namespace {

peer_id peer(std::uint8_t number) {
  byte_array<32> seed;
  seed.fill(number);
  return peer_id::of_ed25519(crypto::identity::from_seed(seed).public_key());
}

record content(std::string_view value, duration life = 100s) {
  return make_content(content_key(as_bytes(value)), as_bytes(value), life);
}

time_point at(duration since) { return time_point{1h} + since; }

struct fixture {
  verified_cache cache;
  record_store store;

  explicit fixture(store_limits const& limits = {}) : store(limits, cache) {}

  std::optional<errc> bring(std::uint8_t sender, record r, duration now = 0s, origin from = origin::publisher_session,
                            duration remaining = 48h, std::optional<std::uint64_t> range = std::nullopt) {
    return store.put_content(std::move(r), from, peer(sender), range, remaining, at(now)).refused;
  }
  std::optional<duration> remaining(std::string_view value, duration now = 0s) {
    auto const held = store.find_content(content_key(as_bytes(value)), at(now));
    if (!held) return std::nullopt;
    CHECK(as_text(held->value->value) == value);
    return held->remaining;
  }
};

constexpr std::optional<errc> accepted = std::nullopt;

/// Datagrams, by which a test may ask what no node would, and answer instead of the node.
class tampering_transport final : public transport::transport, private kadoro::transport::handler {
 public:
  using hook = std::function<bool(message const& request, message& answer)>;
  struct state {
    tampering_transport* made = nullptr;
    hook serves;
    std::map<message_type, std::size_t> served;
  };

  tampering_transport(std::unique_ptr<kadoro::transport::transport> inner, state& of)
      : inner_(std::move(inner)), of_(of) {
    of_.made = this;
  }

  static transport_factory factory(state& of) {
    return [&of](io::context& context, kadoro::transport::peer_book& book, crypto::identity const& self,
                 node_options const& options) -> result<std::unique_ptr<kadoro::transport::transport>> {
      auto inner = open_datagram(context, book, self, options);
      if (!inner) return fail(inner.error());
      return std::unique_ptr<kadoro::transport::transport>(
          std::make_unique<tampering_transport>(std::move(*inner), of));
    };
  }

  coro::task<result<message>> request(peer_ref to, message const& what) override {
    return inner_->request(std::move(to), what);
  }
  void set_handler(handler* to) noexcept override {
    handler_ = to;
    inner_->set_handler(to == nullptr ? nullptr : this);
  }
  std::vector<kadoro::transport::multiaddr> listen_addresses() const override { return inner_->listen_addresses(); }
  result<std::size_t> check_record_fits(bytes_view key, wire::record const& what) const override {
    return inner_->check_record_fits(key, what);
  }
  std::string counters_text() const override { return inner_->counters_text(); }
  coro::task<void> close() override { return inner_->close(); }

 private:
  reply on_request(peer_ref const& from, message const& request, message& answer) override {
    ++of_.served[request.type];
    if (of_.serves && of_.serves(request, answer)) return reply::send;
    return handler_->on_request(from, request, answer);
  }
  void on_peer_confirmed(peer_ref const& who) override { handler_->on_peer_confirmed(who); }
  void on_peer_lost(peer_ref const& who, error const& why) override { handler_->on_peer_lost(who, why); }

  std::unique_ptr<kadoro::transport::transport> inner_;
  state& of_;
  handler* handler_ = nullptr;
};

struct content_swarm : simulated_swarm {
  using simulated_swarm::simulated_swarm;

  put_receipt put_content(std::size_t from, std::string const& value, put_options how = {}) {
    return hosts[from]->run(nodes[from]->put_content(as_bytes(value), how)).value();
  }
  content_result get_content(std::size_t from, std::string const& value, get_options how = {}) {
    return hosts[from]->run(nodes[from]->get_content(content_key(as_bytes(value)), how)).value();
  }
  bool holds(std::size_t at, std::string const& value) {
    return nodes[at]->store().find_content(content_key(as_bytes(value)), hosts[at]->now()).has_value();
  }
  std::size_t holders(std::string const& value) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i) n += nodes[i] && holds(i, value) ? 1u : 0u;
    return n;
  }
};

put_options lasting(duration life, quorum q = quorum::all()) {
  put_options how;
  how.lifetime = life;
  how.quorum = q;
  return how;
}

get_options majority() {
  get_options how;
  how.quorum = quorum::majority();
  return how;
}

std::string large_value() {
  bytes out(record::max_value_bytes);
  chacha20_random random(7);
  random.fill(out);
  return std::string(as_text(out));
}

}  // namespace

// ---- the store ------------------------------------------------------------------------------------------------------

TEST_CASE(
    "content in a store: anybody may bring it, its hash is looked at, and it lives for the longest that was granted") {
  fixture f;
  CHECK(f.bring(1, content("a", 10s)) == accepted);
  CHECK(f.remaining("a") == 10s);
  CHECK(f.bring(2, content("a", 30s), 1s) == accepted);
  CHECK(f.remaining("a", 1s) == 30s);
  CHECK(f.bring(3, content("a", 5s), 2s) == accepted);  // shortens nothing
  CHECK(f.remaining("a", 2s) == 29s);
  CHECK(f.store.renew_content(content_key(as_bytes("a")), 40s, at(3s)) == accepted);
  CHECK(f.remaining("a", 3s) == 40s);
  CHECK(f.bring(4, content("a", 48h), 4s, origin::handed_on, 48h) == accepted);  // to hand it on extends nothing
  CHECK(f.remaining("a", 4s) == 39s);
  CHECK(f.store.size() == 1);
  CHECK(f.store.counters().stored == 1);
  CHECK(f.store.counters().renewed == 3);
  CHECK(f.store.counters().unchanged == 1);
  CHECK_FALSE(f.remaining("a", 43s));
  CHECK(f.store.remembered() == 0);  // nothing is remembered of it
  CHECK(f.store.renew_content(content_key(as_bytes("a")), 40s, at(44s)) == errc::refused_unknown);
  CHECK(f.bring(4, content("a", 100s), 44s, origin::handed_on, 7s) == accepted);
  CHECK(f.remaining("a", 44s) == 7s);
  CHECK(f.cache.hits() + f.cache.misses() == 0);
}

TEST_CASE("content in a store: what is not what its key names is refused, whether that is held or not") {
  fixture f;
  record wrong = content("a");
  wrong.value = to_bytes(as_bytes("b"));
  CHECK(f.bring(1, wrong) == errc::refused_hash);
  CHECK(f.bring(1, wrong, 0s, origin::handed_on) == errc::refused_hash);
  CHECK(f.store.size() == 0);
  CHECK(f.bring(1, content("a")) == accepted);
  CHECK(f.bring(1, wrong) == errc::refused_hash);
  CHECK(f.remaining("a") == 100s);
  CHECK(f.store.counters().refused_hash == 3);
  record short_key = content("a");
  short_key.key.pop_back();
  CHECK(f.bring(1, short_key) == errc::malformed);
  record with_publisher = content("a");
  with_publisher.publisher = peer(1);
  CHECK(f.bring(1, with_publisher) == errc::malformed);
  record with_sequence = content("a");
  with_sequence.sequence = 1;
  CHECK(f.bring(1, with_sequence) == errc::malformed);
  CHECK(f.bring(1, content("", 1s)) == accepted);  // nothing has a hash, too
}

TEST_CASE(
    "content in a store: it counts against the share of who brought it, and of the range; it stands beside records") {
  store_limits limits;
  limits.max_records_per_publisher = 2;
  limits.max_records_per_range = 3;
  fixture f(limits);
  CHECK(f.bring(1, content("a"), 0s, origin::publisher_session, 48h, 7) == accepted);
  CHECK(f.bring(1, content("b"), 0s, origin::handed_on, 48h, 7) == accepted);
  CHECK(f.bring(1, content("c"), 0s, origin::publisher_session, 48h, 7) == errc::refused_full);
  CHECK(f.store.counters().refused_full_publisher == 1);
  CHECK(f.bring(1, content("a"), 0s, origin::publisher_session, 48h, 7) == accepted);  // that needs no room
  CHECK(f.bring(2, content("c"), 0s, origin::publisher_session, 48h, 7) == accepted);
  CHECK(f.bring(2, content("d"), 0s, origin::publisher_session, 48h, 7) == errc::refused_full);
  CHECK(f.store.counters().refused_full_range == 1);
  CHECK(f.bring(2, content("d"), 0s, origin::publisher_session, 48h, 8) == accepted);
  CHECK(f.bring(1, content("e"), 101s, origin::publisher_session, 48h, 7) == accepted);  // the others have run out

  byte_array<32> seed;
  seed.fill(9);
  auto const signer = crypto::identity::from_seed(seed);
  auto const key = content_key(as_bytes("e"));
  record const beside = record::make(signer, key, 1, 100s, 0, as_bytes("signed"));
  CHECK(f.store.put(beside, origin::publisher_session, std::nullopt, 48h, at(101s)).refused == accepted);
  std::vector<record_store::held> held;
  f.store.get(key, at(101s), held);
  REQUIRE(held.size() == 2);
  CHECK(held[0].value->is_content());  // first, on the first page
  CHECK(held[1].value->is_signed());
}

TEST_CASE("content in a store: it is kept as it is, with its share, and a boot does not put it to sleep") {
  fixture f;
  CHECK(f.bring(1, content("a"), 0s, origin::publisher_session, 48h, 7) == accepted);
  auto const key = content_key(as_bytes("a"));
  auto slot = f.store.kept(key, peer_id(), false);
  REQUIRE(slot.has_value());
  kept_slot::boot_scale const scale{at(0s), 10s};
  auto read = kept_slot::decode(kept_slot::entry_key(key, peer_id(), false, kept_slot::part::records),
                                slot->encode_records(), slot->encode_times(scale), scale);
  REQUIRE(read.has_value());
  CHECK(read->brought_by == peer(1));
  CHECK(read->range == 7);
  REQUIRE(read->valid.has_value());
  CHECK(read->valid->what == content("a"));

  store_limits limits;
  limits.max_records_per_publisher = 1;
  fixture again(limits);
  kept_slot damaged = *read;
  damaged.valid->what.value.push_back(1);
  CHECK_FALSE(again.store.restore(damaged));
  CHECK(again.store.restore(*read));
  CHECK(again.remaining("a", 1s) == 99s);
  CHECK(again.bring(1, content("b")) == errc::refused_full);

  CHECK(read->put_to_sleep(at(50s), at(70s)));  // nobody knows how long the boot took
  fixture booted;
  CHECK(booted.store.restore(*read));
  CHECK(booted.remaining("a", 70s) == 50s);
}

TEST_CASE("content on the wire: it has its flag, its life and its value, and nothing of another kind") {
  record const what = content("value");
  wire::record w = to_wire(what, 1000, true);
  CHECK(is_content(w));
  auto const back = content_from_wire(w, {});
  REQUIRE(back.has_value());
  CHECK(*back == what);
  CHECK_FALSE(unsigned_from_wire(w, {}).has_value());  // what an older peer makes of it
  wire::record other = w;
  other.sequence = 1;
  CHECK_FALSE(content_from_wire(other, {}).has_value());
  other = w;
  other.flags |= record::flag_tombstone;
  CHECK_FALSE(content_from_wire(other, {}).has_value());
  other = w;
  other.lifetime_ms = 0;
  CHECK_FALSE(content_from_wire(other, {}).has_value());
  bytes const id = to_bytes(peer(1).bytes());
  other = w;
  other.publisher = id;
  CHECK_FALSE(content_from_wire(other, {}).has_value());
}

// ---- in a swarm -----------------------------------------------------------------------------------------------------

TEST_CASE("content: put by one, it is found by everybody, by its hash alone") {
  content_swarm swarm(1);
  for (int i = 0; i < 6; ++i) swarm.add();
  swarm.join_all();
  auto how = lasting(1h);
  how.read_back = true;
  auto const receipt = swarm.put_content(2, "the value", how);
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 5);
  CHECK(receipt.key() == to_bytes(content_key(as_bytes("the value"))));
  CHECK(receipt.sequence() == 0);
  CHECK(swarm.nodes[2]->holders(receipt.key()).size() == 5);
  swarm.world.run_for(1s);
  CHECK(receipt.reading() == put_receipt::read_back::found);
  for (std::size_t i = 0; i < 6; ++i) {
    auto const got = swarm.get_content(i, "the value");
    REQUIRE(got.found());
    CHECK(as_text(got.value()) == "the value");
    CHECK_FALSE(got.unconfirmed());
    CHECK(got.remaining() > 3500s);
  }
  auto const other = swarm.get_content(3, "another value");
  CHECK(other.outcome() == get_outcome::not_found);
  CHECK(other.value().empty());
  CHECK(other.explain() == "nobody holds it: 5 peers asked");
  CHECK(swarm.get(3, std::string(as_text(receipt.key()))).outcome() == get_outcome::not_found);  // it is no record
}

TEST_CASE("content: one of the closest is asked first, and the answer of one is enough") {
  content_swarm swarm(2);
  for (int i = 0; i < 9; ++i) swarm.add();
  swarm.join_all();
  node_options client;
  client.mode = peer_mode::client;
  swarm.add(client);
  auto const joined = swarm.hosts[9]->run(swarm.nodes[9]->join());
  REQUIRE(joined.has_value());
  CHECK(swarm.put_content(0, "v", lasting(1h)).stored() == 8);
  auto const got = swarm.get_content(9, "v");
  CHECK(got.found());
  CHECK(got.steps().steps().size() == 1);
  CHECK(got.explain() == "found: 1 holder; 1 peer answered");
  CHECK(swarm.hosts[9]->run(swarm.nodes[9]->put_content(as_bytes("of a client"), lasting(1h)))->stored() == 9);
}

TEST_CASE("content: an empty value and one of 64 KiB, the latter at the first meeting, at 2 % loss") {
  content_swarm swarm(3);
  io::sim::link_policy link;
  link.delay = 10ms;
  link.loss = 0.02;
  swarm.world.set_link(link);
  for (int i = 0; i < 5; ++i) swarm.add();
  swarm.join_all();
  CHECK(swarm.put_content(0, "", lasting(1h)).ok());
  auto const nothing = swarm.get_content(1, "");
  CHECK(nothing.found());
  CHECK(nothing.value().empty());
  auto const large = large_value();
  CHECK(swarm.put_content(0, large, lasting(1h)).ok());
  for (std::size_t i = 1; i < 5; ++i) CHECK(as_text(swarm.get_content(i, large).value()) == large);
  swarm.add();  // has met nobody
  CHECK(as_text(swarm.get_content(5, large).value()) == large);
  auto const over = swarm.hosts[0]->run(swarm.nodes[0]->put_content(as_bytes(large + "x")));
  REQUIRE_FALSE(over.has_value());
  CHECK(over.error() == errc::too_large);
  auto const no_hash = swarm.hosts[0]->run(swarm.nodes[0]->get_content(as_bytes("key")));
  REQUIRE_FALSE(no_hash.has_value());
  CHECK(no_hash.error() == errc::invalid_argument);
}

TEST_CASE("content: whoever has put it renews it, without the value, until it releases it or is gone") {
  content_swarm swarm(4);
  for (int i = 0; i < 5; ++i) swarm.add();
  tampering_transport::state seen;
  node_options watched;
  watched.transport = tampering_transport::factory(seen);
  swarm.add(watched);
  swarm.join_all();
  CHECK(swarm.put_content(0, "v", lasting(20s)).stored() == 5);
  CHECK(swarm.put_content(1, "v", lasting(20s)).stored() == 5);
  swarm.world.run_for(60s);
  CHECK(swarm.holders("v") == 6);
  CHECK(seen.served[message_type::renew_content] >= 8);
  CHECK(seen.served[message_type::put_value] == 2);
  CHECK(seen.served[message_type::renew] == 0);
  CHECK(swarm.nodes[0]->release_content(content_key(as_bytes("v"))));
  CHECK_FALSE(swarm.nodes[0]->release_content(content_key(as_bytes("v"))));
  CHECK_FALSE(swarm.nodes[3]->release_content(content_key(as_bytes("v"))));
  swarm.world.run_for(60s);
  CHECK(swarm.holders("v") == 6);  // the other one still renews it
  swarm.crash(1);
  swarm.world.run_for(60s);
  CHECK(swarm.holders("v") == 0);
  auto const got = swarm.get_content(3, "v");
  CHECK(got.outcome() == get_outcome::not_found);
}

TEST_CASE("content: a holder that has lost it gets it back with the next renewal, and a newcomer gets it at once") {
  content_swarm swarm(5);
  for (int i = 0; i < 4; ++i) swarm.add();
  swarm.join_all();
  CHECK(swarm.put_content(1, "v", lasting(60s)).stored() == 3);
  swarm.crash(3);
  swarm.start(3);
  swarm.hosts[3]->spawn([](node& n) -> coro::task<void> {
    auto const joined = co_await n.join();
    static_cast<void>(joined);
  }(*swarm.nodes[3]));
  swarm.world.run_for(35s);
  CHECK(swarm.holds(3, "v"));
  swarm.crash(1);  // nobody renews it any more
  swarm.world.run_for(1s);
  swarm.add();
  swarm.hosts[4]->spawn([](node& n) -> coro::task<void> {
    auto const joined = co_await n.join();
    static_cast<void>(joined);
  }(*swarm.nodes[4]));
  swarm.world.run_for(5s);
  CHECK(swarm.holds(4, "v"));  // handed on, with what was left
  auto const held = swarm.nodes[4]->store().find_content(content_key(as_bytes("v")), swarm.hosts[4]->now());
  REQUIRE(held.has_value());
  CHECK(held->remaining < 55s);
  swarm.world.run_for(60s);
  CHECK(swarm.holders("v") == 0);
}

TEST_CASE("content: with a quorum, those of the closest that lack it get it") {
  content_swarm swarm(6);
  for (int i = 0; i < 6; ++i) swarm.add();
  swarm.join_all();
  verified_cache cache;
  auto const value = content("v", 1h);
  CHECK(swarm.nodes[2]
            ->store()
            .put_content(value, origin::handed_on, peer(1), std::nullopt, 1h, swarm.hosts[2]->now())
            .refused == accepted);
  auto const first = swarm.get_content(4, "v");
  CHECK(first.found());
  auto const got = swarm.get_content(5, "v", majority());
  CHECK(got.found());
  swarm.world.run_for(1s);
  CHECK(swarm.holders("v") >= 4);
}

TEST_CASE("content: a wrong copy is neither believed nor stored, and the result says so") {
  content_swarm swarm(7);
  tampering_transport::state liar;
  std::string const value = "the right one";
  liar.serves = [](message const& request, message& answer) {
    static std::string const lie = "a wrong one";
    if (request.type != message_type::get_value || !request.record) return false;
    wire::record w = content_question();
    w.value = as_bytes(lie);
    w.lifetime_ms = w.remaining_ms = 1000;
    answer.records.push_back(w);
    return true;
  };
  node_options lies;
  lies.transport = tampering_transport::factory(liar);
  swarm.add();
  swarm.add(lies);
  SUBCASE("everybody lies") {
    swarm.join_all();
    auto const got = swarm.get_content(0, value);
    CHECK(got.outcome() == get_outcome::only_invalid);
    CHECK(got.invalid() == 1);
    CHECK(got.explain() == "only copies that have expired or that are not what the key names: 1 seen at 1 peer");
  }
  SUBCASE("one lies") {
    for (int i = 0; i < 4; ++i) swarm.add();
    swarm.join_all();
    CHECK(swarm.put_content(3, value, lasting(1h)).ok());
    for (std::size_t i : {0u, 2u, 4u, 5u}) {
      swarm.nodes[i]->store().expire(swarm.hosts[i]->now());
      CHECK(as_text(swarm.get_content(i, value, majority()).value()) == value);
    }
  }
  SUBCASE("a holder is given a wrong one") {
    swarm.join_all();
    auto const offer = [](tampering_transport& by, peer_ref to, std::optional<errc>& refusal,
                          message_type how) -> coro::task<void> {
      auto const key = content_key(as_bytes("the right one"));
      record wrong = make_content(key, as_bytes("a wrong one"), 1h);
      message m;
      m.type = how;
      m.key = wrong.key;
      m.record = to_wire(wrong, 1000, false);
      auto const answer = co_await by.request(std::move(to), m);
      if (answer) refusal = answer->refusal;
    };
    for (message_type const how : {message_type::put_value, message_type::replicate}) {
      std::optional<errc> refusal;
      swarm.hosts[1]->run(offer(*liar.made, swarm.nodes[1]->peer_of(swarm.nodes[0]->id()), refusal, how));
      CHECK(refusal == errc::refused_hash);
    }
    CHECK_FALSE(swarm.holds(0, value));
  }
}

TEST_CASE("content: what it is not under: another kind of publication, a withdrawal, a validator that objects") {
  content_swarm swarm(8);
  node_options strict;
  strict.validators[""].accept = [](record const& what) -> result<void> {
    if (what.is_content() && as_text(what.value) == "ugly") return reject("ugly");
    return {};
  };
  swarm.add(strict);
  swarm.add(strict);
  swarm.add();
  swarm.join_all();
  CHECK(swarm.put_content(0, "v", lasting(1h)).ok());
  auto const key = content_key(as_bytes("v"));
  auto const withdrawn = swarm.hosts[0]->run(swarm.nodes[0]->withdraw(key));
  REQUIRE_FALSE(withdrawn.has_value());
  CHECK(withdrawn.error() == errc::invalid_argument);
  auto const as_record = swarm.hosts[0]->run(swarm.nodes[0]->put(key, as_bytes("w")));
  REQUIRE_FALSE(as_record.has_value());
  CHECK(as_record.error() == errc::invalid_argument);
  CHECK(swarm.hosts[1]->run(swarm.nodes[1]->put(key, as_bytes("w")))->ok());  // who has not put it may
  CHECK(swarm.get(2, std::string(as_text(key))).records().size() == 1);
  CHECK(as_text(swarm.get_content(2, "v").value()) == "v");

  auto const own = swarm.hosts[0]->run(swarm.nodes[0]->put_content(as_bytes("ugly")));
  REQUIRE_FALSE(own.has_value());
  CHECK(own.error() == errc::refused_validator);
  auto const receipt = swarm.put_content(2, "ugly", lasting(1h, quorum::one()));
  CHECK_FALSE(receipt.ok());
  CHECK(receipt.explain().find("ugly") != std::string::npos);
}

TEST_CASE("content: a watch of its key is told nothing of it, and a signed record beside it is told") {
  content_swarm swarm(9);
  for (int i = 0; i < 4; ++i) swarm.add();
  swarm.join_all();
  auto const key = content_key(as_bytes("v"));
  auto changes = swarm.nodes[3]->watch(key);
  REQUIRE(changes.has_value());
  std::vector<watch_event::kind> seen;
  swarm.hosts[3]->spawn([](kad::watch& w, std::vector<watch_event::kind>& out) -> coro::task<void> {
    for (;;) {
      auto const e = co_await w.next();
      if (!e) break;
      out.push_back(e->what);
    }
  }(*changes, seen));
  CHECK(swarm.put_content(0, "v", lasting(10s)).ok());
  swarm.world.run_for(2s);
  CHECK(swarm.nodes[0]->release_content(key));
  swarm.world.run_for(20s);
  CHECK(swarm.holders("v") == 0);
  CHECK(seen.empty());
  CHECK(swarm.put(1, std::string(as_text(key)), "signed").ok());
  swarm.world.run_for(1s);
  CHECK(seen == std::vector{watch_event::kind::add});
}

TEST_CASE("content: with nobody there it is kept, and goes to whoever comes") {
  content_swarm swarm(10);
  swarm.add();
  auto const receipt = swarm.put_content(0, "v", lasting(1h));
  CHECK_FALSE(receipt.ok());
  CHECK(receipt.explain().find("no peer is known") != std::string::npos);
  CHECK(swarm.get_content(0, "v").explain() == "found: 1 holder; 0 peers answered");
  CHECK(swarm.get_content(0, "w").outcome() == get_outcome::nobody_to_ask);
  swarm.add();
  swarm.join_all();
  CHECK(swarm.holds(1, "v"));
}

TEST_CASE("content: a client refuses, a silent peer times out") {
  content_swarm swarm(11);
  node_options client;
  client.mode = peer_mode::client;
  swarm.add(client);
  swarm.add();
  auto const receipt = swarm.put_content(1, "v", lasting(1h));
  CHECK(receipt.refused() == 1);
  CHECK(swarm.get_content(1, "w").outcome() == get_outcome::refused);
  swarm.crash(0);
  swarm.crash(1);
  swarm.start(1);
  CHECK(swarm.get_content(1, "w").outcome() == get_outcome::timed_out);
  swarm.crash(1);
}

TEST_CASE("content: peers that do not know it are not given it, and the receipt says so") {
  foreign_nodes foreign;
  content_swarm swarm(12);
  node_options o;
  o.transport = foreign_transport::factory(foreign);
  for (int i = 0; i < 4; ++i) {
    auto const& n = swarm.add(o);
    if (i == 3) foreign.ids.insert(n.id());
  }
  swarm.join_all();
  auto const receipt = swarm.put_content(0, "v", lasting(10s, quorum::one()));
  CHECK(receipt.stored() == 2);
  CHECK(receipt.refused() == 1);
  for (replica const& r : receipt.replicas())
    if (foreign.ids.contains(r.peer)) CHECK(r.refusal == errc::refused_unsupported);
  CHECK(as_text(swarm.get_content(1, "v").value()) == "v");
  CHECK(swarm.get_content(1, "w").outcome() == get_outcome::not_found);
  swarm.world.run_for(20s);
  CHECK(foreign.foreign_fields == 0);
  CHECK(foreign.asked[message_type::put_value] == 0);
  CHECK(foreign.asked[message_type::renew_content] == 0);
  CHECK(swarm.get_content(3, "v").outcome() == get_outcome::not_found);  // it asks in libp2p's words
}

TEST_CASE("content: an older peer refuses what it does not know") {
  content_swarm swarm(13);
  tampering_transport::state old;
  old.serves = [](message const& request, message& answer) {
    bool const unknown = request.type == message_type::renew_content ||
                         (request.record && is_content(*request.record) && request.type != message_type::get_value);
    if (unknown) answer.refusal = errc::refused_unsupported;
    return unknown;
  };
  node_options o;
  o.transport = tampering_transport::factory(old);
  swarm.add();
  swarm.add(o);
  swarm.add();
  swarm.join_all();
  auto const receipt = swarm.put_content(0, "v", lasting(1h, quorum::one()));
  CHECK(receipt.stored() == 1);
  CHECK(receipt.refused() == 1);
  CHECK(as_text(swarm.get_content(1, "v").value()) == "v");
}

TEST_CASE("content: durable, it survives the crash of everybody, and goes on with what was left") {
  std::vector<io::sim::database> databases(4);
  content_swarm swarm(14);
  auto const options = [&databases](std::size_t i) {
    node_options o;
    o.database = &databases[i];
    return o;
  };
  for (std::size_t i = 0; i < 4; ++i) swarm.add(options(i));
  swarm.join_all();
  auto how = lasting(1h);
  how.durable = true;
  auto const receipt = swarm.put_content(3, "v", how);
  CHECK(receipt.ok());
  CHECK(receipt.durable() == 3);
  for (std::size_t i = 0; i < 4; ++i) swarm.crash(i);
  swarm.world.run_for(60s);
  for (std::size_t i = 0; i < 3; ++i) swarm.start(i, options(i));
  for (std::size_t i = 0; i < 3; ++i) CHECK(swarm.holds(i, "v"));
  auto const got = swarm.get_content(0, "v");
  CHECK(got.found());
  CHECK(got.remaining() < 1h - 59s);
  swarm.close_all();
  for (auto& n : swarm.nodes) n.reset();
}

TEST_CASE("content: by a handle of another thread's kind") {
  content_swarm swarm(15);
  swarm.add();
  swarm.add();
  swarm.join_all();
  node_handle const handle(*swarm.nodes[1]);
  auto put = handle.put_content(as_bytes("v"));
  swarm.world.run_for(1s);
  auto const receipt = put.get();
  REQUIRE(receipt.has_value());
  CHECK(receipt->ok());
  auto get = handle.get_content(receipt->key());
  swarm.world.run_for(1s);
  auto const got = get.get();
  REQUIRE(got.has_value());
  CHECK(as_text(got->value()) == "v");
}
