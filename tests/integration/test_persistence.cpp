#include <doctest/doctest.h>

#include <csignal>
#include <deque>
#include <memory>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"
#include "program.hpp"

#if defined(KADORO_WITH_LMDB)

using namespace kadoro;

namespace {

constexpr std::size_t shards = 8;

/// A member with a folder of its own, that can be killed and started again at the same address.
struct member {
  member(scratch_folder const& in, std::string name, std::vector<std::string> arguments)
      : folder(in), data(in.file(name)), how(std::move(arguments)) {}

  void start(std::vector<std::string> const& more = {}) {
    std::vector<std::string> all = how;
    for (std::string const& word : {std::string("--data"), data, std::string("--listen"), listen,
                                    std::string("--status-interval"), std::string("0.5")})
      all.push_back(word);
    all.push_back("--data-required");
    all.insert(all.end(), more.begin(), more.end());
    now = std::make_unique<program>(folder, all);
    address = now->first_line();
    auto const parsed = kad::multiaddr::parse(address);
    REQUIRE(parsed);
    listen = parsed->udp_endpoint()->to_string();
  }

  scratch_folder const& folder;
  std::string data;
  std::vector<std::string> how;
  std::string listen = "127.0.0.1:0";
  std::string address;
  std::unique_ptr<program> now;
};

/// One who only asks, in this process.
struct client {
  explicit client(std::string const& seed) : self(crypto::identity::generate(context.random())) {
    kad::node_options options;
    options.listen = io::endpoint::v4({127, 0, 0, 1}, 0);
    options.mode = kad::peer_mode::client;
    options.bootstrap.push_back(*kad::multiaddr::parse(seed));
    node = std::move(*kad::node::open(context, self, options));
    REQUIRE(context.run(node->join()));
  }
  ~client() { context.run(node->close()); }
  client(client const&) = delete;
  client& operator=(client const&) = delete;

  io::asio::context context;
  crypto::identity self;
  std::unique_ptr<kad::node> node;
};

/// What a client has put and withdrawn durably, on all replicas there are, when the swarm was killed.
struct statements {
  struct one {
    std::string key;
    std::uint64_t sequence = 0;
    std::size_t holders = 0;
    time_point acknowledged{};
  };
  std::deque<one> kept;
  std::deque<one> gone;
  std::size_t begun = 0;
};

constexpr duration lifetime = std::chrono::hours(1);

std::string value_of(std::string const& key) { return "value of " + key; }

/// Puts record after record, and withdraws every third, until that fails or is cancelled.
coro::task<void> put_on(client& c, statements& said, coro::event& enough) {
  static constexpr std::size_t wanted = 24;
  kad::put_options how;
  how.durable = true;
  how.quorum = kad::quorum::all();
  how.lifetime = lifetime;
  for (;;) {
    std::size_t const number = said.begun++;
    std::string const key = "record " + std::to_string(number);
    std::string const value = value_of(key);
    bool const withdrawn = number % 3 == 2;
    auto put = co_await c.node->put(as_bytes(key), as_bytes(value), how);
    if (put && withdrawn) {
      put = co_await c.node->withdraw(as_bytes(key), how);
    }
    if (!put) co_return;
    if (put->durable() < put->population()) continue;  // nothing was promised
    (withdrawn ? said.gone : said.kept).push_back({key, put->sequence(), put->population(), c.context.now()});
    if (said.kept.size() + said.gone.size() >= wanted) enough.set();
  }
}

/// Kills all at once in the middle of that.
coro::task<void> kill_under_load(client& c, statements& said, std::deque<member>& all) {
  static constexpr int writers = 6;
  coro::event enough;
  coro::scope work(c.context);
  for (int i = 0; i < writers; ++i) work.spawn(put_on(c, said, enough));
  co_await enough.wait();
  for (member& m : all) m.now->signal(SIGKILL);
  work.request_cancel();
  co_await work.join();
}

}  // namespace

