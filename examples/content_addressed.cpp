// Values by their own hash: four nodes, two of which put the same text. Anybody who has the hash finds it, and whoever
// holds a copy may be a stranger: a wrong one is noticed. It stays as long as one of those that have put it renews it.

#include <iostream>
#include <string>
#include <vector>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/kad/node.hpp"

namespace kad = kadoro::kad;
namespace coro = kadoro::coro;
using kadoro::as_bytes;

coro::task<int> play(kad::node& a, kad::node& b, kad::node& c, kad::node& d) {
  std::vector<kad::node*> const others = {&b, &c, &d};
  for (kad::node* const each : others) {
    auto const joined = co_await each->join();
    if (!joined) std::cout << joined.error().message() << '\n';
  }
  std::string const text = "the weights of a model, or a page of text";
  auto const key = kad::content_key(as_bytes(text));

  auto const put = co_await b.put_content(as_bytes(text));
  std::cout << "by one: " << (put ? put->explain() : put.error().message()) << '\n';
  auto const again = co_await c.put_content(as_bytes(text));
  std::cout << "by another: " << (again ? again->explain() : again.error().message()) << '\n';
  bool good = put && put->ok() && again && again->ok() && put->key() == again->key();

  auto const got = co_await d.get_content(key);
  std::cout << "read: " << (got ? got->explain() : got.error().message()) << '\n';
  good = good && got && got->found() && kadoro::as_text(got->value()) == text;

  auto const missing = co_await d.get_content(kad::content_key(as_bytes("something else")));
  std::cout << "something else: " << (missing ? missing->explain() : missing.error().message()) << '\n';
  good = good && missing && missing->outcome() == kad::get_outcome::not_found;

  // It is not withdrawn: this one only renews it no longer. The other one still does.
  good = good && b.release_content(key) && !b.release_content(key);
  for (kad::node* const each : others) {
    co_await each->close();
  }
  co_await a.close();
  co_return good ? 0 : 1;
}

int main() {
  kadoro::io::asio::context context;
  kad::node_options options;
  options.listen = kadoro::io::endpoint::parse("127.0.0.1:0").value();
  auto const open = [&] {
    return kad::node::open(context, kadoro::crypto::identity::generate(context.random()), options).value();
  };
  auto const a = open();
  options.bootstrap = a->addresses();
  auto const b = open();
  auto const c = open();
  auto const d = open();
  return context.run(play(*a, *b, *c, *d));
}
