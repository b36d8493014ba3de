// A TCP echo server: sends every byte back to where it came from, until SIGINT or SIGTERM. A connection that says
// nothing for a minute is closed; there are at most a thousand. KADORO_IO chooses what it runs on, as for its client.

#include <chrono>
#include <csignal>
#include <cstdio>
#include <utility>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/io/system/open.hpp"
#include "kadoro/io/tcp_listener.hpp"

using namespace kadoro;

namespace {

constexpr std::size_t max_connections = 1000;
constexpr auto patience = duration(std::chrono::minutes(1));

coro::task<void> echo(io::tcp_stream stream) {
  byte_array<16 * 1024> buffer{};
  for (;;) {
    auto const got = co_await coro::with_deadline(stream.read_some(buffer), patience);
    if (!got || *got == 0) break;
    // Waits when the other end does not read: nobody can fill this server's memory.
    auto const sent = co_await coro::with_deadline(stream.write(bytes_view(buffer).first(*got)), patience);
    if (!sent) break;
  }
}

coro::task<void> serve(io::tcp_listener& listener, coro::scope& connections) {
  for (;;) {
    auto taken = co_await listener.accept();
    if (!taken) {
      std::fprintf(stderr, "tcp_echo_server: %s\n", taken.error().message().c_str());
      co_return;
    }
    connections.spawn(echo(std::move(*taken)));  // beyond the bound it is not begun, and the stream closes
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2) {
    std::fprintf(stderr, "usage: tcp_echo_server [address:port]   (default 127.0.0.1:4747)\n");
    return 2;
  }
  auto const local = io::endpoint::parse(argc == 2 ? argv[1] : "127.0.0.1:4747");
  if (!local) {
    std::fprintf(stderr, "tcp_echo_server: %s\n", local.error().message().c_str());
    return 2;
  }
  auto const opened = io::open();
  if (!opened) {
    std::fprintf(stderr, "tcp_echo_server: %s\n", opened.error().message().c_str());
    return 1;
  }
  io::context& context = **opened;
  auto listener = io::tcp_listener::open(context, *local);
  if (!listener) {
    std::fprintf(stderr, "tcp_echo_server: %s\n", listener.error().message().c_str());
    return 1;
  }
  std::printf("echo on %s\nio: %s\n", listener->local().to_string().c_str(), context.backend_details().c_str());
  std::fflush(stdout);

  coro::scope connections(context, {}, max_connections);
  context.spawn(serve(*listener, connections));
  auto const signal = context.run(context.wait_signal({SIGINT, SIGTERM}));
  listener->close();
  connections.request_cancel();
  context.run(connections.join());
  if (!signal) {
    std::fprintf(stderr, "tcp_echo_server: %s\n", signal.error().message().c_str());
    return 1;
  }
  std::printf("signal %d: %llu connections\n", *signal, static_cast<unsigned long long>(listener->counters().accepted));
}
