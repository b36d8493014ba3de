// One kadoro node, driven by lines on its standard input: see docs/benchmarks.md.

#include <algorithm>
#include <thread>

#include "common/backend.hpp"
#include "common/command.hpp"
#include "common/samples.hpp"
#include "kadoro/coro/channel.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/udp_port.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

namespace {

using namespace kadoro;
using bench::command;
using bench::json;
using bench::plan;
using bench::samples;

/// Operations that are under way together.
struct batch {
  kad::node& node;
  plan what;
  kad::quorum quorum;
  samples times;
  std::size_t next = 0;
  std::vector<crypto::digest> content_keys = {};  ///< of a get, whose user has them
  json last_receipt = {};                         ///< of a put
};

json describe(kad::put_receipt const& receipt) {
  return {{"ok", receipt.ok()},
          {"stored", receipt.stored()},
          {"population", receipt.population()},
          {"degraded", receipt.degraded()},
          {"text", receipt.explain()}};
}

coro::task<void> put_some(batch& all) {
  kad::put_options how;
  how.quorum = all.quorum;
  while (all.next < all.what.count) {
    std::size_t const index = all.next++;
    std::string const key = all.what.key(index);
    bytes_view const value = all.what.value(index);
    auto const began = bench::clock::now();
    auto putting = all.what.is_signed ? all.node.put(as_bytes(key), value, how) : all.node.put_content(value, how);
    auto const receipt = co_await std::move(putting);
    auto const ended = bench::clock::now();
    if (receipt && receipt->ok())
      all.times.add(began, ended);
    else
      all.times.fail(receipt ? receipt->explain() : receipt.error().message());
    if (receipt) all.last_receipt = describe(*receipt);
  }
}

coro::task<void> get_signed(batch& all) {
  while (all.next < all.what.count) {
    std::size_t const index = all.next++;
    std::string const key = all.what.key(index);
    auto const began = bench::clock::now();
    auto const got = co_await all.node.get(as_bytes(key));
    auto const ended = bench::clock::now();
    if (got && got->found() && equal(got->records().front().value.value, all.what.value(index)))
      all.times.add(began, ended);
    else
      all.times.fail(got ? got->explain() : got.error().message());
  }
}

coro::task<void> get_content(batch& all) {
  while (all.next < all.what.count) {
    std::size_t const index = all.next++;
    bytes_view const value = all.what.value(index);
    bytes_view const key = all.content_keys[index];
    auto const began = bench::clock::now();
    auto const got = co_await all.node.get_content(key);
    auto const ended = bench::clock::now();
    if (got && got->found() && equal(got->value(), value))
      all.times.add(began, ended);
    else
      all.times.fail(got ? got->explain() : got.error().message());
  }
}

coro::task<void> run_all(coro::scope& children, batch& all, coro::task<void> (*some)(batch&)) {
  for (std::size_t i = 0; i < all.what.in_flight; ++i) children.spawn(some(all));
  co_return;
}

coro::task<json> operate(kad::node& node, command const& line) {
  batch all{node, plan(line), *kad::quorum::parse(line.text("quorum", "all")), samples(line.number("count", 1))};
  auto const some = line.word() == "put" ? put_some : all.what.is_signed ? get_signed : get_content;
  for (std::size_t i = 0; some == get_content && i < all.what.count; ++i)
    all.content_keys.push_back(kad::content_key(all.what.value(i)));
  all.times.start();
  co_await coro::with_scope(run_all, std::ref(all), some);
  json out = all.times.report();
  if (!all.last_receipt.is_null()) out["receipt"] = all.last_receipt;
  co_return out;
}

/// Further nodes in this process, to see what one takes.
class crowd {
 public:
  coro::task<json> grow(kad::node& first, std::size_t count) {
    auto const before = bench::usage();
    kad::node_options options;
    options.listen = io::endpoint::parse("127.0.0.1:0").value();
    options.bootstrap = first.addresses();
    std::size_t joined = 0;
    for (std::size_t i = 0; i < count; ++i) {
      auto const self = crypto::identity::generate(first.context().random());
      nodes_.push_back(kad::node::open(first.context(), self, options).value());
      auto const done = co_await nodes_.back()->join();
      joined += done ? 1U : 0U;
    }
    auto const rested = co_await coro::sleep_for(std::chrono::seconds(1));
    static_cast<void>(rested);
    auto const after = bench::usage();
    co_return json{{"joined", joined}, {"before", before["rss_bytes"]}, {"after", after["rss_bytes"]}};
  }

  coro::task<void> close() {
    for (auto const& each : nodes_) {
      auto const closed = co_await each->close(std::chrono::milliseconds(100));
      static_cast<void>(closed);
    }
  }

 private:
  std::vector<std::unique_ptr<kad::node>> nodes_;
};

double mono_us() { return bench::us_between(bench::clock::time_point(), bench::clock::now()); }

/// Puts under one key, one after the other, and when each began, on the clock that all processes of a machine share.
coro::task<json> say(kad::node& node, command const& line) {
  std::string const key = line.text("key");
  plan const what(line);
  kad::put_options how;
  how.quorum = kad::quorum::all();
  json began = json::array();
  std::size_t failures = 0;
  for (std::size_t i = 0; i < what.count; ++i) {
    began.push_back(mono_us());
    auto const receipt = co_await node.put(as_bytes(key), what.value(i), how);
    failures += receipt && receipt->ok() ? 0U : 1U;
  }
  co_return json{{"mono_us", began}, {"failures", failures}};
}

/// What a watch tells, and when.
class ears {
 public:
  coro::task<json> watch(kad::node& node, std::string key) {
    by_ = std::make_shared<one>(node.watch(as_bytes(key)).value());
    node.context().spawn(listen(by_));
    bool awake = true;
    while (awake && !by_->from.caught_up()) {
      auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(10));
      awake = slept.has_value();
    }
    co_return json{{"holders", by_->from.holders().size()}};
  }

