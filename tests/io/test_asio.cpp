#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kadoro/io/asio/context.hpp"
#include "udp_peer.hpp"

// After the standard headers, as everywhere.
#include <asio/post.hpp>

using namespace io_test;

// What is Asio's alone: a program's own io_context. The rest is in test_backends.cpp.

TEST_CASE("asio: on a program's own io_context, beside its other work") {
  ::asio::io_context loop;
  io::asio::context context(loop);
  peer client, server;
  server.echoes = true;
  listen(client, context, at("127.0.0.1:0"));
  listen(server, context, at("127.0.0.1:0"));
  std::optional<bool> back;
  auto const work = [](peer& from, peer& to, std::optional<bool>& into) -> coro::task<void> {
    auto const asked = co_await ask(from, to.port->local(), 1000, 50);
    into = asked.has_value();
    from.port.reset();  // or they would keep the io_context at work
    to.port.reset();
  };
  bool others = false;
  ::asio::post(loop, [&] { others = true; });
  context.spawn(work(client, server, back));
  loop.run();  // returns when nothing of ours is left
  CHECK(others);
  REQUIRE(back.has_value());
  CHECK(*back);

  std::vector<int> order;
  loop.restart();
  context.spawn(note(order, 1, 1us));
  loop.run();
  CHECK(order == std::vector<int>{1});
}

TEST_CASE("asio: an io_context outlives a context that died with everything open") {
  ::asio::io_context loop;
  {
    io::asio::context context(loop);
    peer client;
    listen(client, context, at("127.0.0.1:0"));
    context.spawn(run_for(1h));
    loop.poll();
    client.port->send(client.port->local(), as_bytes("x"));
  }
  loop.run();  // returns: nothing is left
  CHECK(loop.stopped());
}

TEST_CASE("asio: a second thread is refused") {
  for (bool const own : {false, true}) {
    ::asio::io_context theirs;
    auto context = own ? std::make_unique<io::asio::context>() : std::make_unique<io::asio::context>(theirs);
    context->run(run_for(1us));
    context->spawn(run_for(1us));
    std::string why;
    std::thread other([&] {
      try {
        context->native().restart();
        context->native().run();
      } catch (std::logic_error const& e) {
        why = e.what();
      }
    });
    other.join();
    CHECK(why == "kadoro: a context belongs to one thread, but its io_context is run by several");
  }
}
