#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "foreign_transport.hpp"
#include "kadoro/transport/datagram/codec.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;
using transport::message_type;

namespace {

multihash const content = multihash::sha2_256(as_bytes("a file"));

struct provider_swarm : simulated_swarm {
  explicit provider_swarm(std::size_t count, std::uint64_t seed = 21) : simulated_swarm(seed) {
    for (std::size_t i = 0; i < count; ++i) add(options(i));
    join_all();
  }
  virtual ~provider_swarm() { close_all(); }

  static node_options options(std::size_t) {
    node_options o;
    o.replicas = 4;
    return o;
  }

  put_receipt provide(std::size_t from, put_options how = {}) {
    return hosts[from]->run(nodes[from]->provide(content, how)).value();
  }
  put_receipt unprovide(std::size_t from, put_options how = {}) {
    return hosts[from]->run(nodes[from]->unprovide(content, how)).value();
  }
  providers_result providers(std::size_t from, get_options how = {quorum::majority()}) {
    return hosts[from]->run(nodes[from]->get_providers(content, how)).value();
  }
  provider const* find(providers_result const& in, std::size_t who) {
    for (provider const& p : in.providers())
      if (p.peer == id(who)) return &p;
    return nullptr;
  }
  peer_id id(std::size_t index) const { return peer_id::of_ed25519(identities[index].public_key()); }
  std::size_t holders(std::size_t of) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i] && i != of && nodes[i]->store().find(content.bytes(), id(of), world.now())) ++n;
    return n;
  }
};

put_options lasting(duration lifetime, quorum wanted = quorum::all()) {
  put_options how;
  how.quorum = wanted;
  how.lifetime = lifetime;
  return how;
}

}  // namespace

TEST_CASE("providers: whoever provides is found, with its addresses; the receipt says who noted it") {
  provider_swarm swarm(12);
  CHECK(swarm.providers(3).outcome() == get_outcome::not_found);
  CHECK(swarm.providers(3).explain().find("nobody provides it: ") == 0);
  put_options how;
  how.quorum = quorum::all();
  how.read_back = true;
  auto const receipt = swarm.provide(5, how);
  CAPTURE(receipt.explain());
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 4);
  auto const settled = swarm.hosts[5]->run(receipt.settled());
  CHECK(settled.has_value());
  CHECK(receipt.reading() == put_receipt::read_back::found);
  CHECK(swarm.holders(5) == 4);
  CHECK(swarm.nodes[5]->holders(content.bytes()).size() == 4);
  swarm.provide(7);

  auto const got = swarm.providers(3);
  REQUIRE(got.found());
  REQUIRE(got.providers().size() == 2);
  CHECK(std::is_sorted(got.providers().begin(), got.providers().end(),
                       [](provider const& a, provider const& b) { return a.peer < b.peer; }));
  provider const* const five = swarm.find(got, 5);
  REQUIRE(five != nullptr);
  CHECK(five->is_signed);
  CHECK(five->holders >= 3);
  REQUIRE(five->addresses.size() == 1);
  CHECK(five->addresses[0] == multiaddr::datagram(simulated_swarm::address(6)));
  CHECK(five->remaining > 59min);
  CHECK(got.explain().find("found: 2 providers, ") == 0);
  CHECK(got.snapshot().providers().size() == 2);
}

TEST_CASE("providers: records and providers of one key do not mix") {
  provider_swarm swarm(6);
  std::string const key(as_text(content.bytes()));
  CHECK(swarm.provide(2).ok());
  CHECK(swarm.get(3, key, {quorum::all()}).outcome() == get_outcome::not_found);
  CHECK(swarm.put(1, key, "a record").ok());
  auto const got = swarm.get(3, key, {quorum::all()});
  REQUIRE(got.records().size() == 1);
  CHECK(got.records()[0].value.publisher == swarm.id(1));
  auto const provided = swarm.providers(3, {quorum::all()});
  REQUIRE(provided.providers().size() == 1);
  CHECK(provided.providers()[0].peer == swarm.id(2));

  // One publisher has one slot.
  auto const put = swarm.hosts[2]->run(swarm.nodes[2]->put(content.bytes(), as_bytes("x")));
  CHECK(put.error() == errc::invalid_argument);
  auto const provide = swarm.hosts[1]->run(swarm.nodes[1]->provide(content));
  CHECK(provide.error() == errc::invalid_argument);
  auto const withdraw = swarm.hosts[2]->run(swarm.nodes[2]->withdraw(content.bytes()));
  CHECK(withdraw.error() == errc::invalid_argument);
  CHECK(swarm.unprovide(2).ok());
  CHECK(swarm.get(3, key, {quorum::all()}).withdrawn().empty());
  CHECK(swarm.put(2, key, "now a record").ok());
  auto const nothing = swarm.hosts[2]->run(swarm.nodes[2]->provide(multihash()));
  CHECK(nothing.error() == errc::invalid_argument);
}

