// Small parts in a loop, by Google Benchmark.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "kadoro/coro/scope.hpp"
#include "kadoro/crypto/aead.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/timer_wheel.hpp"
#include "kadoro/kad/content.hpp"
#include "kadoro/kad/record_store.hpp"
#include "kadoro/kad/routing_table.hpp"
#include "kadoro/wire/message.hpp"

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

namespace {

using namespace kadoro;
using benchmark::State;

constexpr std::size_t k = 20;
constexpr std::size_t targets = 256;

multiformats::peer_id random_id(random_source& random) {
  byte_array<32> key;
  random.fill(key);
  return multiformats::peer_id::of_ed25519(key);
}

std::vector<kad::key> random_keys(std::size_t count, random_source& random) {
  std::vector<kad::key> out;
  for (std::size_t i = 0; i < count; ++i) {
    byte_array<32> bytes;
    random.fill(bytes);
    out.push_back(kad::key::of(bytes));
  }
  return out;
}

/// A routing table with so many contacts, as a swarm of the right size would fill it.
struct filled_table {
  explicit filled_table(std::size_t contacts) : table(random_id(random), options(contacts)) {
    while (table.size() < contacts) {
      auto const peer = book.intern(random_id(random));
      if (table.insert(peer, time_point()) == kad::insert_result::added) peers.push_back(peer);
    }
    wanted = random_keys(targets, random);
  }
  static kad::table_options options(std::size_t contacts) {
    kad::table_options out;
    out.k = contacts <= 143 ? 8 : contacts <= 331 ? k : 64;
    return out;
  }

