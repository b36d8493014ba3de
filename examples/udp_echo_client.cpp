// A UDP echo client: sends one datagram, waits one second for its echo, and tries at most three times.

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/io/system/open.hpp"
#include "kadoro/io/udp_socket.hpp"

using namespace kadoro;

namespace {

constexpr int attempts = 3;
constexpr auto patience = std::chrono::seconds(1);

/// The round trip time.
coro::task<result<duration>> ping(io::context& context, io::udp_socket& socket, io::endpoint server,
                                  std::string_view text) {
  byte_array<io::max_datagram_bytes> buffer{};
  for (int attempt = 1; attempt <= attempts; ++attempt) {
    time_point const sent = context.now();
    time_point const deadline = sent + patience;
    socket.send(server, as_bytes(text));
    for (;;) {
      auto const got = co_await coro::with_deadline(socket.receive(buffer), deadline);
      if (!got && got.error() == errc::timed_out) break;
      if (!got) co_return fail(got.error());
      bytes_view const data(buffer.data(), got->size_bytes);
      if (got->from == server && equal(data, as_bytes(text))) co_return context.now() - sent;
    }
    std::fprintf(stderr, "attempt %d of %d: no answer within %d s\n", attempt, attempts, int{patience.count()});
  }
  std::string why = "no answer from " + server.to_string();
  if (socket.unreachable_hints() > 0) why += ": nobody listens there";
  co_return fail(errc::no_answer, why);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: udp_echo_client address:port [text]\n");
    return 2;
  }
  auto const server = io::endpoint::parse(argv[1]);
  std::string_view const text = argc == 3 ? argv[2] : "hello";
  if (!server || server->port() == 0) {
    std::fprintf(stderr, "udp_echo_client: %s\n", server ? "the port must not be 0" : server.error().message().c_str());
    return 2;
  }
  if (text.size() > io::max_datagram_bytes) {
    std::fprintf(stderr, "udp_echo_client: at most %zu bytes of text\n", io::max_datagram_bytes);
    return 2;
  }
  auto const opened = io::open();
  if (!opened) {
    std::fprintf(stderr, "udp_echo_client: %s\n", opened.error().message().c_str());
    return 1;
  }
  io::context& context = **opened;
  auto const any = server->is_v6() ? io::endpoint::v6({}, 0) : io::endpoint::v4({}, 0);
  auto socket = io::udp_socket::open(context, any);
  if (!socket) {
    std::fprintf(stderr, "udp_echo_client: %s\n", socket.error().message().c_str());
    return 1;
  }
  auto const took = context.run(ping(context, *socket, *server, text));
  if (!took) {
    std::fprintf(stderr, "udp_echo_client: %s\n", took.error().message().c_str());
    return 1;
  }
  std::printf("%zu bytes back from %s in %.1f us\n", text.size(), server->to_string().c_str(),
              static_cast<double>(took->count()) / 1000);
}
