#include <doctest/doctest.h>

#include <set>

#include "kadoro/kad/get_result.hpp"
#include "kadoro/kad/put_receipt.hpp"

using namespace kadoro;
using namespace kadoro::kad;

namespace {

peer_id some_peer(std::uint8_t n) {
  byte_array<32> k{};
  k[0] = n;
  return peer_id::of_ed25519(k);
}

std::shared_ptr<get_result::state> a_get(get_outcome outcome) {
  auto s = std::make_shared<get_result::state>(as_bytes("key"), time_point(std::chrono::seconds(1)));
  s->outcome = outcome;
  return s;
}

std::shared_ptr<put_receipt::state> a_put(std::size_t wanted, std::size_t needed) {
  auto s = std::make_shared<put_receipt::state>(as_bytes("key"), time_point(std::chrono::seconds(1)));
  s->replicas_wanted = wanted;
  s->needed = needed;
  return s;
}

replica at(std::uint8_t n, replica::state now, std::string why = {}, std::optional<errc> refusal = {}) {
  replica r;
  r.peer = some_peer(n);
  r.now = now;
  r.why = std::move(why);
  r.refusal = refusal;
  return r;
}

}  // namespace

TEST_CASE("get result: each outcome has its own name and its own sentence") {
  std::set<std::string> names;
  std::set<std::string> sentences;
  for (get_outcome const o : {get_outcome::found, get_outcome::not_found, get_outcome::nobody_to_ask,
                              get_outcome::refused, get_outcome::timed_out, get_outcome::only_invalid}) {
    CHECK(names.insert(std::string(to_string(o))).second);
    CHECK(sentences.insert(get_result(a_get(o)).explain()).second);
  }
}

TEST_CASE("get result: the sentences say how many and who") {
  auto found = a_get(get_outcome::found);
  found->answered = 2;
  found->needed = 2;
  found->heard = 2;
  found_record r;
  r.holders = 3;
  found->records.push_back(r);
  CHECK(get_result(found).explain() == "found: 1 publisher, 3 holders; 2 peers answered, none of it signed");
  found->records[0].value.signature[0] = r.value.signature[0] = 1;
  CHECK(get_result(found).explain() == "found: 1 publisher, 3 holders; 2 peers answered");
  CHECK_FALSE(get_result(found).unconfirmed());
  found->needed = 3;
  found->records.push_back(r);
  CHECK(get_result(found).explain() ==
        "found: 2 publishers, 3 holders; 2 peers answered (unconfirmed: a newer sequence may exist)");
  auto one = a_get(get_outcome::not_found);
  one->answered = 1;
  one->heard = 1;
  CHECK(get_result(one).explain() == "not announced yet: 1 peer asked, none holds it");
  one->heard = 0;
  CHECK(get_result(one).explain() ==
        "not announced yet: 1 peer asked, none holds it (unconfirmed: too few of the closest answered)");
  one->withdrawn.push_back(r);
  CHECK(get_result(one).explain() == "withdrawn by its publisher; 1 peer asked");
  auto bad = a_get(get_outcome::only_invalid);
  bad->invalid = 4;
  bad->answered = 2;
  CHECK(get_result(bad).explain() == "only copies that have expired or whose signature is wrong: 4 seen at 2 peers");
  auto refused = a_get(get_outcome::refused);
  refused->cause = "X refused: why";
  CHECK(get_result(refused).explain() == "refused: X refused: why");
}

TEST_CASE("put receipt: counts, and says who did not store it and why") {
  auto s = a_put(4, 3);
  s->replicas = {at(1, replica::state::stored), at(2, replica::state::stored),
                 at(3, replica::state::refused, "refused: its store is full", errc::refused_full),
                 at(4, replica::state::no_answer, "Y: no answer")};
  put_receipt const receipt(s);
  CHECK_FALSE(receipt.ok());
  CHECK(receipt.stored() == 2);
  CHECK(receipt.refused() == 1);
  CHECK(receipt.unanswered() == 1);
  CHECK_FALSE(receipt.degraded());
  CHECK(receipt.explain() ==
        "stored on 2 of 3 needed: " + some_peer(3).to_string() + " refused: its store is full: Y: no answer");
  s->replicas[3] = at(4, replica::state::stored);  // the last answer: the receipt is live
  CHECK(receipt.ok());
  CHECK(receipt.explain().find("stored on 3 of 3 needed (4 asked)") == 0);
}
