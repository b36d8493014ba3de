// A TCP echo client: sends a text, says that nothing follows, and prints what comes back until the other end is done
// too. Every step has a deadline.

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/io/system/open.hpp"
#include "kadoro/io/tcp_stream.hpp"

using namespace kadoro;

namespace {

constexpr auto patience = duration(std::chrono::seconds(5));
constexpr std::size_t max_answer_bytes = std::size_t{1} << 20;

coro::task<result<std::string>> ask(io::context& context, io::endpoint server, std::string_view text) {
  auto stream = co_await coro::with_deadline(io::tcp_stream::connect(context, server), patience);
  if (!stream) co_return fail(stream.error());
  auto const sent = co_await coro::with_deadline(stream->write(as_bytes(text)), patience);
  if (!sent) co_return fail(sent.error());
  auto const ended = stream->shutdown_send();
  if (!ended) co_return fail(ended.error());

  std::string answer;
  byte_array<4096> buffer{};
  while (answer.size() < max_answer_bytes) {
    auto const got = co_await coro::with_deadline(stream->read_some(buffer), patience);
    if (!got) co_return fail(got.error());
    if (*got == 0) break;
    answer += as_text(bytes_view(buffer).first(*got));
  }
  co_return std::move(answer);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: tcp_echo_client address:port [text]\n");
    return 2;
  }
  auto const server = io::endpoint::parse(argv[1]);
  std::string_view const text = argc == 3 ? argv[2] : "hello";
  if (!server) {
    std::fprintf(stderr, "tcp_echo_client: %s\n", server.error().message().c_str());
    return 2;
  }
  auto const opened = io::open();
  if (!opened) {
    std::fprintf(stderr, "tcp_echo_client: %s\n", opened.error().message().c_str());
    return 1;
  }
  io::context& context = **opened;
  auto const answer = context.run(ask(context, *server, text));
  if (!answer) {
    std::fprintf(stderr, "tcp_echo_client: %s: %s\n", server->to_string().c_str(), answer.error().message().c_str());
    return 1;
  }
  std::printf("%s\n", answer->c_str());
  return *answer == text ? 0 : 1;
}
