// Leaving politely, but not for ever: a node that holds something is asked to stop, and has half a second for its
// goodbyes. Whoever stays hears of it at once. Without arguments it stops itself; with `--wait` it waits for Ctrl-C.

#include <chrono>
#include <csignal>
#include <iostream>
#include <string_view>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"

using namespace std::chrono_literals;
namespace kad = kadoro::kad;
namespace coro = kadoro::coro;
using kadoro::as_bytes;

coro::task<int> live_and_leave(kadoro::io::context& context, kad::node& seed, kad::node& node, bool wait) {
  auto const joined = co_await node.join();
  auto const receipt = co_await node.put(as_bytes("status"), as_bytes("here"));
  if (joined && receipt) std::cout << receipt->explain() << '\n';
  std::cout << "the other node knows " << seed.servers() << " server\n";

  if (wait) {
    std::cout << "Ctrl-C ends this\n" << std::flush;
    auto signalled = context.wait_signal({SIGINT, SIGTERM});
    auto const which = co_await std::move(signalled);
    static_cast<void>(which);
  }

  auto const gone = co_await node.withdraw(as_bytes("status"));
  if (gone) std::cout << "withdrawn: " << gone->explain() << '\n';
  kadoro::time_point const begun = context.now();
  auto const closed = co_await node.close(500ms);  // completes within that, whatever happens
  auto const took = std::chrono::duration<double, std::milli>(context.now() - begun).count();
  std::cout << (closed ? "closed" : closed.error().message()) << " after " << took << " ms\n";

  auto const heard = co_await coro::sleep_for(20ms);
  static_cast<void>(heard);
  std::cout << "the other node knows " << seed.servers() << " servers\n";
  bool const polite = closed && seed.servers() == 0;
  auto const last = co_await seed.close(500ms);
  co_return polite&& last ? 0 : 1;
}

int main(int argc, char** argv) {
  kadoro::io::asio::context context;
  kad::node_options options;
  options.listen = kadoro::io::endpoint::parse("127.0.0.1:0").value();
  auto const seed = kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
  options.bootstrap = seed->addresses();
  auto const node = kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
  bool const wait = argc > 1 && std::string_view(argv[1]) == "--wait";
  return context.run(live_and_leave(context, *seed, *node, wait));
}
