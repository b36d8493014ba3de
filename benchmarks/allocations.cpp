// How often the allocator is asked, exactly, for one operation of a warm node: eight nodes of one process, each on a
// thread of its own, and every call of malloc and free counted for the thread that makes it. A put of a value that
// nobody has seen must keep memory for it, and says how often; what it takes and gives back is its own cost.

#include <algorithm>
#include <cerrno>
#include <cstring>
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
void __libc_free(void*);
}

namespace {
constinit thread_local std::uint64_t asked = 0;
constinit thread_local std::uint64_t given_back = 0;
}  // namespace

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
void* memalign(std::size_t alignment, std::size_t size) {
  ++asked;
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  *out = memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
void free(void* block) {
  if (block != nullptr) ++given_back;
  __libc_free(block);
}
}

namespace {

using namespace kadoro;
using bench::json;

constexpr std::size_t nodes = 8;
constexpr std::size_t warm = 2000;
constexpr std::size_t counted = 500;  // of each batch
constexpr std::size_t batches = 4;
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
      // More puts than one peer may ask for. What checks them still runs.
      static constexpr kad::request_limits::rate no_limit = {1e12, 1e12};
      options.requests = {no_limit, no_limit, no_limit, no_limit, 4};
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
  struct calls {
    std::uint64_t asked = 0;
    std::uint64_t given_back = 0;
  };
  /// Of the allocator, on this member's thread.
  calls allocations() {
    return ask([](kad::node&) { return calls{asked, given_back}; });
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

/// Values that nobody has seen.
coro::task<void> repeat_new_puts(kad::node& node, std::size_t times) {
  static std::uint64_t next = 0;
  kad::put_options how;
  how.quorum = kad::quorum::all();
  for (std::size_t i = 0; i < times; ++i) {
    byte_array<300> value{};
    ++next;
    std::memcpy(value.data(), &next, sizeof next);
    auto const receipt = co_await node.put_content(value, how);
    if (!receipt || !receipt->ok())
      throw std::runtime_error("a put failed: " + (receipt ? receipt->explain() : receipt.error().message()));
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

coro::task<void> repeat_lookups(kad::node& node, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) {
    auto const closest = co_await node.find_closest(bytes_view(reinterpret_cast<std::uint8_t const*>(&i), sizeof i));
    if (!closest || closest->empty()) throw std::runtime_error("a lookup failed");
  }
}

using work = coro::task<void> (*)(kad::node&, std::size_t);

template <work Work, std::size_t Times>
coro::task<void> and_tell(kad::node& node, std::promise<void>& done) {
  co_await Work(node, Times);
  done.set_value();
}

using members = std::vector<std::unique_ptr<member>>;

struct cost {
  double asked = 0;
  double given_back = 0;
};

/// For each operation, on the thread of `of`: without starting the loop and counting.
template <work Work>
cost per_operation(member& of) {
  auto const begin = of.allocations();
  of.run(and_tell<Work, 0>);
  auto const middle = of.allocations();
  of.run(and_tell<Work, counted>);
  auto const end = of.allocations();
  auto const each = [](std::uint64_t first, std::uint64_t second, std::uint64_t third) {
    std::uint64_t const around = std::min(second - first, third - second);
    return static_cast<double>(third - second - around) / counted;
  };
  return {each(begin.asked, middle.asked, end.asked), each(begin.given_back, middle.given_back, end.given_back)};
}

struct answers {
  std::uint64_t allocations = 0;
  std::uint64_t given = 0;
};

/// What happens on the servers' threads while `by`, which is none of them, works. Reading how many they have answered
/// allocates, so it stands outside of what is counted.
template <work Work>
std::pair<cost, answers> count(std::span<std::unique_ptr<member> const> servers, member& by) {
  auto const total = [&](auto of_one) {
    std::uint64_t sum = 0;
    for (auto const& each : servers) sum += of_one(*each);
    return sum;
  };
  auto const answered = [](member& m) { return m.answered(); };
  auto const allocated = [](member& m) { return m.allocations().asked; };
  std::uint64_t const answered_before = total(answered);
  std::uint64_t const before = total(allocated);
  cost const of_by = per_operation<Work>(by);
  std::uint64_t const after = total(allocated);
  std::uint64_t const idle = total(allocated) - after;
  return {of_by, {after - before - std::min(idle, after - before), total(answered) - answered_before}};
}

/// The least of several batches: what a node does behind its user, and the growth of a table, fall into some of them,
/// what an operation does, into all.
template <work Work>
std::pair<cost, answers> cheapest(std::span<std::unique_ptr<member> const> servers, member& by) {
  by.run(and_tell<Work, warm>);
  auto least = count<Work>(servers, by);
  for (std::size_t i = 1; i < batches; ++i) {
    auto const [of_by, of_servers] = count<Work>(servers, by);
    if (of_by.given_back < least.first.given_back || of_by.asked < least.first.asked) least.first = of_by;
    if (of_servers.allocations < least.second.allocations) least.second = of_servers;
  }
  return least;
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
  std::span<std::unique_ptr<member> const> const all = servers;

  auto const [put_again, to_puts] = cheapest<repeat_puts>(all.subspan(1), putter);
  auto const [get, to_gets] = cheapest<repeat_gets>(all, client);
  auto const [lookup, to_lookups] = cheapest<repeat_lookups>(all, client);
  auto const [put_new, to_new] = cheapest<repeat_new_puts>(all.subspan(1), putter);

  out["put"] = put_again.asked + put_new.given_back;
  out["put_keeps"] = put_new.asked - put_new.given_back;
  out["get"] = get.asked;
  out["lookup"] = lookup.asked;
  out["answer"] = static_cast<double>(to_puts.allocations + to_gets.allocations + to_lookups.allocations) /
                  static_cast<double>(to_puts.given + to_gets.given + to_lookups.given);
  out["answer_put_keeps"] = static_cast<double>(to_new.allocations) / static_cast<double>(to_new.given);
  out["answers_per_get"] = static_cast<double>(to_gets.given) / counted;
  bench::say(out);
  return 0;
}
