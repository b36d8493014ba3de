#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "kadoro-sim/predict.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/crypto/identity.hpp"

using namespace kadoro_sim;
using kadoro::errc;

namespace {

/// What the processes of a swarm of three nodes could have written, in a folder that goes with it.
class folder {
 public:
  folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kadoro-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
    kadoro::chacha20_random random(1);
    for (int i = 0; i < 4; ++i) {
      auto const self = kadoro::crypto::identity::generate(random);
      auto const id = kadoro::multiformats::peer_id::of_ed25519(self.public_key());
      std::string const began = std::to_string(1000 + 10 * i);
      add(i, R"({"event":"listening","ms":0.5,"mono_ms":)" + began + R"(.5,"peer_id":")" + id.to_string() + R"("})");
      if (i == 0) continue;
      add(i, R"({"event":"announced","ms":330,"mono_ms":1400,"r":2,"stored":2})");
      add(i, R"({"event":"complete","ms":)" + std::to_string(400 + i) + R"(,"mono_ms":1410,"shards":3})");
    }
    add(1, R"({"event":"bench","ms":2000,"mono_ms":3000,"op":"put","n":25,"failures":0,"p50":153})");
    add(1, R"({"event":"bench","ms":2500,"mono_ms":3500,"op":"get","n":5,"failures":0,"p50":76.5})");
    add(2, R"({"event":"bench","ms":2600,"mono_ms":3600,"op":"put","n":20,"failures":2,"p50":153})");
  }
  folder(folder const&) = delete;
  folder& operator=(folder const&) = delete;
  ~folder() { std::filesystem::remove_all(path_); }

  std::string path() const { return path_.string(); }
  std::string file(int i) const { return (path_ / (std::to_string(i) + ".jsonl")).string(); }
  void add(int i, std::string const& line) const { std::ofstream(file(i), std::ios::app) << line << '\n'; }
  void remove(int i) const { std::filesystem::remove(file(i)); }

  /// The message of the error that reading gives.
  std::string problem() const {
    auto const read = recording::read(path());
    return read ? std::string() : read.error().message();
  }

 private:
  std::filesystem::path path_;
};

bool contains(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a recording has what the processes wrote") {
  folder const events;
  auto const read = recording::read(events.path());
  REQUIRE(read);
  REQUIRE(read->processes.size() == 4);
  CHECK(read->processes[0].began_ms == 1000);
  CHECK(read->processes[0].listening_ms == 0.5);
  CHECK(read->processes[3].began_ms == 1030);
  CHECK(read->processes[3].announced_ms == 330);
  CHECK(read->processes[3].complete_ms == 403);
  CHECK(read->processes[3].replicas == 2);
  CHECK(read->processes[1].puts.count == 25);
  CHECK(read->processes[1].puts.p50_ms == 153);
  CHECK(read->processes[1].gets.p50_ms == 76.5);
  CHECK(read->processes[2].puts.count == 20);
  CHECK(read->processes[3].puts.count == 0);
}

TEST_CASE("of an event that happens again the first counts") {
  folder const events;
  events.add(3, R"({"event":"complete","ms":5000,"mono_ms":6000,"shards":3})");
  auto const read = recording::read(events.path());
  REQUIRE(read);
  CHECK(read->processes[3].complete_ms == 403);
}

