#include <doctest/doctest.h>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/directory/swarm_directory.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"

using namespace kadoro;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<kad::node> open(io::context& context, std::vector<kad::multiaddr> bootstrap,
                                kad::peer_mode mode = kad::peer_mode::server) {
  kad::node_options options;
  options.listen = io::endpoint::parse("127.0.0.1:0").value();
  options.bootstrap = std::move(bootstrap);
  options.mode = mode;
  auto opened = kad::node::open(context, crypto::identity::generate(context.random()), options);
  return std::move(opened.value());
}

kad::multiaddr nobody_home(io::context& context) {
  auto const identity = crypto::identity::generate(context.random());
  return kad::multiaddr::datagram(io::endpoint::parse("127.0.0.1:9").value(),
                                  kad::peer_id::of_ed25519(identity.public_key()));
}

}  // namespace

TEST_CASE("seed situation: a PUT on a rendezvous in client mode names the cause, not an empty success") {
  io::asio::context context;
  auto const rendezvous = open(context, {}, kad::peer_mode::client);
  auto const node = open(context, rendezvous->addresses());
  auto const receipt = context.run(coro::with_deadline(node->put(as_bytes("key"), as_bytes("value")), duration(20s)));
  REQUIRE(receipt.has_value());
  CHECK_FALSE(receipt->ok());
  CHECK(receipt->stored() == 0);
  CHECK(receipt->refused() == 1);
  REQUIRE(receipt->replicas().size() == 1);
  CHECK(receipt->replicas()[0].refusal == errc::refused_client_mode);
  CHECK(receipt->replicas()[0].peer == rendezvous->id());
  CHECK(receipt->explain() == "stored on 0 of 1 needed: " + rendezvous->id().to_string() +
                                  " refused: it runs in client mode and stores nothing; start it in server mode, or "
                                  "bootstrap from a peer that runs in server mode");
  context.run(node->close());
  context.run(rendezvous->close());
}

TEST_CASE(
    "seed situation: not announced yet and nobody reachable are two values, and the holder is found when it comes") {
  io::asio::context context;
  auto const rendezvous = open(context, {});
  auto const early = open(context, rendezvous->addresses());
  auto const joined = context.run(early->join());
  CHECK(joined.has_value());
  std::string const key = directory::shard_key("lab", 1);
  auto const too_early = context.run(early->get(as_bytes(key)));
  REQUIRE(too_early.has_value());
  CHECK(too_early->outcome() == kad::get_outcome::not_found);
  CHECK(too_early->explain() == "not announced yet: 1 peer asked, none holds it");

  auto const alone = open(context, {nobody_home(context)});
  auto const nobody = context.run(alone->get(as_bytes(key)));
  REQUIRE(nobody.has_value());
  CHECK(nobody->outcome() == kad::get_outcome::timed_out);
  CHECK(nobody->outcome() != too_early->outcome());
  CHECK(nobody->explain().rfind("nobody reachable: ", 0) == 0);

  auto const unknown = open(context, {});
  auto const no_peer = context.run(unknown->get(as_bytes(key)));
  REQUIRE(no_peer.has_value());
  CHECK(no_peer->outcome() == kad::get_outcome::nobody_to_ask);

  directory::directory_options options;
  options.cluster = "lab";
  options.total_shards = 2;
  auto const watching = std::move(directory::swarm_directory::open(*early, options).value());
  auto const holder = open(context, rendezvous->addresses());
  auto const announcing = std::move(directory::swarm_directory::open(*holder, options).value());
  auto const receipt = context.run(announcing->announce(announcing->describe(1)));
  REQUIRE(receipt.has_value());
  CHECK(receipt->ok());
  auto const until_found = [](directory::swarm_directory& d) -> coro::task<bool> {
    for (int i = 0; i < 3000; ++i) {  // generous: it should take one poll, at most a second
      if (!d.holders(1).empty()) co_return true;
      auto const slept = co_await coro::sleep_for(10ms);
      if (!slept) break;
    }
    co_return false;
  };
  CHECK(context.run(until_found(*watching)));

  context.run(watching->close());
  context.run(announcing->close());
  for (kad::node* n : {holder.get(), unknown.get(), alone.get(), early.get(), rendezvous.get()})
    context.run(n->close());
}
