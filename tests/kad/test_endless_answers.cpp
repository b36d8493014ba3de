#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>

#include "passing_transport.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

// A peer that always promises more keeps nobody waiting for ever, and the others are asked.

namespace {

enum class way { same_place, further_on, with_records };

/// Datagrams of a node to whom one peer answers without end.
class deceived final : public passing_transport {
 public:
  deceived(std::unique_ptr<transport> inner, peer_id by, way how)
      : passing_transport(std::move(inner)), by_(std::move(by)), how_(how) {}

  coro::task<result<message>> request(peer_ref to, message const& what) override {
    using kadoro::transport::message_type;
    bool const lies = to->id() == by_ && what.type == message_type::get_value;
    auto answer = co_await inner_->request(std::move(to), what);
    if (!lies || !answer) co_return answer;
    answer->contacts.clear();
    answer->records.clear();
    if (how_ == way::with_records) answer->records.emplace_back().publisher = by_.bytes();
    answer->records_cursor = how_ == way::same_place ? std::uint64_t{7} : what.records_cursor + 1;
    co_return answer;
  }

 private:
  peer_id by_;
  way how_;
};

constexpr std::size_t liar = 3;

/// Member 0 is deceived by member 3.
struct deceived_swarm : simulated_swarm {
  deceived_swarm(std::size_t members, node_options const& options, way how) : simulated_swarm(91) {
    for (std::size_t i = 0; i < members; ++i) add(options);
    node_options lied_to = options;
    lied_to.transport = passing_transport::around_datagrams<deceived>(nodes[liar]->id(), how);
    lied_to.mode = peer_mode::client;
    add(lied_to);
    join_all();
    world.run_for(2s);
  }

  /// Nothing, if that is not over within a minute.
  std::optional<get_outcome> outcome_of(std::string const& key) {
    std::optional<get_outcome> out;
    hosts.back()->spawn(seek(*nodes.back(), key, out));
    world.run_for(1min);
    return out;
  }

 private:
  static coro::task<void> seek(node& from, std::string key, std::optional<get_outcome>& out) {
    auto const got = co_await from.get(as_bytes(key));
    if (got) out = got->outcome();
  }
};

}  // namespace

TEST_CASE("endless answers: in a small swarm and in a large one a get ends, and finds what there is") {
  for (way const how : {way::same_place, way::further_on, way::with_records}) {
    for (std::size_t const k : {std::size_t{20}, std::size_t{8}}) {
      CAPTURE(static_cast<int>(how));
      CAPTURE(k);
      node_options options;
      options.table.k = k;
      options.replicas = 4;
      deceived_swarm swarm(k == 8 ? 30 : 10, options, how);
      for (std::size_t i = 0; i < 12; ++i) {
        std::string const key = "key " + std::to_string(i);
        REQUIRE(swarm.put(1, key, "value").ok());
        CHECK(swarm.outcome_of(key) == get_outcome::found);
        CHECK(swarm.outcome_of("no " + key).has_value());
      }
    }
  }
}
