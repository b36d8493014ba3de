// A UDP echo on kadoro's seam: what a backend costs, without sessions and Kademlia. Answers as raw_limit's servers do,
// so the same client can ask it.

#include <cstring>
#include <iostream>
#include <thread>

#include "common/backend.hpp"
#include "common/command.hpp"
#include "common/samples.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/io/udp_port.hpp"

namespace {

using namespace kadoro;

class echo final : public io::udp_port::receiver {
 public:
  explicit echo(io::udp_port& port) : port_(port) { port.set_receiver(this); }

  void on_datagrams(std::span<io::datagram> batch) override {
    static constexpr std::size_t answer_bytes_at = 8;  // in the header of raw_limit
    for (io::datagram const& each : batch) {
      std::uint32_t wanted = 0;
      if (each.data.size() < answer_bytes_at + sizeof wanted) continue;
      std::memcpy(&wanted, each.data.data() + answer_bytes_at, sizeof wanted);
      if (wanted > answer_.size()) continue;
      if (wanted <= each.data.size()) {
        port_.send(each.from, bytes_view(each.data).first(wanted));
        continue;
      }
      std::memcpy(answer_.data(), each.data.data(), each.data.size());
      port_.send(each.from, bytes_view(answer_.data(), wanted));
    }
  }
  void on_unreachable(io::endpoint const&) override {}

 private:
  io::udp_port& port_;
  byte_array<io::max_datagram_bytes> answer_{};
};

coro::task<void> until(coro::event& over) { co_await over.wait(); }

}  // namespace

int main(int argc, char** argv) {
  bench::command const settings(argc, argv);
  auto const context = bench::open_context(settings.text("io", "auto"));
  auto const port = context->open_udp(io::endpoint::parse("127.0.0.1:0").value()).value();
  echo self(*port);
  bench::say({{"address", port->local().to_string()}, {"backend", context->backend()}});
  coro::event over;
  std::thread reader([inbox = context->inbox(), &over] {
    std::string line;
    while (std::getline(std::cin, line) && line != "quit") bench::say(bench::usage());
    static_cast<void>(inbox->post([&over] { over.set(); }));
  });
  context->run(until(over));
  reader.join();
  port->set_receiver(nullptr);
  return 0;
}
