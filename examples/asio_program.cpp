// A kadoro node inside a program of Asio: on the program's own io_context, beside its other work, and used from
// coroutines of Asio. Two nodes, so that the example needs no swarm: the second one puts, the first one gets.

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <utility>

#include "kadoro.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/asio/run_on.hpp"

// Asio last: it configures itself by macros that any standard header defines.
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

using namespace kadoro;

namespace {

/// The program's own work, which knows nothing of kadoro.
::asio::awaitable<void> tick(int& ticks) {
  auto const executor = co_await ::asio::this_coro::executor;
  ::asio::steady_timer timer(executor);
  for (; ticks < 3; ++ticks) {
    timer.expires_after(std::chrono::milliseconds(10));
    co_await timer.async_wait(::asio::use_awaitable);
  }
}

/// Joins, puts, gets and leaves. Errors are values, as everywhere in kadoro; exceptions come through, too. It owns the
/// nodes: their sockets keep the io_context at work as long as they live.
::asio::awaitable<void> put_and_get(io::asio::context& context, std::unique_ptr<kad::node> seed,
                                    std::unique_ptr<kad::node> node, bool& done) {
  auto const joined = co_await io::asio::as_awaitable(context, node->join());
  if (!joined) {
    std::fprintf(stderr, "asio_program: join: %s\n", joined.error().message().c_str());
    co_return;
  }
  auto put = node->put(as_bytes("greeting"), as_bytes("hello from an awaitable"));
  auto const receipt = co_await io::asio::as_awaitable(context, std::move(put));
  if (!receipt) {
    std::fprintf(stderr, "asio_program: put: %s\n", receipt.error().message().c_str());
    co_return;
  }
  std::printf("%s\n", receipt->explain().c_str());
  auto const got = co_await io::asio::as_awaitable(context, seed->get(as_bytes("greeting")));
  if (got && got->found()) {
    auto const text = as_text(got->records().front().value.value);
    std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
    done = true;
  }
  co_await io::asio::as_awaitable(context, node->close());
  co_await io::asio::as_awaitable(context, seed->close());
}

}  // namespace

int main() {
  ::asio::io_context loop(1);  // one thread runs it
  io::asio::context context(loop);
  kad::node_options options;
  options.listen = io::endpoint::parse("127.0.0.1:0").value();
  auto seed = kad::node::open(context, crypto::identity::generate(context.random()), options);
  if (!seed) {
    std::fprintf(stderr, "asio_program: %s\n", seed.error().message().c_str());
    return 1;
  }
  options.bootstrap = (*seed)->addresses();
  auto node = kad::node::open(context, crypto::identity::generate(context.random()), options);
  if (!node) {
    std::fprintf(stderr, "asio_program: %s\n", node.error().message().c_str());
    return 1;
  }

  int ticks = 0;
  bool done = false;
  auto const rethrow = [](std::exception_ptr failed) {
    if (failed) std::rethrow_exception(failed);
  };
  ::asio::co_spawn(loop, tick(ticks), rethrow);
  ::asio::co_spawn(loop, put_and_get(context, std::move(*seed), std::move(*node), done), rethrow);
  loop.run();  // ends by itself when nobody has work left
  std::printf("%d ticks of the program beside it\n", ticks);
  return done && ticks == 3 ? 0 : 1;
}
