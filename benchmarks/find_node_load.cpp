// Asks one kadoro node for its closest contacts, as fast as a client on one core can; driven by lines. Also opens many
// sessions to it, to see what they cost.

#include <deque>
#include <iostream>

#include "common/backend.hpp"
#include "common/command.hpp"
#include "common/samples.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

namespace {

using namespace kadoro;
using bench::command;
using bench::json;
using transport::datagram::datagram_transport;

/// One end that asks: an identity, a port, a session.
class asker {
 public:
  asker(io::context& context, multiformats::multiaddr const& server, multiformats::peer_id const& who)
      : identity_(crypto::identity::generate(context.random())),
        transport_(datagram_transport::open(context, book_, identity_, options()).value()),
        server_(book_.intern(who)) {
    server_->add_address(server, true);
  }

  coro::task<bool> ask(bytes_view key) {
    transport::message question;
    question.type = transport::message_type::find_node;
    question.key = key;
    auto const answer = co_await transport_->request(server_, question);
    co_return answer && !answer->refusal && !answer->contacts.empty();
  }

  io::udp_counters counters() const { return transport_->port_counts(); }

 private:
  static transport::datagram::options options() {
    transport::datagram::options out;
    out.listen = io::endpoint::parse("127.0.0.1:0").value();
    out.mode = transport::peer_mode::client;
    return out;
  }

  transport::peer_book book_;
  crypto::identity identity_;
  std::unique_ptr<datagram_transport> transport_;
  transport::peer_ref server_;
};

struct batch {
  std::deque<asker>& askers;  // the first `asking` of them
  std::size_t asking;
  std::size_t count;
  std::size_t in_flight;
  std::size_t next = 0;
  std::size_t failures = 0;
};

coro::task<void> ask_some(batch& all, asker& by) {
  byte_array<32> key{};
  while (all.next < all.count) {
    std::size_t const index = all.next++;
    for (std::size_t i = 0; i < 8; ++i) key[i] = static_cast<std::uint8_t>(index * 0x9e3779b97f4a7c15U >> (8 * i));
    bool const good = co_await by.ask(key);
    if (!good) ++all.failures;
  }
}

coro::task<void> spawn_all(coro::scope& children, batch& all) {
  for (std::size_t i = 0; i < all.in_flight; ++i) children.spawn(ask_some(all, all.askers[i % all.asking]));
  co_return;
}

io::udp_counters counters_of(batch const& all) {
  io::udp_counters sum;
  for (std::size_t i = 0; i < all.asking; ++i) sum += all.askers[i].counters();
  return sum;
}

coro::task<json> run(batch& all) {
  io::udp_counters const before = counters_of(all);
  auto const began = bench::clock::now();
  co_await coro::with_scope(spawn_all, std::ref(all));
  double const seconds = bench::us_between(began, bench::clock::now()) / 1e6;
  io::udp_counters const after = counters_of(all);
  auto const average = [](std::uint64_t bytes, std::uint64_t packets) { return packets == 0 ? 0 : bytes / packets; };
  co_return json{
      {"answered", all.count - all.failures},
      {"failures", all.failures},
      {"seconds", seconds},
      {"request_bytes", average(after.sent_bytes - before.sent_bytes, after.sent - before.sent)},
      {"answer_bytes", average(after.received_bytes - before.received_bytes, after.received - before.received)}};
}

/// Opens `count` sessions, each from an end of its own, which stay.
coro::task<std::size_t> open_sessions(std::deque<asker>& ends) {
  std::size_t good = 0;
  byte_array<32> const key{};
  for (asker& each : ends) {
    bool const answered = co_await each.ask(key);
    good += answered ? 1U : 0U;
  }
  co_return good;
}

}  // namespace

int main(int argc, char** argv) {
  command const settings(argc, argv);
  auto const context = bench::open_context(settings.text("io", "auto"));
  auto const server = multiformats::multiaddr::parse(settings.text("server")).value();
  auto const who = server.peer().value();
  std::deque<asker> askers;
  std::deque<asker> more;
  bench::say({{"ready", true}});
  std::string line;
  while (std::getline(std::cin, line) && line != "quit") {
    command const said(line);
    if (said.word() == "run") {
      std::size_t const asking = said.number("askers", 1);
      while (askers.size() < asking) askers.emplace_back(*context, server, who);
      batch all{askers, asking, said.number("count", 1000), said.number("in_flight", 64)};
      bench::say(context->run(run(all)));
    } else if (said.word() == "sessions") {
      for (std::size_t i = 0; i < said.number("count", 100); ++i) more.emplace_back(*context, server, who);
      bench::say({{"open", context->run(open_sessions(more))}});
    } else {
      bench::say({{"error", "no such command: " + said.word()}});
    }
  }
  return 0;
}
