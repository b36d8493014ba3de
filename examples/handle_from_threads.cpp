// A node in a thread of its own, and a program of many threads: each puts and gets through a handle. Outcomes come back
// as futures, or by a callback on the node's thread. When the node is closed the handles say so, and nothing hangs.

#include <future>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/kad/node_handle.hpp"

namespace kad = kadoro::kad;
namespace coro = kadoro::coro;
using kadoro::as_bytes;

/// What the node's thread does: gives out a handle, and runs until it is told to stop.
coro::task<void> serve(kad::node& seed, kad::node& node, std::promise<kad::node_handle>& ready, coro::event& stop) {
  auto const joined = co_await node.join();
  if (!joined) std::cout << joined.error().message() << '\n';
  ready.set_value(kad::node_handle(node));
  auto const told = co_await stop.wait();
  static_cast<void>(told);
  co_await node.close();
  co_await seed.close();
}

int main() {
  std::promise<kad::node_handle> ready;
  std::promise<std::shared_ptr<kadoro::io::inbox>> way_in;
  auto handle_comes = ready.get_future();
  auto way_in_comes = way_in.get_future();
  coro::event stop;  // belongs to the node's thread, like everything that the context runs

  std::thread node_thread([&] {
    kadoro::io::asio::context context;
    way_in.set_value(context.inbox());
    kad::node_options options;
    options.listen = kadoro::io::endpoint::parse("127.0.0.1:0").value();
    auto const seed = kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
    options.bootstrap = seed->addresses();
    auto const node = kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
    context.run(serve(*seed, *node, ready, stop));
  });

  kad::node_handle const handle = handle_comes.get();
  auto const inbox = way_in_comes.get();

  std::vector<std::thread> workers;
  std::vector<std::string> said(4);
  for (std::size_t w = 0; w < said.size(); ++w)
    workers.emplace_back([w, handle, &said] {  // a copy of the handle for each
      std::string const key = "result of worker " + std::to_string(w);
      auto const receipt = handle.put(as_bytes(key), as_bytes("42")).get();
      auto const got = handle.get(as_bytes(key)).get();
      said[w] = key + ": " + (receipt ? receipt->explain() : receipt.error().message()) + "; " +
                (got ? got->explain() : got.error().message());
    });
  for (std::thread& each : workers) each.join();

  // A watch may wait in any thread, too. What is there comes first.
  auto changes = handle.watch(as_bytes("result of worker 0"));
  if (!changes) return 1;
  if (auto const first = changes->next()) std::cout << "watched: " << kad::to_string(first->what) << '\n';
  for (std::string const& line : said) std::cout << line << '\n';

  // By a callback: on the node's thread, so it hands over what it heard.
  std::promise<std::string> heard;
  auto hears = heard.get_future();
  auto const taken = handle.get(as_bytes("nobody's key"), {}, [&heard](kadoro::result<kad::get_result> const& got) {
    heard.set_value(got ? got->explain() : got.error().message());
  });
  if (taken) std::cout << hears.get() << '\n';

  auto const told = inbox->post([&stop] { stop.set(); });
  if (!told) std::cout << told.error().message() << '\n';
  node_thread.join();
  auto const late = handle.get(as_bytes("result of worker 0")).get();
  std::cout << "afterwards: " << (late ? late->explain() : late.error().message()) << '\n';
  return late ? 1 : 0;
}
