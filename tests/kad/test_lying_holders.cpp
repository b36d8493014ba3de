#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "kadoro/kad/impl/watched_key.hpp"
#include "passing_transport.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

// A holder that answers those who watch at it as it likes costs them no more than the others do.

namespace {

struct tally {
  std::size_t of_liar = 0;
  std::size_t of_others = 0;
  std::vector<std::unique_ptr<bytes>> made_up;  // publishers
  bytes value;                                  // of each of them
};

/// Datagrams of a node to whom one holder always tells of changes before which something is missing, and each time of
/// another publisher.
class deceived final : public passing_transport {
 public:
  deceived(std::unique_ptr<transport> inner, peer_id by, std::shared_ptr<tally> counts)
      : passing_transport(std::move(inner)), by_(std::move(by)), counts_(std::move(counts)) {}

  coro::task<result<message>> request(peer_ref to, message const& what) override {
    bool const watches = what.type == kadoro::transport::message_type::watch;
    bool const lies = watches && to->id() == by_;
    if (watches) ++(lies ? counts_->of_liar : counts_->of_others);
    auto answer = co_await inner_->request(std::move(to), what);
    if (!lies || !answer) co_return answer;
    byte_array<32> key{};
    store_be(key.data(), static_cast<std::uint32_t>(counts_->of_liar));
    counts_->made_up.push_back(std::make_unique<bytes>(to_bytes(peer_id::of_ed25519(key).bytes())));
    answer->refusal.reset();
    answer->records.clear();
    wire::record& made_up = answer->records.emplace_back();
    made_up.publisher = *counts_->made_up.back();
    made_up.value = counts_->value;
    made_up.ttl_s = 3600;
    answer->since = 5;
    answer->sequence = 7;
    answer->head = 9;
    co_return answer;
  }

 private:
  peer_id by_;
  std::shared_ptr<tally> counts_;
};

}  // namespace

TEST_CASE("lying holders: one that never tells all is not asked without end") {
  auto const counts = std::make_shared<tally>();
  counts->value = bytes(60'000, 1);
  simulated_swarm swarm(91);
  node_options options;
  options.replicas = 4;
  for (int i = 0; i < 5; ++i) swarm.add(options);
  options.transport = passing_transport::around_datagrams<deceived>(swarm.nodes[3]->id(), counts);
  options.mode = peer_mode::client;
  swarm.add(options);
  swarm.join_all();
  std::vector<watch> watches;
  for (char const* key : {"one", "two", "three"}) watches.push_back(swarm.nodes.back()->watch(as_bytes(key)).value());
  swarm.world.run_for(60s);
  CHECK(counts->of_others > 10);
  CHECK(counts->of_liar > 10);
  CHECK(counts->of_liar < 3 * (16 + 2 * 60 + 5));  // at once, then two a second, for each key
  swarm.put(1, "one", "of somebody");              // the others go on to tell
  swarm.world.run_for(1s);
  CHECK(watches[0].caught_up());
  watches.clear();
  swarm.close_all();
}

TEST_CASE("lying holders: a watched key holds so many publishers and so many bytes, and of one holder a quarter") {
  using detail::watched_key;
  watched_key of(to_bytes(as_bytes("key")));
  auto const peer = [](std::uint32_t number) {
    byte_array<32> key{};
    store_be(key.data(), number);
    return peer_id::of_ed25519(key);
  };
  auto const told = [&](std::uint32_t by, std::uint32_t publisher, std::size_t size, std::uint64_t sequence = 1) {
    record what;
    what.publisher = peer(publisher);
    what.key = to_bytes(as_bytes("key"));
    what.sequence = sequence;
    what.lifetime_max = 1h;
    what.value = bytes(size, 1);
    bool const room = of.has_room_for(peer(by), what);
    if (room) of.on_record(peer(by), 0, std::move(what), 1h, time_point{1h});
    return room;
  };
  std::size_t const large = record::max_value_bytes;
  auto const quarter = static_cast<std::uint32_t>(watched_key::max_bytes_of_one / large);
  REQUIRE(told(2, 0, 100));  // by one that is honest
  for (std::uint32_t i = 1; i <= quarter; ++i) REQUIRE(told(1, i, large));
  CHECK_FALSE(told(1, quarter + 1, 1));
  CHECK_FALSE(told(1, 0, 101, 2));
  CHECK(of.dropped == 2);
  CHECK(told(2, 0, 101, 2));  // what others tell is not touched, also of the same publishers
  CHECK(told(2, quarter, large, 2));
  CHECK(told(1, 0, 101, 1));  // no news
  CHECK(told(1, 1, large, 2));
  CHECK(told(1, quarter + 1, large));
  CHECK_FALSE(told(1, quarter + 2, 1));
  CHECK(told(1, quarter + 2, 0));  // that somebody has withdrawn takes no room
  for (std::uint32_t by = 3; by < 6; ++by)
    for (std::uint32_t i = 0; i < quarter - 1; ++i) REQUIRE(told(by, by * 1000 + i, large));
  CHECK(told(6, 9000, large));
  CHECK_FALSE(told(6, 9001, large));
}

TEST_CASE("lying holders: of the servers that holders name the closest are kept, whoever was named first") {
  using detail::watched_key;
  watched_key of(to_bytes(as_bytes("key")));
  kadoro::transport::peer_book book;
  kadoro::transport::peer_list named;
  for (std::uint32_t i = 0; i < 200; ++i) {
    byte_array<32> key{};
    store_be(key.data(), i);
    named.push_back(book.intern(peer_id::of_ed25519(key)));
    of.learn(named.back());
    of.learn(named.front());  // once more
  }
  auto const at = key::of(as_bytes("key"));
  std::sort(named.begin(), named.end(),
            [&at](auto const& a, auto const& b) { return at.closer(key(a->hash()), key(b->hash())); });
  named.resize(watched_key::max_near);
  bool const same = of.near == named;
  CHECK(same);
}
