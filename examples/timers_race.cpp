// Timers raced on a real context: who is first wins, who is late is cancelled, and nothing is left behind.

#include <chrono>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/coro.hpp"
#include "kadoro/io/asio/context.hpp"

using namespace std::chrono_literals;
namespace coro = kadoro::coro;

coro::task<std::string> runner(std::string name, kadoro::duration pace) {
  kadoro::result<void> const slept = co_await coro::sleep_for(pace);
  std::cout << "  " << name << (slept ? " arrives\n" : " stops: " + slept.error().message() + "\n");
  co_return name;
}

coro::task<kadoro::result<int>> answer(kadoro::duration thinking) {
  kadoro::result<void> const slept = co_await coro::sleep_for(thinking);
  if (!slept) co_return kadoro::fail(slept.error());
  co_return 42;
}

coro::task<int> three_heats(coro::scope& children) {
  for (int heat = 1; heat <= 3; ++heat) {
    auto report = [](int number) -> coro::task<void> {
      std::string const name = co_await runner("heat " + std::to_string(number), number * 10ms);
      std::cout << "  " << name << " is reported\n";
    };
    children.spawn(report(heat));
  }
  co_return 3;
}

coro::task<void> show() {
  std::cout << "race:\n";
  std::vector<coro::task<std::string>> runners;
  runners.push_back(runner("tortoise", 300ms));
  runners.push_back(runner("hare", 20ms));
  runners.push_back(runner("snail", 5s));
  coro::race_result<std::string> const first = co_await coro::race(std::move(runners));
  std::cout << "  the winner is number " << first.index << ", the " << first.value << "\n";

  std::cout << "deadline:\n";
  kadoro::result<int> const in_time = co_await coro::with_deadline(answer(10ms), 1s);
  std::cout << "  in time: " << (in_time ? std::to_string(*in_time) : in_time.error().message()) << "\n";
  kadoro::result<int> const late = co_await coro::with_deadline(answer(1h), 30ms);
  std::cout << "  late: " << (late ? std::to_string(*late) : late.error().message()) << "\n";

  std::cout << "scope:\n";
  int const heats = co_await coro::with_scope(three_heats);
  std::cout << "  all " << heats << " heats have ended\n";
}

int main() {
  kadoro::io::asio::context ctx;
  ctx.run(show());
}
