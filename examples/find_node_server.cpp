// A rendezvous on all cores: as many threads as there are, each with a context and a transport of its own, all with one
// identity on one UDP port (SO_REUSEPORT). The system gives what a peer sends always to the same thread; whom one
// thread has met it tells the others, so that all of them answer FIND_NODE alike. It keeps no records, and says so.
//
//   find_node_server ADDRESS:PORT   serves until SIGINT or SIGTERM
//   find_node_server                serves forty nodes of this process, which find each other through it

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <iostream>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/system/open.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

using namespace kadoro;
using transport::message;
using transport::message_type;
using transport::multiaddr;
using transport::peer_mode;
using transport::peer_ref;

namespace {

class worker;

/// What the threads have in common. All of it is there before the first of them serves, until none does any more.
struct crew {
  explicit crew(std::size_t threads)
      : all(threads), ways_in(threads), open(std::ptrdiff_t(threads) + 1), ended(std::ptrdiff_t(threads)) {}

  crypto::identity self = [] {
    system_random random;
    return crypto::identity::generate(random);
  }();
  std::vector<worker*> all;
  std::vector<std::shared_ptr<io::inbox>> ways_in;  ///< to their threads
  std::latch open;
  std::latch ended;
};

/// One thread's part, which belongs to that thread, but for `answered`.
class worker final : public transport::handler {
 public:
  worker(io::context& context, crew& of, std::size_t index, io::endpoint const& at)
      : context_(context),
        crew_(of),
        table_(transport::peer_id::of_ed25519(of.self.public_key())),
        transport_(transport::datagram::datagram_transport::open(context, book_, of.self, options(at)).value()) {
    transport_->set_handler(this);
    crew_.all[index] = this;
    crew_.ways_in[index] = context.inbox();
  }

  coro::task<void> serve() {
    auto const told = co_await stop_.wait();
    static_cast<void>(told);
    co_await transport_->close();
  }
  void stop() { stop_.set(); }
  std::uint64_t answered() const noexcept { return answered_; }  // any thread

 private:
  static transport::datagram::options options(io::endpoint const& at) {
    transport::datagram::options out;
    out.listen = at;
    out.sharing = io::udp_sharing::shared;
    out.mode = peer_mode::client;  // nobody shall store anything here
    return out;
  }

  reply on_request(peer_ref const& from, message const& request, message& answer) override {
    static constexpr std::size_t k = 20;
    if (request.type == message_type::find_node) {
      for (kad::contact const* const c : table_.nearest(kad::key::of(request.key), k + 1))
        if (c->peer != from && answer.contacts.size() < k) answer.contacts.push_back(c->peer);
      ++answered_;
    } else if (request.type != message_type::ping) {
      answer.refusal = errc::refused_client_mode;
    }
    return reply::send;
  }

  void on_peer_confirmed(peer_ref const& who) override {
    auto const where = transport_->session_address(who);
    if (who->mode != peer_mode::server || !where) return;
    table_.insert(who, context_.now());
    tell_others([id = who->id(), at = *where](worker& other) {
      peer_ref const there = other.book_.intern(id);
      there->mode = peer_mode::server;
      there->add_address(multiaddr::datagram(at), true);
      other.table_.insert(there, other.context_.now());
    });
  }
  void on_peer_lost(peer_ref const& who, error const&) override {
    table_.remove(who);
    tell_others([id = who->id()](worker& other) {
      if (peer_ref const there = other.book_.find(id)) other.table_.remove(there);
    });
  }

  /// Nothing of this thread goes along but plain values.
  template <class Function>
  void tell_others(Function const& what) {
    for (std::size_t i = 0; i < crew_.all.size(); ++i) {
      worker* const other = crew_.all[i];
      if (other == this) continue;
      auto const posted = crew_.ways_in[i]->post([other, what] { what(*other); });
      static_cast<void>(posted);  // that thread has ended, or has 65,536 calls to make first
    }
  }

  io::context& context_;
  crew& crew_;
  transport::peer_book book_;
  kad::routing_table table_;
  std::unique_ptr<transport::transport> transport_;
  coro::event stop_;
  std::atomic<std::uint64_t> answered_ = 0;
};

void run(crew& of, std::size_t index, io::endpoint const& at) {
  auto const context = io::open().value();
  worker mine(*context, of, index, at);
  of.open.arrive_and_wait();
  context->run(mine.serve());
  of.ended.arrive_and_wait();  // until then another thread may still post to this one
}

/// Nodes on a context of their own. True if each has found as many others as a bucket holds.
coro::task<bool> meet(io::context& context, multiaddr const& rendezvous) {
  std::vector<std::unique_ptr<kad::node>> nodes;
  for (int i = 0; i < 40; ++i) {
    kad::node_options options;
    options.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
    options.bootstrap = {rendezvous};
    auto const self = crypto::identity::generate(context.random());
    nodes.push_back(kad::node::open(context, self, options).value());
    auto const joined = co_await nodes.back()->join();
    if (!joined) std::cout << joined.error().message() << '\n';
  }
  co_await coro::sleep_for(std::chrono::seconds(1));
  bool good = true;
  for (auto const& each : nodes) good = good && each->table().size() >= 20;
  for (auto const& each : nodes) {
    co_await each->close();
  }
  co_return good;
}

/// That this process may use: fewer than there are, where somebody says so.
std::size_t cores() {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? static_cast<std::size_t>(CPU_COUNT(&allowed)) : 1;
}

}  // namespace

int main(int argc, char** argv) {
  bool const alone = argc == 1;
  auto const wanted = io::endpoint::parse(alone ? "127.0.0.1:0" : argv[1]);
  if (argc > 2 || !wanted) {
    std::cerr << "usage: find_node_server [ADDRESS:PORT]\n";
    return 2;
  }
  auto const context = io::open().value();
  auto held = context->open_udp(*wanted, io::udp_sharing::shared);  // until the others have it: it may be any free one
  if (!held) {
    std::cerr << "find_node_server: " << held.error().message() << '\n';
    return 1;
  }
  crew all(cores());
  std::vector<std::thread> threads;
  io::endpoint const at = (*held)->local();
  for (std::size_t i = 0; i < all.all.size(); ++i) threads.emplace_back(run, std::ref(all), i, at);
  all.open.arrive_and_wait();
  held->reset();
  auto const address = multiaddr::datagram(at, transport::peer_id::of_ed25519(all.self.public_key()));
  std::cout << threads.size() << " threads at " << address.to_string() << std::endl;

  bool good = true;
  if (alone) {
    good = context->run(meet(*context, address));
  } else {
    auto const signal = context->run(context->wait_signal({SIGINT, SIGTERM}));
    static_cast<void>(signal);
  }
  for (std::size_t i = 0; i < all.all.size(); ++i) {
    worker* const each = all.all[i];
    std::cout << "thread " << i << ": " << each->answered() << " answers\n";
    auto const posted = all.ways_in[i]->post([each] { each->stop(); });
    static_cast<void>(posted);
  }
  for (std::thread& each : threads) each.join();
  if (alone) std::cout << (good ? "all found each other\n" : "they have not found each other\n");
  return good ? 0 : 1;
}
