#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "foreign_transport.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

/// Values are numbers, and the highest is the one that counts.
validator numbers() {
  validator v;
  v.accept = [](record const& what) -> result<void> {
    std::string_view const text = as_text(what.value);
    if (text == "throw") throw std::runtime_error("a number that throws");
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return reject("no number");
    return {};
  };
  v.select = [](std::span<found_record const> all) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < all.size(); ++i)
      if (std::stoi(std::string(as_text(all[i].value.value))) > std::stoi(std::string(as_text(all[best].value.value))))
        best = i;
    return std::vector<std::size_t>{best};
  };
  return v;
}

/// Node 0 and those after `loose` have the validator, the node `loose` has none.
struct judging_swarm : simulated_swarm {
  explicit judging_swarm(std::size_t count, std::size_t loose = ~std::size_t{0}, std::uint64_t seed = 11)
      : simulated_swarm(seed) {
    for (std::size_t i = 0; i < count; ++i) {
      node_options options;
      if (i != loose) options.validators["/numbers/"] = numbers();
      add(options);
    }
    join_all();
  }
};

}  // namespace

TEST_CASE("validators: a holder refuses what its validator rejects, and the receipt has the reason") {
  judging_swarm swarm(4, 1);
  auto const good = swarm.put(1, "/numbers/a", "12", {quorum::all()});
  CHECK(good.ok());
  auto const bad = swarm.put(1, "/numbers/b", "twelve", {quorum::one()});
  CAPTURE(bad.explain());
  CHECK_FALSE(bad.ok());
  CHECK(bad.refused() == 3);
  for (replica const& r : bad.replicas()) {
    CHECK(r.refusal == errc::refused_validator);
    CHECK(r.why.find("no number") != std::string::npos);
  }
  CHECK(swarm.nodes[0]->validator_counts().refused == 1);
  auto const elsewhere = swarm.put(1, "/words/b", "twelve", {quorum::all()});
  CHECK(elsewhere.ok());  // other keys are nobody's business
}

TEST_CASE("validators: a node asks its own before it puts") {
  judging_swarm swarm(3);
  auto const put = swarm.hosts[1]->run(swarm.nodes[1]->put(as_bytes("/numbers/a"), as_bytes("one")));
  REQUIRE_FALSE(put.has_value());
  CHECK(put.error() == errc::refused_validator);
  CHECK(put.error() == condition::refused);
  CHECK(put.error().message().find("no number") != std::string::npos);
  CHECK(swarm.nodes[1]->store().size() == 0);
  CHECK(swarm.put(1, "/numbers/a", "1").ok());
  CHECK(swarm.withdraw(1, "/numbers/a", {quorum::all()}).ok());  // a tombstone says nothing that could be judged
}

TEST_CASE("validators: one that throws has rejected") {
  judging_swarm swarm(3, 1);
  auto const bad = swarm.put(1, "/numbers/a", "throw", {quorum::one()});
  CHECK(bad.refused() == 2);
  CHECK(bad.explain().find("a number that throws") != std::string::npos);
  CHECK(swarm.nodes[0]->validator_counts().thrown == 1);
  auto const put = swarm.hosts[2]->run(swarm.nodes[2]->put(as_bytes("/numbers/a"), as_bytes("throw")));
  CHECK(put.error() == errc::refused_validator);
}

TEST_CASE("validators: a reader does not believe what holders without validator kept") {
  simulated_swarm swarm(12);
  for (int i = 0; i < 3; ++i) swarm.add();
  node_options options;
  options.mode = peer_mode::client;
  options.validators["/numbers/"] = numbers();
  swarm.add(options);
  swarm.join_all();
  CHECK(swarm.put(1, "/numbers/a", "many", {quorum::all()}).ok());
  auto const seen = swarm.get(3, "/numbers/a", {quorum::majority()});
  CHECK(seen.outcome() == get_outcome::only_invalid);
  CHECK(seen.rejected() >= 2);
  CHECK(seen.invalid() == seen.rejected());
  CAPTURE(seen.explain());
  CHECK(seen.explain().find("the validator of that key rejects: no number") != std::string::npos);
  CHECK(swarm.nodes[3]->validator_counts().rejected == seen.rejected());
  CHECK(swarm.get(2, "/numbers/a").found());

  // Beside a good one it is only counted.
  CHECK(swarm.put(2, "/numbers/a", "7", {quorum::all()}).ok());
  auto const got = swarm.get(3, "/numbers/a", {quorum::all()});
  REQUIRE(got.found());
  REQUIRE(got.records().size() == 1);
  CHECK(as_text(got.records()[0].value.value) == "7");
  CHECK(got.rejected() > 0);
}

