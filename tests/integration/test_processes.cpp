#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "io/required.hpp"
#include "kadoro/io/system/open.hpp"
#include "program.hpp"

namespace {

/// Whether this machine lets programs have io_uring. Where it does not, that is said.
bool has_uring() {
  kadoro::io::open_options wanted;
  wanted.backend = kadoro::io::backend_choice::uring;
  auto const made = kadoro::io::open(wanted);
  if (!made) io_test::pass_over("uring", made.error().message());
  return made.has_value();
}

bool names(std::string const& text, std::string const& what) { return text.find(what) != std::string::npos; }

std::vector<std::string> node(std::string const& bootstrap, std::string const& shard,
                              std::vector<std::string> more = {}) {
  std::vector<std::string> all = {"node",           "--bootstrap", bootstrap,   "--shard-id", shard,
                                  "--total-shards", "2",           "--cluster", "test"};
  if (std::find(more.begin(), more.end(), "--listen") == more.end()) {
    all.push_back("--listen");
    all.push_back("127.0.0.1:0");
  }
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<nlohmann::json> events_in(std::string const& path, std::string const& name) {
  std::vector<nlohmann::json> out;
  std::string const all = read_file(path);
  for (std::size_t at = 0; at < all.size();) {
    std::size_t const end = std::min(all.find('\n', at), all.size());
    auto const event = nlohmann::json::parse(all.substr(at, end - at));
    if (event["event"] == name) out.push_back(event);
    at = end + 1;
  }
  return out;
}

}  // namespace

TEST_CASE("processes: a rendezvous in client mode stores nothing, and the PUT says so") {
  scratch_folder const folder;
  program rendezvous(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--mode", "client"});
  std::string const address = rendezvous.first_line();
  CHECK(rendezvous.prints("mode: client"));
  program alone(folder, node(address, "0", {"--events", folder.file("events")}));
  CHECK(alone.prints("stored on 0 of 1 needed: " + address.substr(address.rfind('/') + 1) + " refused: "));
  CHECK(alone.prints("it runs in client mode and stores nothing"));
  CHECK(alone.prints("start it in server mode"));
  CHECK(events_in(folder.file("events"), "announced").empty());
  alone.signal(SIGTERM);
  CHECK(alone.exit_code() == 0);
}

TEST_CASE("processes: an early node waits, says why, and finds the other without being touched") {
  scratch_folder const folder;
  program rendezvous(folder, {"rendezvous", "--listen", "127.0.0.1:0"});
  std::string const address = rendezvous.first_line();
  program early(folder, node(address, "0", {"--events", folder.file("early")}));
  CHECK(early.prints("Shard 1: ✗ OFFLINE  not announced yet: 1 peer asked, none holds it"));
  program late(folder, node(address, "1", {"--events", folder.file("late")}));
  CHECK(early.prints("[SWARM] complete"));
  CHECK(late.prints("[SWARM] complete"));
  CHECK(late.prints("announced: stored on "));
  late.signal(SIGTERM);
  CHECK(late.exit_code() == 0);
  CHECK(early.prints("[SWARM] lost shard 1"));
  auto const lost = events_in(folder.file("early"), "lost");
  REQUIRE(lost.size() == 1);
  CHECK(lost[0]["reason"] == "withdrawn");
  CHECK(lost[0]["shard"] == 1);
  auto const announced = events_in(folder.file("late"), "announced");
  REQUIRE(announced.size() == 1);
  CHECK(announced[0]["stored"] >= announced[0]["needed"]);
}

TEST_CASE("processes: with nobody reachable a node says that, and another swarm key looks the same from outside") {
  scratch_folder const folder;
  write_file(folder.file("key"), "a secret of the swarm\n");
  write_file(folder.file("other"), "a secret of another swarm\n");
  program rendezvous(
      folder, {"rendezvous", "--listen", "127.0.0.1:0", "--swarm-key", folder.file("key"), "--status-interval", "0.2"});
  std::string const address = rendezvous.first_line();
  program member(folder, node(address, "0", {"--swarm-key", folder.file("key")}));
  CHECK(member.prints("stored on 1 of 1 needed"));
  program stranger(folder, node(address, "1", {"--swarm-key", folder.file("other")}));
  CHECK(stranger.prints("swarm key"));
  CHECK(stranger.prints("Shard 0: ✗ OFFLINE  nobody reachable: "));
  CHECK_FALSE(names(stranger.out(), "not announced yet"));
  CHECK(rendezvous.prints("dropped_wrong_swarm_key="));
}

TEST_CASE("processes: IPv6") {
  scratch_folder const folder;
  program rendezvous(folder, {"rendezvous", "--listen", "[::1]:0"});
  std::string const address = rendezvous.first_line();
  CHECK(address.rfind("/ip6/::1/udp/", 0) == 0);
  program a(folder, node(address, "0", {"--listen", "[::1]:0"}));
  program b(folder, node(address, "1", {"--listen", "[::1]:0"}));
  CHECK(a.prints("[SWARM] complete"));
  CHECK(b.prints("[SWARM] complete"));
}

TEST_CASE("processes: two processes with the same shard are both listed") {
  scratch_folder const folder;
  program rendezvous(folder, {"rendezvous", "--listen", "127.0.0.1:0"});
  std::string const address = rendezvous.first_line();
  program a(folder, node(address, "0"));
  program b(folder, node(address, "1", {"--shards-dir", folder.file("")}));
  program c(folder, node(address, "1"));
  CHECK(a.prints("2 replicas"));
}

TEST_CASE("processes: timed operations are reported, gets only of what is not held here") {
  scratch_folder const folder;
  program rendezvous(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--replicas", "1"});
  std::string const address = rendezvous.first_line();
  program a(folder, node(address, "0", {"--replicas", "1", "--put", "5", "--get", "5", "--events", folder.file("a")}));
  program b(folder, node(address, "1", {"--replicas", "1", "--put", "60"}));
  CHECK(a.prints("\"op\":\"get\""));
  auto const bench = events_in(folder.file("a"), "bench");
  REQUIRE(bench.size() == 2);
  for (auto const& line : bench) {
    CHECK(line["n"] == 5);
    CHECK(line["failures"] == 0);
    CHECK(line["p50"].get<double>() > 0);
    CHECK(line["p50"] <= line["p99"]);
  }
  CHECK(bench[0]["op"] == "put");
  CHECK(bench[1]["op"] == "get");
}

namespace {

void check_scenario(std::vector<std::string> const& arguments, std::string const& backend) {
  scratch_folder const folder;
  program scenario(folder, arguments, {"KADORO_IO="});
  auto const code = scenario.exit_code(std::chrono::seconds(150));
  CAPTURE(scenario.err());
  CHECK(code == 0);
  CHECK(lines(scenario.out()) == 1);
  auto const outcome = nlohmann::json::parse(scenario.out(), nullptr, false);
  REQUIRE(outcome.is_object());
  CHECK(outcome["ok"] == true);
  CHECK(outcome["nodes"] == 9);
  CHECK(outcome["shards"] == 8);
  CHECK(outcome["backend"] == backend);
  std::string const details = outcome["io_backend"];
  CHECK(details.rfind(backend + ": ", 0) == 0);
  std::vector<std::string> const wanted = {"all_found", "leave",           "rejoin",
                                           "crash",     "rendezvous_down", "rendezvous_back"};
  REQUIRE(outcome["steps"].size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    CHECK(outcome["steps"][i]["name"] == wanted[i]);
    CHECK(outcome["steps"][i]["ok"] == true);
    CHECK(outcome["steps"][i]["ms"].is_number());
  }
  for (char const* op : {"put_ms", "get_ms"}) {
    CHECK(outcome[op]["p50"].is_number());
    CHECK(outcome[op]["p99"].is_number());
  }
}

}  // namespace

TEST_CASE("processes: the scenario holds, and says so as one JSON object") {
  // It takes some seconds: what it runs on by itself is not run again by name.
  SUBCASE("on the best that can be had") { check_scenario({"--json"}, has_uring() ? "io_uring" : "asio"); }
  SUBCASE("on Asio, where there is better") {
    if (has_uring()) check_scenario({"--json", "--io", "asio"}, "asio");
  }
}

TEST_CASE("processes: two members on different backends find each other, and say which they run on") {
  scratch_folder const folder;
  program rendezvous(folder, {"rendezvous", "--listen", "127.0.0.1:0", "--io", "asio"});
  std::string const address = rendezvous.first_line();
  CHECK(rendezvous.prints("io: asio: asked for; "));
  program with_uring(folder, node(address, "0", {"--io", "uring"}));
  if (!with_uring.prints("io: io_uring: ")) {
    // This machine denies it: then that was an error with a cause, and `auto` is Asio, which says the same cause.
    CHECK(with_uring.exit_code() == 1);
    CHECK(names(with_uring.err(), "io_uring: "));
    CHECK(names(with_uring.err(), "asked for"));
    program automatic(folder, node(address, "0", {"--io", "auto"}));
    CHECK(automatic.prints("io: asio: io_uring: "));
    io_test::pass_over("uring", with_uring.err());
    return;
  }
  program by_environment(folder, node(address, "1"), {"KADORO_IO=asio"});
  CHECK(by_environment.prints("io: asio: asked for by KADORO_IO=asio"));
  CHECK(with_uring.prints("Backend: io_uring: "));
  CHECK(with_uring.prints("[SWARM] complete"));
  CHECK(by_environment.prints("[SWARM] complete"));
  with_uring.signal(SIGTERM);
  CHECK(with_uring.exit_code() == 0);
  program automatic(folder, node(address, "0", {"--io", "auto"}), {"KADORO_IO=asio"});
  CHECK(automatic.prints("io: io_uring: "));
}

TEST_CASE("processes: a KADORO_IO that means nothing is refused by name") {
  scratch_folder const folder;
  program rendezvous(folder, {"rendezvous", "--listen", "127.0.0.1:0"}, {"KADORO_IO=fast"});
  CHECK(rendezvous.exit_code() == 1);
  CHECK(names(rendezvous.err(), "KADORO_IO=fast"));
}
