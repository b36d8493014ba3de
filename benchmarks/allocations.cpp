// How often the allocator is asked, exactly, for one operation of a warm node: eight nodes of one process, each on a
// thread of its own, and every call of malloc counted for the thread that makes it.

#include <algorithm>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "common/backend.hpp"
#include "common/command.hpp"
#include "common/samples.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/kad/node.hpp"

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {
constinit thread_local std::uint64_t asked = 0;
}

extern "C" {
void* malloc(std::size_t size) {
  ++asked;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++asked;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  ++asked;
  return __libc_realloc(old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++asked;
  return __libc_memalign(alignment, size);
}
}

namespace {

using namespace kadoro;
using bench::json;

constexpr std::size_t nodes = 8;
constexpr std::size_t warm = 2000;
constexpr std::size_t counted = 2000;
constexpr std::size_t values = 16;

/// A node on a thread of its own, which goes on until the member is destroyed.
class member {
 public:
  member(std::string const& backend, transport::peer_mode mode, std::vector<multiformats::multiaddr> seeds) {
    std::promise<std::vector<multiformats::multiaddr>> opened;
    auto at = opened.get_future();
    thread_ = std::thread([this, backend, mode, seeds = std::move(seeds), &opened] {
      auto const context = bench::open_context(backend);
      kad::node_options options;
      options.listen = io::endpoint::parse("127.0.0.1:0").value();
      options.mode = mode;
      options.bootstrap = seeds;
      auto const self = kad::node::open(*context, crypto::identity::generate(context->random()), options).value();
      inbox_ = context->inbox();
      node_ = self.get();
      opened.set_value(self->addresses());
      context->run(serve(*self));
    });
    addresses_ = at.get();
  }
  ~member() {
    static_cast<void>(inbox_->post([this] { over_.set(); }));
    thread_.join();
  }

  std::vector<multiformats::multiaddr> const& addresses() const noexcept { return addresses_; }

  /// Runs on the member's thread, and gives what came out.
  template <class Work>
  auto ask(Work work) {
    std::promise<decltype(work(*node_))> done;
    auto out = done.get_future();
    static_cast<void>(inbox_->post([this, work, &done] { done.set_value(work(*node_)); }));
    return out.get();
  }
  std::uint64_t allocations() {
    return ask([](kad::node&) { return asked; });
  }
  /// Requests that this node has answered.
  std::uint64_t answered() {
    static constexpr std::string_view name = "requests_received=";
    std::string const text = ask([](kad::node& n) { return n.counters_text(); });
    return std::stoull(text.substr(text.find(name) + name.size()));
  }
  /// Runs a coroutine on the member's thread until it ends.
  void run(coro::task<void> (*work)(kad::node&, std::promise<void>&)) {
    std::promise<void> done;
    auto ended = done.get_future();
    static_cast<void>(inbox_->post([this, work, &done] { node_->context().spawn(work(*node_, done)); }));
    ended.get();
  }

 private:
  coro::task<void> serve(kad::node& self) {
    static_cast<void>(co_await self.join());
    co_await over_.wait();
    co_await self.close();
  }

  std::thread thread_;
  std::shared_ptr<io::inbox> inbox_;
  kad::node* node_ = nullptr;
  std::vector<multiformats::multiaddr> addresses_;
  coro::event over_;
};

bytes value_of(std::size_t i) { return bytes(300, static_cast<std::uint8_t>(i % values)); }

coro::task<void> repeat_puts(kad::node& node, std::size_t times) {
  kad::put_options how;
  how.quorum = kad::quorum::all();
  static std::vector<bytes> const all = [] {
    std::vector<bytes> out;
    for (std::size_t i = 0; i < values; ++i) out.push_back(value_of(i));
    return out;
  }();
  for (std::size_t i = 0; i < times; ++i) {
    auto const receipt = co_await node.put_content(all[i % values], how);
    if (!receipt || !receipt->ok()) throw std::runtime_error("a put failed");
  }
}

coro::task<void> repeat_gets(kad::node& node, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) {
    byte_array<300> value;
    value.fill(static_cast<std::uint8_t>(i % values));
    auto const key = kad::content_key(value);
    auto const got = co_await node.get_content(key);
    if (!got || !got->found()) throw std::runtime_error("a get failed");
  }
}

template <coro::task<void> (*Work)(kad::node&, std::size_t), std::size_t Times>
coro::task<void> and_tell(kad::node& node, std::promise<void>& done) {
  co_await Work(node, Times);
  done.set_value();
}

using members = std::vector<std::unique_ptr<member>>;

std::uint64_t total(members const& of, std::uint64_t (member::*count)()) {
  std::uint64_t sum = 0;
  for (auto const& each : of) sum += (each.get()->*count)();
  return sum;
}

/// Allocations on the thread of `of`, without those of starting the loop and of counting.
template <coro::task<void> (*Work)(kad::node&, std::size_t)>
double per_operation(member& of) {
  std::uint64_t const begin = of.allocations();
  of.run(and_tell<Work, 0>);
  std::uint64_t const middle = of.allocations();
  of.run(and_tell<Work, counted>);
  std::uint64_t const end = of.allocations();
  std::uint64_t const around = middle - begin;
  return static_cast<double>(end - middle - std::min(around, end - middle)) / counted;
}

}  // namespace

int main(int argc, char** argv) {
  bench::command const settings(argc, argv);
  std::string const backend = settings.text("io", "auto");
  members servers;
  for (std::size_t i = 0; i < nodes; ++i)
    servers.push_back(
        std::make_unique<member>(backend, transport::peer_mode::server,
                                 i == 0 ? std::vector<multiformats::multiaddr>() : servers.front()->addresses()));
  member client(backend, transport::peer_mode::client, servers.front()->addresses());
  auto const settled = [](kad::node& n) { return n.servers(); };
  for (auto const& each : servers)
    while (each->ask(settled) < nodes - 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  while (client.ask(settled) < nodes) std::this_thread::sleep_for(std::chrono::milliseconds(20));

  json out;
  member& putter = *servers.front();
  putter.run(and_tell<repeat_puts, warm>);
  out["put"] = per_operation<repeat_puts>(putter);

  client.run(and_tell<repeat_gets, warm>);
  // Reading what was answered allocates, so it stands outside of what is counted.
  std::uint64_t const answered_before = total(servers, &member::answered);
  std::uint64_t const allocations_before = total(servers, &member::allocations);
  out["get"] = per_operation<repeat_gets>(client);
  std::uint64_t const allocations = total(servers, &member::allocations) - allocations_before;
  std::uint64_t const answered = total(servers, &member::answered) - answered_before;
  std::uint64_t const idle_before = total(servers, &member::allocations);
  std::uint64_t const idle = total(servers, &member::allocations) - idle_before;
  out["answer"] = static_cast<double>(allocations - std::min(allocations, idle)) / static_cast<double>(answered);
  out["answers_per_get"] = static_cast<double>(answered) / counted;
  bench::say(out);
  return 0;
}