TEST_CASE("validators: select leaves what counts, in its own order") {
  judging_swarm swarm(5, 4);
  CHECK(swarm.put(0, "/numbers/a", "5", {quorum::all()}).ok());
  CHECK(swarm.put(1, "/numbers/a", "9", {quorum::all()}).ok());
  CHECK(swarm.put(2, "/numbers/a", "7", {quorum::all()}).ok());
  auto const best = swarm.get(3, "/numbers/a", {quorum::all()});
  REQUIRE(best.found());
  REQUIRE(best.records().size() == 1);
  CHECK(as_text(best.records()[0].value.value) == "9");
  CHECK(swarm.nodes[3]->validator_counts().unwanted == 2);
  CHECK(swarm.get(4, "/numbers/a", {quorum::all()}).records().size() == 3);  // it has no validator
}

TEST_CASE("validators: select may name places twice, out of range, none, or throw") {
  std::vector<std::size_t> named;
  bool throws = false;
  validator v;
  v.select = [&](std::span<found_record const>) {
    if (throws) throw 1;
    return named;
  };
  detail::validator_set set({{"/x/", v}});
  found_records const all = [] {
    found_records made(3);
    for (std::uint8_t i = 0; i < 3; ++i) made[i].value.value = {i};
    return made;
  }();
  auto const selected = [&](char const* key) {
    found_records found = all;
    set.select(as_bytes(key), found);
    std::string out;
    for (found_record const& r : found) out += std::to_string(int{r.value.value[0]});
    return out;
  };
  named = {2, 0, 2, 17};
  CHECK(selected("/x/a") == "20");
  CHECK(selected("/y/a") == "012");
  named = {};
  CHECK(selected("/x/a").empty());
  throws = true;
  CHECK(selected("/x/a").empty());
  CHECK(set.counters().thrown == 1);
  CHECK(set.counters().unwanted == 1 + 3 + 3);
}

TEST_CASE("validators: the longest prefix is asked, the empty one for all other keys") {
  auto const saying = [](char const* what) {
    validator v;
    v.accept = [what](record const&) -> result<void> { return reject(what); };
    return v;
  };
  detail::validator_set set({{"", saying("any")}, {"/a/", saying("a")}, {"/a/b/", saying("ab")}, {"/c/", validator()}});
  auto const said = [&set](char const* key) {
    record r;
    r.key = to_bytes(as_bytes(key));
    return set.objection_to(r).value_or("nothing");
  };
  CHECK(said("/a/1") == "a");
  CHECK(said("/a/b/1") == "ab");
  CHECK(said("/a/c/1") == "a");
  CHECK(said("/a") == "any");
  CHECK(said("/b/1") == "any");
  CHECK(said("/c/1") == "nothing");
}

TEST_CASE("validators: foreign peers and those who hand on are judged, too") {
  foreign_nodes foreign;
  simulated_swarm swarm(13);
  for (std::size_t i = 0; i < 3; ++i) {
    node_options options;
    options.transport = foreign_transport::factory(foreign);
    if (i == 0) options.validators["/numbers/"] = numbers();
    swarm.add(options);
    if (i == 1) foreign.ids.insert(swarm.nodes[1]->id());
  }
  swarm.join_all();
  auto const bad = swarm.put(1, "/numbers/a", "some", {quorum::all()});
  CHECK(bad.stored() == 1);
  CHECK(bad.refused() == 1);
  CHECK(swarm.put(2, "/numbers/b", "few").refused() == 1);
  CHECK(swarm.nodes[0]->store().size() == 0);

  // A newcomer with a validator is handed only what that accepts.
  CHECK(swarm.put(2, "/numbers/c", "3", {quorum::one()}).ok());
  node_options options;
  options.transport = foreign_transport::factory(foreign);
  options.validators["/numbers/"] = numbers();
  swarm.add(options);
  CHECK(swarm.hosts[3]->run(swarm.nodes[3]->join()).has_value());
  swarm.world.run_for(3s);
  CHECK(swarm.holds(3, "/numbers/c", 2));
  CHECK_FALSE(swarm.holds(3, "/numbers/b", 2));
}
