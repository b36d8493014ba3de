// Opens a node, puts, gets. Compiled header-only, and against a library that was compiled before.

#include <iostream>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"

using namespace kadoro;

coro::task<int> put_and_get(kad::node& node) {
  auto const joined = co_await node.join();
  if (!joined) std::cout << joined.error().message() << '\n';
  auto const receipt = co_await node.put(as_bytes("greeting"), as_bytes("hello"));
  if (receipt) std::cout << receipt->explain() << '\n';
  auto const got = co_await node.get(as_bytes("greeting"));
  if (got) std::cout << got->explain() << '\n';
  co_return got && got->found() ? 0 : 1;
}

int main(int argc, char** argv) {
  io::asio::context context;
  kad::node_options options;
  if (argc > 1) options.bootstrap = {multiformats::multiaddr::parse(argv[1]).value()};
  auto const node = kad::node::open(context, crypto::identity::generate(context.random()), options).value();
  return context.run(put_and_get(*node));
}
