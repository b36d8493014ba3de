#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t publishers = 300;

/// What 300 publishers say under one key, each another value of 0 to 2,048 bytes.
std::vector<record> const& said() {
  static std::vector<record> const all = [] {
    chacha20_random random(1);
    std::vector<record> out;
    for (std::size_t i = 0; i < publishers; ++i) {
      bytes value(i == 0 ? 2048 : static_cast<std::size_t>(random.below(2049)));
      random.fill(value);
      out.push_back(record::make(crypto::identity::generate(random), as_bytes("key"), i + 1, 1h, 0, value));
    }
    return out;
  }();
  return all;
}

/// `count` servers that hold all of it, or every other record only, on links that lose 2 % of the datagrams.
struct full_swarm : simulated_swarm {
  full_swarm(std::uint64_t seed, std::size_t count, bool halves) : simulated_swarm(seed) {
    for (std::size_t i = 0; i < count; ++i) add();
    join_all();
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t r = 0; r < publishers; ++r) {
        if (halves && r % 2 != i % 2) continue;
        auto const put =
            nodes[i]->store().put(said()[r], record_store::origin::handed_on, std::nullopt, 1h, hosts[i]->now());
        REQUIRE_FALSE(put.refused.has_value());
      }
    io::sim::link_policy link;
    link.delay = 10ms;
    link.loss = 0.02;
    world.set_link(link);
  }

  std::size_t add_reader() {
    node_options client;
    client.mode = peer_mode::client;
    add(client);
    return nodes.size() - 1;
  }
};

void check_all(get_result const& got) {
  REQUIRE(got.found());
  CHECK(got.invalid() == 0);
  REQUIRE(got.records().size() == publishers);
  std::map<peer_id, record const*> wanted;
  for (record const& r : said()) wanted.emplace(r.publisher, &r);
  for (found_record const& f : got.records()) CHECK(f.value == *wanted.at(f.value.publisher));
}

get_options with(quorum q) {
  get_options how;
  how.quorum = q;
  return how;
}

}  // namespace

TEST_CASE("many publishers: a plain get brings all that one holder has, page by page, at 2 % loss") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    full_swarm swarm(seed, 5, false);
    std::size_t const reader = swarm.add_reader();  // its first page comes in the answer of a handshake
    check_all(swarm.get(reader, "key"));
    auto const again = swarm.get(reader, "key");  // and now over sessions
    check_all(again);
  }
}

TEST_CASE("many publishers: a get with a majority brings all of them, though no holder has all") {
  for (std::uint64_t seed = 11; seed <= 15; ++seed) {
    full_swarm swarm(seed, 8, true);
    std::size_t const reader = swarm.add_reader();
    auto const got = swarm.get(reader, "key", with(quorum::all()));
    check_all(got);
    CHECK_FALSE(got.unconfirmed());
  }
}

TEST_CASE("many publishers: with a majority each holder that counts has told all") {
  for (std::uint64_t seed = 21; seed <= 25; ++seed) {
    full_swarm swarm(seed, 8, false);
    std::size_t const reader = swarm.add_reader();
    auto const got = swarm.get(reader, "key", with(quorum::majority()));
    check_all(got);
    CHECK_FALSE(got.unconfirmed());
    std::size_t most = 0;
    for (found_record const& f : got.records()) most = std::max(most, f.holders);
    CHECK(most >= 5);
  }
}
