// Your own program on a simulated network: a client asks a counter service over a link that loses every fifth datagram,
// the service crashes and starts again from its disk, and a run takes milliseconds. The program sees io::context and
// io::storage only, so the same coroutines run on real sockets. Give another seed as the argument: another run.

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "kadoro/coro.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/storage.hpp"
#include "kadoro/io/udp_socket.hpp"

using namespace std::chrono_literals;
namespace coro = kadoro::coro;
namespace io = kadoro::io;
namespace sim = kadoro::io::sim;

// ---- the program under test
// -------------------------------------------------------------------------------------------

/// Answers every request with its number, counted on disk before it is said.
coro::task<void> counter_service(io::context& host, io::endpoint local, io::storage& disk) {
  auto opened = io::udp_socket::open(host, local);
  if (!opened) co_return;
  io::udp_socket socket = std::move(*opened);
  auto const stored = disk.read("count");
  int count = stored ? std::stoi(std::string(kadoro::as_text(*stored))) : 0;
  kadoro::byte_array<io::max_datagram_bytes> buffer{};
  for (;;) {
    auto const request = co_await socket.receive(buffer);
    if (!request) co_return;
    std::string const answer = std::to_string(++count);
    auto const written = disk.write("count", kadoro::as_bytes(answer));
    if (written) socket.send(request->from, kadoro::as_bytes(answer));
  }
}

/// Asks until there is an answer; UDP loses datagrams.
coro::task<int> next_number(io::udp_socket& socket, io::endpoint service) {
  kadoro::byte_array<io::max_datagram_bytes> buffer{};
  for (;;) {
    socket.send(service, kadoro::as_bytes("next"));
    auto const answer = co_await coro::with_deadline(socket.receive(buffer), kadoro::duration(200ms));
    if (answer) co_return std::stoi(std::string(kadoro::as_text({buffer.data(), answer->size_bytes})));
  }
}

/// The largest of so many answers; -1 if they do not rise.
coro::task<int> ask(io::context& host, io::endpoint service, int times) {
  auto socket = io::udp_socket::open(host, *io::endpoint::parse("0.0.0.0:0"));
  if (!socket) co_return -1;
  int last = 0;
  for (int i = 0; i < times; ++i) {
    int const number = co_await next_number(*socket, service);
    if (number <= last) co_return -1;
    last = number;
  }
  co_return last;
}

// ---- the test
// ---------------------------------------------------------------------------------------------------------

/// Prints what happens to every datagram.
class printer final : public sim::observer {
 public:
  explicit printer(sim::world const& world) : start_(world.now()) {}
  void on_datagram(kadoro::time_point now, io::endpoint const& from, io::endpoint const& to, kadoro::bytes_view data,
                   sim::fate what) override {
    auto const ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - start_).count();
    std::cout << ms << " ms: " << from.to_string() << " -> " << to.to_string() << " '" << kadoro::as_text(data)
              << "': " << to_string(what) << "\n";
  }

 private:
  kadoro::time_point start_;
};

void require(bool holds, char const* what) {
  if (holds) return;
  std::cout << "broken: " << what << "\n";
  std::exit(EXIT_FAILURE);
}

int main(int argc, char** argv) {
  sim::world world(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
  printer print(world);
  world.set_observer(&print);

  sim::link_policy lossy;
  lossy.delay = 20ms;
  lossy.jitter = 5ms;
  lossy.loss = 0.2;
  world.set_link(lossy);

  io::endpoint const service = *io::endpoint::parse("10.0.0.1:7");
  sim::storage disk;  // outlives the host, as a disk does
  sim::context& client = world.add_host(*io::endpoint::parse("10.0.0.2:0"));
  sim::context& first_life = world.add_host(service);
  first_life.spawn(counter_service(first_life, service, disk));

  // `run` drives the world until this task is done: other hosts, timers and datagrams included.
  int const before = client.run(ask(client, service, 3));

  std::cout << "the service crashes, and starts again a second later\n";
  first_life.crash();
  world.run_for(1s);
  sim::context& second_life = world.add_host(service);
  second_life.spawn(counter_service(second_life, service, disk));
  int const after = client.run(ask(client, service, 3));
  world.run_until(world.now() + 1s);

  auto const& seen = world.counters();
  std::cout << "answers up to " << before << " and " << after << "; " << seen.sent << " datagrams sent, " << seen.lost
            << " lost; trace " << std::hex << world.trace_hash() << "\n";
  require(before >= 3, "the first life answers, and its numbers rise");
  require(after > before, "the second life goes on where the first one stopped");
  require(seen.sent == seen.ended() && seen.crashes == 1, "every datagram has ended, and one host crashed");
}
