// Who has this file? A node says that it has a content, by its multihash; another asks, and learns where the provider
// can be reached. The receipt says who has noted it, and whether it is found when it is read back.

#include <iostream>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"

namespace kad = kadoro::kad;
namespace coro = kadoro::coro;
using kadoro::as_bytes;

coro::task<int> share(kad::node& seed, kad::node& owner, kad::node& reader) {
  auto const first = co_await owner.join();
  auto const second = co_await reader.join();
  if (!first || !second) co_return 1;

  kad::multihash const content = kad::multihash::sha2_256(as_bytes("the bytes of a large file"));
  std::cout << "content " << content.to_string() << '\n';
  kad::put_options how;
  how.quorum = kad::quorum::all();
  how.read_back = true;
  auto const receipt = co_await owner.provide(content, how);
  if (!receipt) co_return 1;
  auto const settled = co_await receipt->settled();
  std::cout << "provide: " << receipt->explain() << "; read back: "
            << (settled && receipt->reading() == kad::put_receipt::read_back::found ? "found" : "not found") << '\n';
  for (kad::peer_id const& who : owner.holders(content.bytes()))
    std::cout << "  noted by " << who.short_string() << '\n';

  auto const got = co_await reader.get_providers(content);
  if (!got) co_return 1;
  std::cout << "get_providers: " << got->explain() << '\n';
  for (kad::provider const& p : got->providers())
    for (kad::multiaddr const& where : p.addresses)
      std::cout << "  " << p.peer.short_string() << " at " << where.to_string() << '\n';
  bool const found = got->providers().size() == 1 && got->providers()[0].peer == owner.id();

  auto const gone = co_await owner.unprovide(content, how);
  auto const after = co_await reader.get_providers(content);
  if (!gone || !after) co_return 1;
  std::cout << "withdrawn: " << gone->explain() << "; now: " << after->explain() << '\n';
  co_await reader.close();
  co_await owner.close();
  co_await seed.close();
  co_return found && !after->found() ? 0 : 1;
}

int main() {
  kadoro::io::asio::context context;
  kad::node_options options;
  options.listen = kadoro::io::endpoint::parse("127.0.0.1:0").value();
  auto const open = [&] {
    return kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
  };
  auto const seed = open();
  options.bootstrap = seed->addresses();
  auto const owner = open();
  auto const reader = open();
  return context.run(share(*seed, *owner, *reader));
}