TEST_CASE("providers: one that withdraws is gone at once, and others stay") {
  provider_swarm swarm(8);
  CHECK(swarm.provide(2, lasting(1h)).ok());
  CHECK(swarm.provide(3, lasting(1h)).ok());
  auto const gone = swarm.unprovide(2, lasting(1h));
  CHECK(gone.ok());
  auto const got = swarm.providers(5, {quorum::all()});
  REQUIRE(got.providers().size() == 1);
  CHECK(got.providers()[0].peer == swarm.id(3));
  REQUIRE(got.withdrawn().size() == 1);
  CHECK(got.withdrawn()[0].value.publisher == swarm.id(2));
  swarm.unprovide(3, lasting(1h));
  CHECK(swarm.providers(5, {quorum::all()}).outcome() == get_outcome::not_found);
  CHECK(swarm.provide(2, lasting(1h)).ok());  // and again
  CHECK(swarm.providers(5, {quorum::all()}).providers().size() == 1);
}

TEST_CASE("providers: entries live as long as their provider, and not much longer") {
  provider_swarm swarm(8);
  CHECK(swarm.provide(2, lasting(10s)).ok());
  swarm.world.run_for(2min);
  CHECK(swarm.providers(5).found());
  swarm.crash(2);
  swarm.world.run_for(11s);
  CHECK(swarm.providers(5).outcome() == get_outcome::not_found);
}

TEST_CASE("providers: who comes in is told, who goes is replaced") {
  provider_swarm swarm(6, 22);
  CHECK(swarm.provide(2, lasting(20s)).ok());
  for (int i = 0; i < 6; ++i) {
    swarm.add(provider_swarm::options(0));
    CHECK(swarm.hosts.back()->run(swarm.nodes.back()->join()).has_value());
    swarm.world.run_for(2s);
  }
  for (std::size_t const i : {1u, 3u, 4u}) swarm.crash(i);
  swarm.world.run_for(1min);
  auto const holders = swarm.nodes[2]->holders(content.bytes());
  CHECK(holders.size() == 4);
  for (peer_id const& h : holders)
    for (std::size_t const i : {1u, 3u, 4u}) CHECK(h != swarm.id(i));
  auto const got = swarm.providers(9, {quorum::all()});
  REQUIRE(got.found());
  CHECK(got.providers()[0].holders == 4);
}

TEST_CASE("providers: one that moves says where it is, with its next renewal") {
  provider_swarm swarm(6);
  CHECK(swarm.provide(2, lasting(20s)).ok());
  io::endpoint const there = io::endpoint::v4({10, 9, 9, 9}, 4001);
  swarm.hosts[2]->change_address(simulated_swarm::address(3), there);
  swarm.world.run_for(15s);
  auto const got = swarm.providers(4, {quorum::all()});
  REQUIRE(got.found());
  REQUIRE(got.providers()[0].addresses.size() == 1);
  CHECK(got.providers()[0].addresses[0] == multiaddr::datagram(there));
  CHECK(swarm.nodes[2]->holders(content.bytes()).size() == 4);
}

TEST_CASE("providers: with nobody to tell it is told as soon as somebody appears") {
  provider_swarm swarm(0, 23);
  swarm.add();
  auto const receipt = swarm.provide(0);
  CHECK_FALSE(receipt.ok());
  CHECK(receipt.population() == 0);
  CHECK(swarm.providers(0, {}).providers().size() == 1);  // it knows itself
  swarm.add();
  swarm.join_all();
  CHECK(swarm.holders(0) == 1);
  CHECK(swarm.providers(1).found());
}

TEST_CASE("providers: many of one content come in pages") {
  static constexpr std::size_t count = 70;  // one page has 64 at most
  provider_swarm swarm(0, 24);
  for (std::size_t i = 0; i < count; ++i) swarm.add(provider_swarm::options(i));
  swarm.join_all();
  for (std::size_t i = 0; i < count; ++i) CHECK(swarm.provide(i, lasting(1h)).ok());
  CHECK(swarm.providers(35, {quorum::all()}).providers().size() == count);
  CHECK(swarm.providers(35).providers().size() == count);
  swarm.add(provider_swarm::options(count));  // meets the holders as it asks: the answer of a handshake has a few
  CHECK(swarm.providers(count).providers().size() == count);
}

namespace {

/// Of these nodes, one is foreign: to the others it speaks libp2p's schema only, and they to it.
struct mixed_swarm : provider_swarm {
  foreign_nodes foreign;

