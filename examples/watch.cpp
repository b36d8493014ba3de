// One node watches a key; two others put under it, change what they said, and withdraw it. The watcher is told by those
// who store the records: it does not ask again and again.

#include <iostream>
#include <string>
#include <vector>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"

namespace kad = kadoro::kad;
namespace coro = kadoro::coro;
using kadoro::as_bytes;

/// The next change: a word, and what it is about.
coro::task<std::string> next(kad::watch& changes) {
  auto const e = co_await changes.next();
  if (!e) co_return e.error().message();
  co_return std::string(kad::to_string(e->what)) + " " + std::string(kadoro::as_text(e->found.value.value)) + "; ";
}

coro::task<int> play(kad::node& a, kad::node& b, kad::node& c) {
  std::vector<kad::node*> const others = {&b, &c};
  for (kad::node* const each : others) {
    auto const joined = co_await each->join();
    if (!joined) std::cout << joined.error().message() << '\n';
  }
  auto const before = co_await a.put(as_bytes("weather"), as_bytes("sun"));
  auto changes = c.watch(as_bytes("weather"));
  if (!before || !changes) co_return 1;

  std::string const first = co_await next(*changes);  // what is there already comes first
  auto const changed = co_await a.put(as_bytes("weather"), as_bytes("rain"));
  std::string const second = co_await next(*changes);
  auto const another = co_await b.put(as_bytes("weather"), as_bytes("wind"));  // each publisher has a record of its own
  std::string const third = co_await next(*changes);
  auto const gone = co_await a.withdraw(as_bytes("weather"));
  std::string const last = co_await next(*changes);
  std::string const said = first + second + third + last;
  std::cout << said << '\n' << changes->explain() << '\n';

  changes->close();
  for (kad::node* const each : others) {
    co_await each->close();
  }
  co_await a.close();
  co_return said == "add sun; change rain; add wind; gone ; " ? 0 : 1;
}

int main() {
  kadoro::io::asio::context context;
  kad::node_options options;
  options.listen = kadoro::io::endpoint::parse("127.0.0.1:0").value();
  auto const open = [&] {
    return kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
  };
  auto const a = open();
  options.bootstrap = a->addresses();
  auto const b = open();
  auto const c = open();
  return context.run(play(*a, *b, *c));
}
