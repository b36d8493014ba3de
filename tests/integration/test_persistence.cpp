#include <doctest/doctest.h>

#include <csignal>
#include <deque>
#include <memory>

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

}  // namespace

TEST_CASE("persistence: kill -9 of all nine at once: what was durable is served again, nothing withdrawn comes back") {
  constexpr std::size_t keys = 6;
  auto const kept = [](std::size_t i) { return "kept " + std::to_string(i); };
  auto const gone = [](std::size_t i) { return "gone " + std::to_string(i); };
  scratch_folder const folder;
  member rendezvous(folder, "rendezvous", {"rendezvous"});
  rendezvous.start();
  std::deque<member> nodes;
  for (std::size_t i = 0; i < shards; ++i) {
    nodes.emplace_back(folder, "node" + std::to_string(i),
                       std::vector<std::string>{"node", "--shard-id", std::to_string(i), "--total-shards",
                                                std::to_string(shards), "--cluster", "test", "--lifetime", "600"});
    nodes.back().start({"--bootstrap", rendezvous.address});
  }
  for (member& m : nodes) CHECK(m.now->prints("[SWARM] complete"));
  // The last one leaves, and withdraws its announcement, which would live for ten minutes.
  nodes.back().now->signal(SIGTERM);
  CHECK(nodes.back().now->exit_code() == 0);
  nodes.pop_back();
  for (member& m : nodes) CHECK(m.now->prints("lost shard 7"));
  // Whoever says that this is on disk has put all that came before there too, the withdrawal among it.
  {
    client c(rendezvous.address);
    kad::put_options how;
    how.durable = true;
    how.quorum = kad::quorum::all();
    for (std::size_t i = 0; i < 2 * keys; ++i) {
      std::string const key = i < keys ? kept(i) : gone(i - keys);
      auto const receipt = c.context.run(c.node->put(as_bytes(key), as_bytes("value of " + key), how));
      REQUIRE(receipt);
      CAPTURE(receipt->explain());
      CHECK(receipt->ok());
      CHECK(receipt->durable() == receipt->population());
      CHECK(receipt->population() >= shards - 1);
    }
    for (std::size_t i = 0; i < keys; ++i) {
      auto const receipt = c.context.run(c.node->withdraw(as_bytes(gone(i)), how));
      REQUIRE(receipt);
      CHECK(receipt->durable() == receipt->population());
    }
  }
  nodes.emplace_back(folder, "another", std::vector<std::string>{"rendezvous"});
  nodes.back().start({"--bootstrap", rendezvous.address});

  for (member& m : nodes) m.now->signal(SIGKILL);
  rendezvous.now->signal(SIGKILL);
  for (member& m : nodes) CHECK(m.now->exit_code() == 128 + SIGKILL);
  CHECK(rendezvous.now->exit_code() == 128 + SIGKILL);

  std::string const loaded = "data: working, ";
  // Nobody is told of anybody: each knows the others from its own folder.
  nodes.pop_back();
  rendezvous.start();
  for (member& m : nodes) m.start();
  for (member& m : nodes) {
    CAPTURE(m.now->out());
    CHECK(m.now->prints("Discovered Shards: 7 / 8"));
    std::string const said = m.now->out();
    std::size_t const at = said.find(loaded);
    REQUIRE(at != std::string::npos);
    CHECK(std::stoul(said.substr(at + loaded.size())) >= 2 * keys);  // what is kept, and the tombstones
    CHECK(m.now->out().find("found shard 7") == std::string::npos);
  }
  client c(nodes.front().address);
  kad::get_options all;
  all.quorum = kad::quorum::all();
  for (std::size_t i = 0; i < keys; ++i) {
    auto const got = c.context.run(c.node->get(as_bytes(kept(i)), all));
    REQUIRE(got);
    CAPTURE(got->explain());
    CHECK(got->found());
    auto const no = c.context.run(c.node->get(as_bytes(gone(i)), all));
    REQUIRE(no);
    CHECK_FALSE(no->found());
    CHECK(no->withdrawn().size() == 1);
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