  mixed_swarm(std::size_t count, std::size_t foreign_one, std::uint64_t seed = 31) : provider_swarm(0, seed) {
    for (std::size_t i = 0; i < count; ++i) {
      node_options o = options(i);
      o.transport = foreign_transport::factory(foreign);
      add(o);
      if (i == foreign_one) foreign.ids.insert(nodes[i]->id());
    }
    join_all();
  }
  ~mixed_swarm() override { close_all(); }
};

}  // namespace

TEST_CASE("providers: a foreign peer is told by ADD_PROVIDER, asked whether it noted it, and tells") {
  mixed_swarm swarm(4, 1);
  auto const receipt = swarm.provide(2, lasting(1h));
  CAPTURE(receipt.explain());
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 3);
  CHECK(swarm.foreign.asked[message_type::add_provider] == 1);
  CHECK(swarm.foreign.asked[message_type::get_providers] == 1);
  CHECK(swarm.foreign.asked[message_type::put_value] == 0);
  CHECK(swarm.foreign.foreign_fields == 0);

  // What the foreign one says is hearsay; the signed entry of another holder is better.
  auto const got = swarm.providers(3, {quorum::all()});
  REQUIRE(got.providers().size() == 1);
  CHECK(got.providers()[0].is_signed);
  // It finds the provider with kadoro holders, too.
  auto const seen = swarm.providers(1, {quorum::all()});
  REQUIRE(seen.providers().size() == 1);
  CHECK(seen.providers()[0].peer == swarm.id(2));
  CHECK_FALSE(seen.providers()[0].is_signed);
  REQUIRE(seen.providers()[0].addresses.size() == 1);
  CHECK(seen.providers()[0].addresses[0] == multiaddr::datagram(simulated_swarm::address(3)));

  // It cannot be told that this is over; everybody else is, and believes the tombstone more.
  auto const gone = swarm.unprovide(2, lasting(1h));
  CHECK(swarm.hosts[2]->run(gone.settled()).has_value());
  CHECK(gone.stored() == 2);
  CHECK(gone.refused() == 1);
  CHECK(swarm.providers(3, {quorum::all()}).outcome() == get_outcome::not_found);
}

TEST_CASE("providers: a foreign provider is taken at its own word, and is found") {
  mixed_swarm swarm(4, 1);
  auto const receipt = swarm.provide(1, lasting(1h));
  CAPTURE(receipt.explain());
  CHECK(receipt.ok());
  CHECK(receipt.stored() == 3);
  auto const got = swarm.providers(3, {quorum::all()});
  REQUIRE(got.providers().size() == 1);
  CHECK(got.providers()[0].peer == swarm.id(1));
  CHECK_FALSE(got.providers()[0].is_signed);
  CHECK(got.providers()[0].holders == 4);
  REQUIRE(got.providers()[0].addresses.size() == 1);
  CHECK(got.providers()[0].addresses[0] == multiaddr::datagram(simulated_swarm::address(2)));
  CHECK(swarm.get(3, std::string(as_text(content.bytes())), {quorum::all()}).outcome() == get_outcome::not_found);
  // 48 h, as libp2p has it, whatever the provider wanted: its schema cannot say.
  auto const held = swarm.nodes[2]->store().find(content.bytes(), swarm.id(1), swarm.world.now());
  REQUIRE(held.has_value());
  CHECK(held->remaining > 47h);
  CHECK(held->remaining <= 48h);
}

TEST_CASE("providers: foreign ones are found among many that sign, also by one that meets their holders as it asks") {
  static constexpr std::size_t count = 60;  // every fourth is foreign
  provider_swarm swarm(5);
  for (std::size_t i = 0; i < count; ++i) {
    auto const self = crypto::identity::generate(swarm.hosts[0]->random());
    record entry = record::make(self, content.bytes(), 7, 1h, record::flag_provider, {});
    if (i % 4 == 0) entry.signature.fill(0);
    if (i % 4 == 0) entry.sequence = 0;
    for (auto const& holder : swarm.nodes) {
      record_store& at = holder->store();
      auto const put = entry.is_signed()
                           ? at.put(entry, record_store::origin::handed_on, std::nullopt, 1h, swarm.world.now())
                           : at.put_unsigned(entry, entry.publisher, std::nullopt, swarm.world.now());
      CHECK_FALSE(put.refused);
    }
  }
  swarm.add(provider_swarm::options(5));
  for (std::size_t asker : {std::size_t{5}, std::size_t{2}}) {
    auto const got = swarm.providers(asker);
    CHECK(got.providers().size() == count);
    for (provider const& each : got.providers()) CHECK(each.holders <= 5);
  }
}

