// What the programs beside this one are compared with: a UDP echo by Asio's own coroutines, header-only.

#include <array>
#include <asio.hpp>
#include <cstdio>

asio::awaitable<void> echo(asio::ip::udp::socket& socket) {
  std::array<char, 2048> buffer;
  for (;;) {
    asio::ip::udp::endpoint from;
    auto const size = co_await socket.async_receive_from(asio::buffer(buffer), from, asio::use_awaitable);
    co_await socket.async_send_to(asio::buffer(buffer, size), from, asio::use_awaitable);
  }
}

int main() {
  asio::io_context loop(1);
  asio::ip::udp::socket socket(loop, {asio::ip::udp::v4(), 4747});
  std::printf("echo on %d\n", socket.local_endpoint().port());
  asio::co_spawn(loop, echo(socket), asio::detached);
  loop.run();
}