  system_random random;
  transport::peer_book book;
  kad::routing_table table;
  transport::peer_list peers;
  std::vector<kad::key> wanted;
};

/// Made once: to find contacts for the far buckets takes a million random ids.
filled_table& table_with(std::int64_t contacts) {
  static std::map<std::int64_t, std::unique_ptr<filled_table>> made;
  auto& one = made[contacts];
  if (!one) one = std::make_unique<filled_table>(static_cast<std::size_t>(contacts));
  return *one;
}

void closest_k(State& state) {
  filled_table const& in = table_with(state.range(0));
  std::size_t i = 0;
  for (auto _ : state) {
    auto const found = in.table.nearest(in.wanted[i++ % targets], k);
    benchmark::DoNotOptimize(found.data());
  }
}
BENCHMARK(closest_k)->Arg(143)->Arg(331)->Arg(1000);

/// What a table without buckets does, and does well: the distances of all, as numbers of 64 bits, and the standard
/// library picks; the rest of the ids is looked at only where those are equal.
void closest_flat(State& state) {
  struct candidate {
    std::uint64_t distance;
    kad::key const* id;
  };
  system_random random;
  auto const ids = random_keys(static_cast<std::size_t>(state.range(0)), random);
  auto const wanted = random_keys(targets, random);
  std::vector<candidate> out(ids.size());
  std::size_t i = 0;
  for (auto _ : state) {
    kad::key const& target = wanted[i++ % targets];
    std::uint64_t const place = load_be<std::uint64_t>(target.bytes().data());
    for (std::size_t n = 0; n < ids.size(); ++n)
      out[n] = {load_be<std::uint64_t>(ids[n].bytes().data()) ^ place, &ids[n]};
    std::nth_element(out.begin(), out.begin() + k, out.end(), [&](candidate const& a, candidate const& b) {
      return a.distance != b.distance ? a.distance < b.distance : target.closer(*a.id, *b.id);
    });
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(closest_flat)->Arg(143)->Arg(331)->Arg(1000);

void contact_refresh(State& state) {
  filled_table& in = table_with(state.range(0));
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(in.table.insert(in.peers[i++ % in.peers.size()], time_point()));
}
BENCHMARK(contact_refresh)->Arg(331);

void contact_remove_insert(State& state) {
  filled_table& in = table_with(state.range(0));
  std::size_t i = 0;
  for (auto _ : state) {
    auto const& peer = in.peers[i++ % in.peers.size()];
    in.table.remove(peer);
    benchmark::DoNotOptimize(in.table.insert(peer, time_point()));
  }
}
BENCHMARK(contact_remove_insert)->Arg(331);

void seal_and_open(State& state) {
  crypto::aead_key const key{1};
  bytes plain(static_cast<std::size_t>(state.range(0)));
  bytes sealed(plain.size() + crypto::tag_bytes);
  std::uint64_t nonce = 0;
  for (auto _ : state) {
    crypto::seal(key, ++nonce, {}, plain, sealed);
    bool const good = crypto::open(key, nonce, {}, sealed, plain);
    benchmark::DoNotOptimize(good);
  }
}
BENCHMARK(seal_and_open)->Arg(100)->Arg(400)->Arg(1150);

int __attribute__((noinline)) plain(int x) {
  benchmark::DoNotOptimize(x);
  return x + 1;
}
void plain_call(State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(plain(1));
}
BENCHMARK(plain_call);

constexpr int calls = 1000;  // in one run of a loop

coro::task<int> leaf(int x) { co_return x + 1; }
coro::task<int> await_leaves() {
  int sum = 0;
  for (int i = 0; i < calls; ++i) {
    int const one = co_await leaf(i);
    sum += one;
  }
  co_return sum;
}
void await_task(State& state) {
  io::asio::context context;
  for (auto _ : state) benchmark::DoNotOptimize(context.run(await_leaves()));
  state.SetItemsProcessed(state.iterations() * calls);
}
BENCHMARK(await_task);

coro::task<void> nothing() { co_return; }
coro::task<void> spawn_many(coro::scope& children) {
  for (int i = 0; i < calls; ++i) children.spawn(nothing());
  co_return;
}
coro::task<void> spawn_and_join() { co_await coro::with_scope(spawn_many); }
void spawn_join(State& state) {
  io::asio::context context;
  for (auto _ : state) context.run(spawn_and_join());
  state.SetItemsProcessed(state.iterations() * calls);
}
BENCHMARK(spawn_join);

#if defined(ASIO_HAS_CO_AWAIT)  // Debian's Asio has it with g++ only
asio::awaitable<int> asio_leaf(int x) { co_return x + 1; }
asio::awaitable<void> asio_await_leaves() {
  int sum = 0;
  for (int i = 0; i < calls; ++i) {
    int const one = co_await asio_leaf(i);
    sum += one;
  }
  benchmark::DoNotOptimize(sum);
}
void await_asio_awaitable(State& state) {
  asio::io_context loop(1);
  for (auto _ : state) {
    asio::co_spawn(loop, asio_await_leaves(), asio::detached);
    loop.run();
    loop.restart();
  }
  state.SetItemsProcessed(state.iterations() * calls);
}
BENCHMARK(await_asio_awaitable);

asio::awaitable<void> asio_nothing() { co_return; }
void spawn_join_asio(State& state) {
  asio::io_context loop(1);
  for (auto _ : state) {
    for (int i = 0; i < calls; ++i) asio::co_spawn(loop, asio_nothing(), asio::detached);
    loop.run();
    loop.restart();
  }
  state.SetItemsProcessed(state.iterations() * calls);
}
BENCHMARK(spawn_join_asio);
#endif

struct silent_timer final : coro::timer_node {
  silent_timer() : timer_node([](timer_node&) {}) {}
};

void timer_arm_cancel(State& state) {
  io::asio::context context;
  std::vector<silent_timer> others(static_cast<std::size_t>(state.range(0)));
  auto const now = context.now();
  std::size_t i = 0;
  for (auto& each : others) context.arm(each, now + std::chrono::milliseconds(100 + ++i % 5000));
  silent_timer timer;
  for (auto _ : state) {
    context.arm(timer, now + std::chrono::milliseconds(100 + ++i % 1000));
    context.disarm(timer);
  }
}
BENCHMARK(timer_arm_cancel)->Arg(0)->Arg(10000);

/// Content records, each put once; then found again.
struct filled_store {
  explicit filled_store(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      bytes value(300);
      random.fill(value);
      auto const key = kad::content_key(value);
      keys.push_back(to_bytes(key));
      put(kad::make_content(key, value, std::chrono::hours(1)));
    }
  }
  void put(kad::record what) {
    auto const done = store.put_content(std::move(what), kad::record_store::origin::own, who, {}, std::chrono::hours(1),
                                        time_point());
    benchmark::DoNotOptimize(done.changed);
  }

  system_random random;
  kad::verified_cache cache;
  kad::record_store store{kad::store_limits(), cache};
  multiformats::peer_id who = random_id(random);
  std::vector<bytes> keys;
};

void store_find(State& state) {
  filled_store in(static_cast<std::size_t>(state.range(0)));
  std::size_t i = 0;
  for (auto _ : state) {
    auto const found = in.store.find_content(in.keys[i++ % in.keys.size()], time_point());
    benchmark::DoNotOptimize(found.has_value());
  }
}
BENCHMARK(store_find)->Arg(100)->Arg(10000);

void store_put(State& state) {
  filled_store in(1000);
  for (auto _ : state) {
    state.PauseTiming();
    bytes value(300);
    in.random.fill(value);
    auto what = kad::make_content(kad::content_key(value), value, std::chrono::hours(1));
    state.ResumeTiming();
    in.put(std::move(what));
  }
}
BENCHMARK(store_put)->Iterations(20000);

/// An answer to FIND_NODE: 20 contacts with one IPv4 address each.
struct find_node_answer {
  find_node_answer() {
    system_random random;
    for (std::size_t i = 0; i < k; ++i) {
      ids.push_back(random_id(random));
      bytes address(11);
      random.fill(address);
      addresses.push_back(address);
    }
    message.type = wire::message_type::find_node;
    for (std::size_t i = 0; i < k; ++i) {
      wire::peer& contact = message.closer.emplace_back();
      contact.id = ids[i].bytes();
      contact.addresses.push_back(addresses[i]);
      contact.connection = wire::connection_type::connected;
    }
  }
  std::vector<multiformats::peer_id> ids;
  std::vector<bytes> addresses;
  wire::message message;
};

void encode_find_node(State& state) {
  find_node_answer const in;
  byte_array<4096> out;
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(in.message, out).value());
}
BENCHMARK(encode_find_node);

void decode_find_node(State& state) {
  find_node_answer const in;
  byte_array<4096> buffer;
  std::size_t const size = wire::encode(in.message, buffer).value();
  for (auto _ : state) {
    auto const read = wire::decode(bytes_view(buffer.data(), size));
    benchmark::DoNotOptimize(read->closer.data());
  }
}
BENCHMARK(decode_find_node);

}  // namespace

BENCHMARK_MAIN();