TEST_CASE("providers: renewed at foreign peers, and noted by those that come later") {
  mixed_swarm swarm(3, 1);
  CHECK(swarm.provide(2, lasting(20s)).ok());
  std::size_t const before = swarm.foreign.asked[message_type::add_provider];
  swarm.world.run_for(1min);
  CHECK(swarm.foreign.asked[message_type::add_provider] >= before + 3);
  CHECK(swarm.foreign.asked[message_type::replicate] == 0);
  node_options o = provider_swarm::options(0);
  o.transport = foreign_transport::factory(swarm.foreign);
  swarm.add(o);
  swarm.foreign.ids.insert(swarm.nodes[3]->id());
  CHECK(swarm.hosts[3]->run(swarm.nodes[3]->join()).has_value());
  swarm.world.run_for(3s);
  CHECK(swarm.holders(2) == 3);
  CHECK(swarm.foreign.asked[message_type::put_value] == 0);  // a holder cannot say it for the provider
}

TEST_CASE("providers: only who cannot sign is taken at its word, and only about itself") {
  foreign_nodes foreign;
  provider_swarm swarm(0, 32);
  node_options o = provider_swarm::options(0);
  o.transport = foreign_transport::factory(foreign);
  node& holder = swarm.add(o);

  io::sim::context host(swarm.world, io::endpoint::v4({10, 5, 0, 1}, 0));
  crypto::identity const self = crypto::identity::generate(host.random());
  peer_id const id = peer_id::of_ed25519(self.public_key());
  transport::peer_book book;
  transport::datagram::options how;
  how.listen = io::endpoint::v4({10, 5, 0, 1}, 4001);
  auto speaker = transport::datagram::datagram_transport::open(host, book, self, how).value();
  transport::peer_ref const to = book.intern(holder.id());
  to->add_address(multiaddr::datagram(simulated_swarm::address(1)), true);
  auto const tell = [&](peer_id const& who, bytes_view key) {
    transport::message request;
    request.type = message_type::add_provider;
    request.key = key;
    wire::peer entry;
    entry.id = who.bytes();
    request.providers.push_back(entry);
    return host.run(speaker->request(to, request)).value().refusal;
  };
  CHECK(tell(id, content.bytes()) == errc::refused_unsupported);  // it can sign
  foreign.ids.insert(id);
  host.run(speaker->close());
  speaker.reset();
  speaker = transport::datagram::datagram_transport::open(host, book, self, how).value();
  CHECK(tell(holder.id(), content.bytes()) == errc::refused_publisher);
  CHECK(tell(peer_id::of_ed25519({}), content.bytes()) == errc::refused_publisher);
  CHECK(tell(id, bytes(81)) == errc::refused_too_large);
  CHECK(holder.store().size() == 0);
  CHECK_FALSE(tell(id, content.bytes()).has_value());
  CHECK_FALSE(tell(id, as_bytes("any key")).has_value());
  CHECK(holder.store().size() == 2);
  host.run(speaker->close());
}

TEST_CASE("providers: addresses in an entry are bounded, and nonsense is no address") {
  std::vector<multiaddr> many;
  for (std::uint8_t i = 0; i < 20; ++i) many.push_back(multiaddr::datagram(io::endpoint::v4({10, 0, 0, i}, 1)));
  bytes const value = detail::encode_addresses(many);
  auto const back = detail::decode_addresses(value);
  REQUIRE(back.size() == detail::max_provider_addresses);
  CHECK(back[7] == many[7]);
  CHECK(detail::decode_addresses({}).empty());
  CHECK(detail::decode_addresses(as_bytes("nonsense")).empty());
  bytes cut(value.begin(), value.end() - 1);
  CHECK(detail::decode_addresses(cut).size() == detail::max_provider_addresses - 1);
  CHECK(detail::encode_addresses({multiaddr()}).empty());
}

TEST_CASE("providers: on the wire there are as many as fit") {
  std::string const id(38, 'p');
  std::string const where(20, 'a');
  transport::message answer;
  answer.type = message_type::get_providers;
  answer.key = content.bytes();
  for (int i = 0; i < 80; ++i) {
    wire::peer p;
    p.id = as_bytes(id);
    p.addresses = {as_bytes(where)};
    answer.providers.push_back(p);
  }
  bytes out(1000);
  auto const page = transport::datagram::cut_answer(answer, out.size(), transport::datagram::oversized::pass_over);
  auto const size = wire::encode(page.what, out);
  REQUIRE(size.has_value());
  transport::peer_book book;
  wire::message room;
  auto const back = transport::datagram::decode_answer(bytes_view(out).first(*size), book, peer_id(), room);
  REQUIRE(back.has_value());
  CHECK(back->providers.size() > 10);
  CHECK(back->providers.size() < 20);
  CHECK(as_text(back->providers[0].id) == id);
  CHECK(as_text(back->providers[0].addresses[0]) == where);
  CHECK(book.size() == 0);  // they are nobody's contacts
}
