// A node that knows after a restart, also after kill -9, what it held and whom it knew. It counts how often it has run,
// under a key of its own in the network, and says on how many disks that number is.
//
//   persistent_node FOLDER ADDRESS:PORT [MULTIADDR of a member to start from]

#include <csignal>
#include <cstdio>
#include <string>

#include "kadoro/crypto/identity.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/posix/file_storage.hpp"
#include "kadoro/kad/node.hpp"
#if defined(KADORO_WITH_LMDB)
#include "kadoro/io/lmdb/database.hpp"
#endif

using namespace kadoro;

#if defined(KADORO_WITH_LMDB)

namespace {

/// Puts one more than the network knows.
coro::task<result<std::string>> count(kad::node& node) {
  auto const joined = co_await node.join();
  if (!joined) std::fprintf(stderr, "persistent_node: %s\n", joined.error().message().c_str());  // alone, for now
  std::string const key = "runs of " + node.id().to_string();
  auto const before = co_await node.get(as_bytes(key));
  if (!before) co_return fail(before.error());
  int runs = 1;
  if (before->found()) runs += std::atoi(std::string(as_text(before->records().front().value.value)).c_str());

  kad::put_options how;
  how.durable = true;  // the quorum is one of peers on whose disks it is
  auto const receipt = co_await node.put(as_bytes(key), as_bytes(std::to_string(runs)), how);
  if (!receipt) co_return fail(receipt.error());
  co_return "run " + std::to_string(runs) + ": " + receipt->explain();
}

coro::task<int> run(io::context& context, kad::node& node) {
  std::printf("%s\ndatabase: %s\n", node.addresses().front().to_string().c_str(),
              to_string(node.persistence()).c_str());
  auto const counted = co_await count(node);
  std::printf("%s\n", counted ? counted->c_str() : counted.error().message().c_str());
  std::fflush(stdout);
  auto waiting = context.wait_signal({SIGINT, SIGTERM});
  auto const signal = co_await std::move(waiting);
  co_await node.close();
  co_return signal ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    std::fprintf(stderr, "usage: persistent_node FOLDER ADDRESS:PORT [MULTIADDR]\n");
    return 2;
  }
  auto const failed = [](error const& why) {
    std::fprintf(stderr, "persistent_node: %s\n", why.message().c_str());
    return 1;
  };
  io::asio::context context;
  io::posix::file_storage files(argv[1]);
  auto const self = crypto::identity::load_or_create(files, "identity", context.random());
  if (!self) return failed(self.error());
  auto const listen = io::endpoint::parse(argv[2]);
  if (!listen) return failed(listen.error());

  io::lmdb::database database(std::string(argv[1]) + "/kadoro.lmdb");
  kad::node_options options;
  options.listen = *listen;
  options.database = &database;
  options.database_trouble = kad::database_trouble::refuse;  // or run_on: without it, and nothing is durable
  if (argc == 4) {
    auto seed = kad::multiaddr::parse(argv[3]);
    if (!seed) return failed(seed.error());
    options.bootstrap.push_back(std::move(*seed));
  }
  auto const node = kad::node::open(context, *self, options);
  if (!node) return failed(node.error());
  return context.run(run(context, **node));
}

#else

int main() {
  std::fprintf(stderr, "persistent_node: built without LMDB (Debian: liblmdb-dev)\n");
  return 1;
}

#endif
