// A UDP echo server: sends every datagram back to where it came from, until SIGINT or SIGTERM.
// KADORO_IO chooses what it runs on, as for its client.

#include <csignal>
#include <cstdio>

#include "kadoro/io/system/open.hpp"
#include "kadoro/io/udp_socket.hpp"

using namespace kadoro;

namespace {

coro::task<void> echo(io::udp_socket& socket) {
  byte_array<io::max_datagram_bytes> buffer{};
  for (;;) {
    auto const got = co_await socket.receive(buffer);
    if (!got) co_return;
    socket.send(got->from, bytes_view(buffer.data(), got->size_bytes));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2) {
    std::fprintf(stderr, "usage: udp_echo_server [address:port]   (default 127.0.0.1:4747)\n");
    return 2;
  }
  auto const local = io::endpoint::parse(argc == 2 ? argv[1] : "127.0.0.1:4747");
  if (!local) {
    std::fprintf(stderr, "udp_echo_server: %s\n", local.error().message().c_str());
    return 2;
  }
  auto const opened = io::open();
  if (!opened) {
    std::fprintf(stderr, "udp_echo_server: %s\n", opened.error().message().c_str());
    return 1;
  }
  io::context& context = **opened;
  auto socket = io::udp_socket::open(context, *local);
  if (!socket) {
    std::fprintf(stderr, "udp_echo_server: %s\n", socket.error().message().c_str());
    return 1;
  }
  std::printf("echo on %s\nio: %s\n", socket->local().to_string().c_str(), context.backend_details().c_str());
  std::fflush(stdout);

  context.spawn(echo(*socket));
  auto const signal = context.run(context.wait_signal({SIGINT, SIGTERM}));
  if (!signal) {
    std::fprintf(stderr, "udp_echo_server: %s\n", signal.error().message().c_str());
    return 1;
  }
  auto const& counters = socket->counters();
  std::printf("signal %d: %llu datagrams received, %llu sent\n", *signal,
              static_cast<unsigned long long>(counters.received), static_cast<unsigned long long>(counters.sent));
}