TEST_CASE("what is wrong with a recording is said with its file") {
  folder const events;
  SUBCASE("no folder") {
    auto const read = recording::read(events.path() + "/none");
    REQUIRE(!read);
    CHECK(read.error() == errc::io_failure);
    CHECK(contains(read.error().message(), "no such folder"));
  }
  SUBCASE("no rendezvous") {
    events.remove(0);
    CHECK(contains(events.problem(), "0.jsonl: cannot be read"));
  }
  SUBCASE("one node is no swarm") {
    events.remove(2);
    CHECK(contains(events.problem(), "2.jsonl: cannot be read"));
  }
  SUBCASE("no JSON") {
    events.add(2, "{\"event\":");
    CHECK(contains(events.problem(), "2.jsonl, line 5: is no JSON object"));
  }
  SUBCASE("no event") {
    events.add(2, R"({"event":"found","ms":"soon","mono_ms":1})");
    CHECK(contains(events.problem(), "2.jsonl, line 5: is no event"));
  }
  SUBCASE("no events at all") {
    events.remove(3);
    std::ofstream(events.file(3)).flush();
    CHECK(contains(events.problem(), "3.jsonl: no event says 'listening'"));
  }
  SUBCASE("never complete") {
    events.remove(2);
    std::filesystem::copy_file(events.file(0), events.file(2));
    CHECK(contains(events.problem(), "2.jsonl: no event says 'announced'"));
  }
  SUBCASE("the first node did nothing") {
    std::filesystem::copy_file(events.file(3), events.file(1), std::filesystem::copy_options::overwrite_existing);
    CHECK(contains(events.problem(), "1.jsonl: no event says 'put'"));
  }
  SUBCASE("nothing was measured") {
    std::filesystem::copy_file(events.file(3), events.file(1), std::filesystem::copy_options::overwrite_existing);
    events.add(1, R"({"event":"bench","ms":1,"mono_ms":1,"op":"put","n":5,"p50":null})");
    CHECK(contains(events.problem(), "1.jsonl: 'put' says no p50"));
  }
  SUBCASE("no such number of puts") {
    events.remove(2);
    std::filesystem::copy_file(events.file(3), events.file(2));
    events.add(2, R"({"event":"bench","ms":1,"mono_ms":1,"op":"put","n":1e30,"p50":1})");
    CHECK(contains(events.problem(), "2.jsonl: 'put' has a n that makes no sense"));
  }
  SUBCASE("an identity that is none") {
    events.remove(0);
    events.add(0, R"({"event":"listening","ms":1,"mono_ms":1000,"peer_id":"somebody"})");
    CHECK(contains(events.problem(), "0.jsonl: 'listening' says no peer_id"));
  }
  SUBCASE("two runs in one folder") {
    events.remove(3);
    std::filesystem::copy_file(events.file(2), events.file(3));
    events.remove(0);
    events.add(
        0,
        R"({"event":"listening","ms":1,"mono_ms":9e9,"peer_id":"12D3KooWAo7vq2aES4HYXKYFPn75MQva6dWvzrVqjVD6HW82KLNB"})");
    CHECK(contains(events.problem(), "more than an hour apart"));
  }
}

TEST_CASE("a predicted swarm takes its round trips, and agrees with one that took as long") {
  folder const events;
  auto read = recording::read(events.path());
  REQUIRE(read);
  predict_settings how;
  how.rtt_ms = 76;
  auto const first = predict(*read, how);
  REQUIRE(first);
  auto const simulated = [&](char const* name) { return first->figures[name]["simulated"].get<double>(); };
  // In a swarm that knows itself a put is one round trip, and so is a get; code takes a little of the machine.
  CHECK(simulated("put_p50_ms") > 76);
  CHECK(simulated("put_p50_ms") < 1.06 * 76);
  CHECK(simulated("get_p50_ms") > 76);
  CHECK(simulated("get_p50_ms") < 1.1 * 76);
  CHECK(simulated("complete_max_ms") > 2 * 76);
  CHECK(simulated("complete_max_ms") < 8 * 76);

  auto const again = predict(*read, how);
  REQUIRE(again);
  CHECK(again->figures == first->figures);

  read->processes[1].puts.p50_ms = simulated("put_p50_ms");
  read->processes[1].gets.p50_ms = simulated("get_p50_ms") * 1.04;
  for (recorded_process& one : read->processes) one.complete_ms = simulated("complete_max_ms");
  auto const close = predict(*read, how);
  REQUIRE(close);
  CHECK(close->good);
  CHECK(close->figures["put_p50_ms"]["difference_percent"] == doctest::Approx(0).epsilon(0.01));

  read->processes[1].gets.p50_ms *= 1.02;
  auto const far = predict(*read, how);
  REQUIRE(far);
  CHECK(!far->good);
  CHECK(far->figures["good"] == false);
}

TEST_CASE("half the round trip takes half as long") {
  folder const events;
  auto const read = recording::read(events.path());
  REQUIRE(read);
  predict_settings how;
  how.rtt_ms = 38;
  auto const made = predict(*read, how);
  REQUIRE(made);
  double const put = made->figures["put_p50_ms"]["simulated"];
  CHECK(put > 38);
  CHECK(put < 1.06 * 38);
  CHECK(!made->good);
}

TEST_CASE("a name that no cluster can have is refused") {
  folder const events;
  auto const read = recording::read(events.path());
  REQUIRE(read);
  predict_settings how;
  how.cluster = "a/b";
  auto const made = predict(*read, how);
  REQUIRE(!made);
  CHECK(made.error() == errc::invalid_argument);
}
