#include <doctest/doctest.h>
#include <sys/stat.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "kadoro/multiformats/multiaddr.hpp"
#include "program.hpp"

using kadoro::multiformats::multiaddr;

namespace {

struct ended {
  int code = -1;
  std::string out;
  std::string err;
};

ended run(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
  scratch_folder const folder;
  program p(folder, std::move(arguments), std::move(environment));
  ended e;
  e.code = p.exit_code().value_or(-1);
  e.out = p.out();
  e.err = p.err();
  return e;
}

bool names(std::string const& text, std::string const& what) { return text.find(what) != std::string::npos; }

std::string const a_peer = "/ip4/127.0.0.1/udp/9/kadoro/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

/// A node that does not say which shard it holds.
std::vector<std::string> node(std::vector<std::string> more) {
  std::vector<std::string> all = {"node", "--listen", "127.0.0.1:0", "--bootstrap", a_peer, "--total-shards", "2"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("command line: bad flags and values are one line, and exit 2") {
  std::vector<std::vector<std::string>> const bad = {
      {"--nonsense"},
      {"dance"},
      {"rendezvous"},
      {"rendezvous", "--listen", "nowhere"},
      {"rendezvous", "--listen", "127.0.0.1:0", "--mode", "sometimes"},
      {"rendezvous", "--listen", "127.0.0.1:0", "--replicas", "0"},
      {"rendezvous", "--listen", "127.0.0.1:0", "--replicas", "many"},
      {"node", "--shard-id", "0"},
      node({}),
      node({"--shard-id", "2"}),
      node({"--shard-id", "0", "--quorum", "most"}),
      node({"--shard-id", "0", "--put", "-1"}),
      node({"--shard-id", "0", "--get-from", "7"}),
      node({"--shard-id", "0", "--total-layers", "1"}),
      {"--json", "rendezvous", "--listen", "127.0.0.1:0"},
  };
  for (auto const& arguments : bad) {
    std::string all;
    for (auto const& argument : arguments) all += argument + " ";
    CAPTURE(all);
    ended const e = run(arguments);
    CHECK(e.code == 2);
    CHECK(e.out == "");
    CHECK(lines(e.err) == 1);
    CHECK(names(e.err, "shard_swarm: "));
  }
  ended const listen = run({"rendezvous", "--listen", "nowhere"});
  CHECK(names(listen.err, "nowhere"));
}

TEST_CASE("command line: help is no error") {
  ended const e = run({"node", "--help"});
  CHECK(e.code == 0);
  CHECK(names(e.out, "LLAMA_SHARD_ID"));
}

TEST_CASE("command line: the variables of the environment that the operators know") {
  ended const e = run(node({}), {"LLAMA_SHARD_ID=9"});
  CHECK(e.code == 2);
  CHECK(names(e.err, "--shard-id 9"));
}

TEST_CASE("command line: what cannot be opened is one line that names it, and exit 1") {
  scratch_folder const folder;
  write_file(folder.file("garbage"), "this is no identity");
  write_file(folder.file("short"), "secret\n");
  auto const check = [](ended const& e, std::string const& what) {
    CAPTURE(e.err);
    CHECK(e.code == 1);
    CHECK(lines(e.err) == 1);
    CHECK(names(e.err, what));
    CHECK(e.out == "");
  };
  check(run({"rendezvous", "--listen", "127.0.0.1:0", "--identity", folder.file("garbage")}), folder.file("garbage"));
  CHECK(read_file(folder.file("garbage")) == "this is no identity");
  check(run({"rendezvous", "--listen", "127.0.0.1:0", "--identity", folder.file("no/such/folder")}),
        folder.file("no/such/folder"));
  check(run({"rendezvous", "--listen", "127.0.0.1:0", "--swarm-key", folder.file("short")}), folder.file("short"));
  check(run({"rendezvous", "--listen", "127.0.0.1:0", "--swarm-key", folder.file("none")}), folder.file("none"));
  check(run({"rendezvous", "--listen", "127.0.0.1:0", "--events", folder.file("no/events")}), folder.file("no/events"));
  check(run({"node", "--listen", "127.0.0.1:0", "--shard-id", "0", "--bootstrap", "/ip4/nonsense"}), "/ip4/nonsense");
  check(run({"node", "--listen", "127.0.0.1:0", "--shard-id", "0", "--bootstrap", "/ip4/127.0.0.1/udp/9/kadoro"}),
        "/ip4/127.0.0.1/udp/9/kadoro");

  program first(folder, {"rendezvous", "--listen", "127.0.0.1:0"});
  auto const address = multiaddr::parse(first.first_line());
  REQUIRE(address.has_value());
  std::string const taken = address->udp_endpoint()->to_string();
  check(run({"rendezvous", "--listen", taken}), taken);
}

TEST_CASE(
    "command line: the address comes first, and into the file; the identity stays, and is nobody else's business") {
  scratch_folder const folder;
  std::string const key = folder.file("key");
  std::string address;
  for (int round = 0; round < 2; ++round) {
    program p(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--identity", key, "--addr-file", folder.file("addr"),
                       "--events", folder.file("events")});
    std::string const first = p.first_line();
    REQUIRE(p.prints("mode: server"));
    auto const parsed = multiaddr::parse(first);
    REQUIRE(parsed.has_value());
    CHECK(first.rfind("/ip4/127.0.0.1/udp/", 0) == 0);
    REQUIRE(parsed->peer().has_value());
    std::string const who = parsed->peer()->to_string();
    if (round == 1) CHECK(who == address);
    address = who;
    p.signal(SIGTERM);
    CHECK(p.exit_code() == 0);
    CHECK(read_file(folder.file("addr")) == first + "\n");
    struct stat about{};
    REQUIRE(::stat(key.c_str(), &about) == 0);
    CHECK((about.st_mode & 0777) == 0600);
    CHECK(p.err() == "");
  }
  std::string const events = read_file(folder.file("events"));
  CHECK(lines(events) == 2);  // appended
  auto const event = nlohmann::json::parse(events.substr(0, events.find('\n')));
  CHECK(event["event"] == "listening");
  CHECK(event["ms"].is_number());
  CHECK(event["mono_ms"].is_number());
}
