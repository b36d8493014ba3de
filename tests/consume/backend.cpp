// Asks for the Asio backend, opens a context and runs a task on it.
#include <cstdio>

#include "kadoro.hpp"
#include "kadoro/io/asio/context.hpp"

namespace {

kadoro::coro::task<int> answer(int value) { co_return value; }

kadoro::coro::task<int> ask(int value) {
  auto const half = co_await answer(value);
  auto const rest = co_await answer(value);
  co_return half + rest;
}

}  // namespace

int main() {
  kadoro::io::asio::context context;
  int const sum = context.run(ask(21));
  std::printf("kadoro on %s: %d\n", context.backend().data(), sum);
  return sum == 42 ? 0 : 1;
}
