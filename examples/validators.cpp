// A namespace with rules: under "/scores/" stands one number from 0 to 100, and of several the highest counts. Three
// nodes obey, one does not: what it puts is refused, and it hears why.

#include <charconv>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"

namespace kad = kadoro::kad;
namespace coro = kadoro::coro;
using kadoro::as_bytes;

std::optional<int> score_in(kad::record const& what) {
  std::string_view const text = kadoro::as_text(what.value);
  int score = -1;
  auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), score);
  if (problem != std::errc() || end != text.data() + text.size() || score < 0 || score > 100) return std::nullopt;
  return score;
}

kad::validator scores() {
  kad::validator rules;
  rules.accept = [](kad::record const& what) -> kadoro::result<void> {
    if (!score_in(what)) return kad::reject("a score is a number from 0 to 100");
    return {};
  };
  rules.select = [](std::span<kad::found_record const> all) {
    std::size_t best = 0;  // all of them were accepted, so each has a score
    for (std::size_t i = 1; i < all.size(); ++i)
      if (*score_in(all[i].value) > *score_in(all[best].value)) best = i;
    return std::vector<std::size_t>{best};
  };
  return rules;
}

coro::task<int> play(kad::node& a, kad::node& b, kad::node& c, kad::node& careless) {
  std::vector<kad::node*> const members = {&b, &c, &careless};
  for (kad::node* const each : members) {
    auto const joined = co_await each->join();
    if (!joined) std::cout << joined.error().message() << '\n';
  }
  std::string const key = "/scores/chess";
  std::vector<std::pair<kad::node*, char const*>> const scores_of = {{&a, "71"}, {&b, "93"}, {&c, "88"}};
  for (auto const& [who, score] : scores_of) {
    auto const put = co_await who->put(as_bytes(key), as_bytes(score));
    std::cout << score << ": " << (put ? put->explain() : put.error().message()) << '\n';
  }
  auto const wrong = co_await a.put(as_bytes(key), as_bytes("a lot"));
  std::cout << "by one that obeys: " << (wrong ? wrong->explain() : wrong.error().message()) << '\n';
  kad::put_options one;
  one.quorum = kad::quorum::one();
  auto const refused = co_await careless.put(as_bytes(key), as_bytes("1000"), one);
  std::cout << "by one that does not: " << (refused ? refused->explain() : refused.error().message()) << '\n';

  kad::get_options all;
  all.quorum = kad::quorum::all();
  auto const got = co_await c.get(as_bytes(key), all);
  bool good = got && got->records().size() == 1 && !wrong && refused && !refused->ok();
  if (good) {
    std::cout << "the score: " << kadoro::as_text(got->records()[0].value.value) << '\n';
    good = kadoro::as_text(got->records()[0].value.value) == "93";
  }
  std::cout << "refused here: " << a.validator_counts().refused << '\n';
  for (kad::node* const each : members) {
    co_await each->close();
  }
  co_await a.close();
  co_return good ? 0 : 1;
}

int main() {
  kadoro::io::asio::context context;
  kad::node_options options;
  options.listen = kadoro::io::endpoint::parse("127.0.0.1:0").value();
  options.validators["/scores/"] = scores();
  auto const open = [&] {
    return kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
  };
  auto const a = open();
  options.bootstrap = a->addresses();
  auto const b = open();
  auto const c = open();
  options.validators.clear();
  auto const careless = open();
  return context.run(play(*a, *b, *c, *careless));
}