  /// Once so many have been heard, or it took too long.
  coro::task<json> heard(std::size_t count) {
    for (int i = 0; i < 500 && by_->mono_us.size() < count; ++i) {
      auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(10));
      if (!slept) break;
    }
    by_->from.close();
    co_return json{{"mono_us", by_->mono_us}};
  }

 private:
  struct one {
    explicit one(kad::watch w) noexcept : from(std::move(w)) {}
    kad::watch from;
    std::vector<double> mono_us;
  };

  static coro::task<void> listen(std::shared_ptr<one> by) {
    for (;;) {
      auto const e = co_await by->from.next();
      if (!e) break;
      by->mono_us.push_back(mono_us());
    }
  }

  std::shared_ptr<one> by_;
};

json state_of(kad::node& node) {
  return {{"peers", node.servers()}, {"settled", node.settled()}, {"records", node.store().size()}};
}

coro::task<json> answer(kad::node& node, crowd& others, ears& listening, command const& line) {
  if (line.word() == "put" || line.word() == "get") {
    co_return co_await operate(node, line);
  }
  if (line.word() == "crowd") {
    co_return co_await others.grow(node, line.number("count", 1));
  }
  if (line.word() == "say") {
    co_return co_await say(node, line);
  }
  if (line.word() == "watch") {
    co_return co_await listening.watch(node, line.text("key"));
  }
  if (line.word() == "heard") {
    co_return co_await listening.heard(line.number("count", 1));
  }
  if (line.word() == "state") co_return state_of(node);
  if (line.word() == "usage") co_return bench::usage();
  if (line.word() == "counters") co_return json{{"text", node.counters_text()}};
  co_return json{{"error", "no such command: " + line.word()}};
}

using lines = coro::channel<std::string>;

coro::task<int> serve(kad::node& node, lines& in) {
  crowd others;
  ears listening;
  for (;;) {
    auto const line = co_await in.receive();
    if (!line || *line == "quit") break;
    json const out = co_await answer(node, others, listening, command(*line));
    bench::say(out);
  }
  co_await others.close();
  co_await node.close();
  co_return 0;
}

coro::task<void> join(kad::node& node) {
  for (;;) {
    auto const joined = co_await node.join();
    if (joined) co_return;
    auto const slept = co_await coro::sleep_for(std::chrono::milliseconds(100));
    if (!slept) co_return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  command const settings(argc, argv);
  auto const context =
      bench::open_context(settings.text("io", "auto"), std::chrono::microseconds(settings.number("spin_us", 0)));
  auto const listen = io::endpoint::parse(settings.text("listen", "127.0.0.1:0"));
  if (!listen) {
    std::cerr << "bench_kadoro_node: listen: " << listen.error().message() << '\n';
    return 2;
  }
  kad::node_options options;
  options.listen = *listen;
  options.mode = settings.text("mode") == "client" ? kad::peer_mode::client : kad::peer_mode::server;
  // As the rivals', without limits of rates. What checks them still runs.
  static constexpr double no_limit = 1e12;
  options.requests = {{no_limit, no_limit}, {no_limit, no_limit}, {no_limit, no_limit}, {no_limit, no_limit}, 4};
  // One publisher puts all the records of all blocks, which is more than it may by default.
  options.store.max_records = options.store.max_records_per_publisher = std::size_t{1} << 20;
  options.store.max_bytes = options.store.max_bytes_per_publisher = std::size_t{2} << 30;
  options.store.max_remembered = std::size_t{4} << 20;
  options.replicas = settings.number("replicas", kad::node_options::default_replicas);
  if (auto const text = settings.text("bootstrap"); !text.empty()) {
    auto const seed = multiformats::multiaddr::parse(text);
    if (!seed) {
      std::cerr << "bench_kadoro_node: bootstrap: " << seed.error().message() << '\n';
      return 2;
    }
    options.bootstrap = {*seed};
  }
  auto node = kad::node::open(*context, crypto::identity::generate(context->random()), options);
  if (!node) {
    std::cerr << node.error().message() << '\n';
    return 1;
  }
  if (!options.bootstrap.empty()) context->spawn(join(**node));
  std::chrono::duration<double> const give_up = transport::datagram::options().patience;
  bench::say({{"address", (*node)->addresses().front().to_string()},
              {"backend", context->backend()},
              {"io", context->backend_details()},
              {"give_up_s", give_up.count()}});

  lines in(64);
  std::thread reader([inbox = context->inbox(), &in] {
    std::string line;
    while (std::getline(std::cin, line)) {
      static_cast<void>(inbox->post([&in, line]() mutable { static_cast<void>(in.try_send(std::move(line))); }));
      if (line == "quit") return;
    }
    static_cast<void>(inbox->post([&in] { in.close(); }));
  });
  int const code = context->run(serve(**node, in));
  reader.join();
  return code;
}