TEST_CASE("persistence: kill -9 of all nine at once: what was durable is served again, nothing withdrawn comes back") {
  scratch_folder const folder;
  std::deque<member> all;
  all.emplace_back(folder, "rendezvous", std::vector<std::string>{"rendezvous"});
  all.front().start();
  std::vector<std::string> const seed = {"--bootstrap", all.front().address};
  for (std::size_t i = 0; i < shards; ++i) {
    all.emplace_back(folder, "node" + std::to_string(i),
                     std::vector<std::string>{"node", "--shard-id", std::to_string(i), "--total-shards",
                                              std::to_string(shards), "--cluster", "test", "--lifetime", "600"});
    all.back().start(seed);
  }
  for (std::size_t i = 1; i <= shards; ++i) CHECK(all[i].now->prints("[SWARM] complete"));
  // The last one leaves, and withdraws its announcement, which would live for ten minutes. Another one takes its place.
  all.back().now->signal(SIGTERM);
  CHECK(all.back().now->exit_code() == 0);
  all.pop_back();
  for (std::size_t i = 1; i < shards; ++i) CHECK(all[i].now->prints("lost shard 7"));
  all.emplace_back(folder, "another", std::vector<std::string>{"rendezvous"});
  all.back().start(seed);
  REQUIRE(all.size() == shards + 1);

  // Whoever says that this is on disk has put all that came before there too, the withdrawal of shard 7 among it.
  statements said;
  {
    client c(all.front().address);
    c.context.run(kill_under_load(c, said, all));
  }
  for (member& m : all) CHECK(m.now->exit_code() == 128 + SIGKILL);
  CHECK(said.kept.size() + said.gone.size() < said.begun);  // something was under way
  CHECK(said.kept.size() >= 8);
  CHECK(said.gone.size() >= 4);

  // Nobody is told of anybody: each knows the others from its own folder.
  std::string const loaded = "data: working, ";
  for (member& m : all) m.start();
  for (std::size_t i = 0; i < all.size(); ++i) {
    program& now = *all[i].now;
    CAPTURE(now.out());
    if (0 < i && i < shards) CHECK(now.prints("Discovered Shards: 7 / 8"));
    std::string const text = now.out();
    std::size_t const at = text.find(loaded);
    REQUIRE(at != std::string::npos);
    CHECK(std::stoul(text.substr(at + loaded.size())) >= said.kept.size() + said.gone.size());
    CHECK(text.find("found shard 7") == std::string::npos);
  }

  client c(all.front().address);
  kad::get_options everybody;
  everybody.quorum = kad::quorum::all();
  for (statements::one const& kept : said.kept) {
    auto const got = c.context.run(c.node->get(as_bytes(kept.key), everybody));
    REQUIRE(got);
    CAPTURE(kept.key);
    CAPTURE(got->explain());
    REQUIRE(got->records().size() == 1);
    kad::found_record const& found = got->records().front();
    CHECK(as_text(found.value.value) == value_of(kept.key));
    CHECK(found.value.sequence == kept.sequence);
    CHECK(found.holders >= kept.holders);  // all of those that said that it is on their disks
    // It goes on with what remains of its life: being dead for a while does not make it younger.
    CHECK(found.remaining <= lifetime - (c.context.now() - kept.acknowledged) + std::chrono::seconds(1));
  }
  for (statements::one const& gone : said.gone) {
    auto const got = c.context.run(c.node->get(as_bytes(gone.key), everybody));
    REQUIRE(got);
    CAPTURE(gone.key);
    CAPTURE(got->explain());
    CHECK_FALSE(got->found());
    REQUIRE(got->withdrawn().size() == 1);
    CHECK(got->withdrawn().front().value.sequence == gone.sequence);
    CHECK(got->withdrawn().front().holders >= gone.holders);
  }
}

TEST_CASE("persistence: a folder that is no good is said, and configured to matter or not") {
  scratch_folder const folder;
  member one(folder, "one", {"rendezvous"});
  one.start();
  one.now->signal(SIGTERM);
  CHECK(one.now->exit_code() == 0);
  std::string const file = folder.file("one/kadoro.lmdb");
  REQUIRE(read_file(file).size() > 8192);
  write_file(file, read_file(file).substr(0, 5000));
  std::string const damaged = read_file(file);

  program refuses(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--data", folder.file("one"), "--data-required"});
  CHECK(refuses.exit_code() == 1);
  CHECK(refuses.err().find(file) != std::string::npos);
  CHECK(lines(refuses.err()) == 1);
  program runs(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--data", folder.file("one")});
  CHECK(runs.prints("data: off: " + file));
  CHECK(read_file(file) == damaged);

  member two(folder, "two", {"rendezvous"});
  two.start();
  program second(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--data", folder.file("two"), "--data-required"});
  CHECK(second.exit_code() == 1);
  CHECK(second.err().find("another process has it open") != std::string::npos);
}

#else

TEST_CASE("persistence: this build is without LMDB, and says so") {
  scratch_folder const folder;
  program p(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--data", folder.file("data")});
  CHECK(p.exit_code() == 1);
  CHECK(p.err().find("built without LMDB") != std::string::npos);
}

#endif
