#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/backends.hpp"
#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/directory/swarm_directory.hpp"
#include "kadoro/io/udp_socket.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/transport/datagram/packet.hpp"

using namespace kadoro;
using namespace std::chrono_literals;

// What the simulator shows of single features, once more on the sockets of the system, on each backend.

namespace {

/// When a test gives up. Nothing is judged by it.
constexpr duration patience = 20s;

coro::task<bool> until(std::function<bool()> const& holds) {
  for (duration waited{}; waited < patience; waited += 10ms) {
    if (holds()) co_return true;
    auto const slept = co_await coro::sleep_for(10ms);
    if (!slept) break;
  }
  co_return holds();
}

/// Nodes on one context, the first of which all others call.
struct swarm {
  swarm(io::context& on, io_test::backend const& which)
      : context(on), listen(*io::endpoint::parse(which.address + ":0")) {}
  ~swarm() {
    for (auto const& n : nodes)
      if (n) context.run(n->close());
  }
  swarm(swarm const&) = delete;
  swarm& operator=(swarm const&) = delete;

  kad::node& add(kad::node_options how = {}) {
    how.listen = listen;
    if (!nodes.empty()) how.bootstrap = nodes.front()->addresses();
    nodes.push_back(std::move(kad::node::open(context, crypto::identity::generate(context.random()), how).value()));
    if (nodes.size() > 1) soon(nodes.back()->join());
    return *nodes.back();
  }
  kad::node& add_client(kad::node_options how = {}) {
    how.mode = kad::peer_mode::client;
    return add(how);
  }
  void close(std::size_t number) {
    context.run(nodes[number]->close());
    nodes[number].reset();
  }
  /// Everybody knows every server.
  void meet() {
    auto const is_server = [](auto const& n) { return n->mode() == kad::peer_mode::server; };
    auto const servers = static_cast<std::size_t>(std::count_if(nodes.begin(), nodes.end(), is_server));
    bool const met = context.run(until([this, is_server, servers] {
      return std::all_of(nodes.begin(), nodes.end(), [is_server, servers](auto const& n) {
        return n->table().size() == (is_server(n) ? servers - 1 : servers);
      });
    }));
    REQUIRE(met);
  }

  template <class T>
  T soon(coro::task<result<T>> work) {
    auto out = context.run(coro::with_deadline(std::move(work), patience));
    if (!out) FAIL(out.error().message());
    if constexpr (!std::is_void_v<T>) return std::move(*out);
  }
  kad::put_receipt put(kad::node& by, std::string const& key, std::string const& value, kad::put_options how = {}) {
    return soon(by.put(as_bytes(key), as_bytes(value), how));
  }
  kad::get_result get(kad::node& by, std::string const& key, kad::get_options how = {}) {
    return soon(by.get(as_bytes(key), how));
  }

  io::context& context;
  io::endpoint listen;
  std::vector<std::unique_ptr<kad::node>> nodes;
};

/// Calls `test(swarm&)` for each backend, with a swarm of nobody.
template <class Test>
void on_sockets(Test test) {
  io_test::on_each(io_test::real_backends(), [&test](io::context& context, io_test::backend const& which) {
    swarm all(context, which);
    test(all);
  });
}

constexpr kad::put_options everywhere{kad::quorum::all()};
constexpr kad::get_options of_all{kad::quorum::all()};

/// Values are numbers, and the highest is the one that counts.
kad::validator numbers() {
  kad::validator v;
  v.accept = [](kad::record const& what) -> result<void> {
    std::string_view const text = as_text(what.value);
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return kad::reject("no number");
    return {};
  };
  v.select = [](std::span<kad::found_record const> all) {
    auto const number = [](kad::found_record const& r) { return std::stoi(std::string(as_text(r.value.value))); };
    auto const best = std::max_element(all.begin(), all.end(),
                                       [number](auto const& a, auto const& b) { return number(a) < number(b); });
    return std::vector<std::size_t>{static_cast<std::size_t>(best - all.begin())};
  };
  return v;
}

/// Asks again and again. A node that has been told to wait does not even send it before.
coro::task<bool> put_until_served(kad::node& by) {
  for (duration waited{}; waited < patience; waited += 10ms) {
    auto const receipt = co_await by.put(as_bytes("one more"), as_bytes("value"));
    if (receipt && receipt->ok()) co_return true;
    auto const slept = co_await coro::sleep_for(10ms);
    if (!slept) break;
  }
  co_return false;
}

std::uint64_t counter(kad::node const& of, std::string const& name) {
  std::string const text = " " + of.counters_text();
  std::size_t const at = text.find(" " + name + "=");
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + name.size() + 2));
}

/// First flights with a right mac1 that do not decrypt, many more than a calm second has.
coro::task<void> flood(io::udp_socket& from, io::endpoint to, bool const& enough) {
  transport::datagram::swarm_keys const keys(std::nullopt);
  chacha20_random random(9);
  bytes what(transport::datagram::first_flight_bytes);
  while (!enough) {
    for (int i = 0; i < 40; ++i) {
      random.fill(what);
      what[0] = static_cast<std::uint8_t>(transport::datagram::packet_type::first_flight);
      what[1] = transport::datagram::protocol_version;
      keys.stamp(bytes_span(what).first(what.size() - transport::datagram::mac_bytes));
      from.send(to, what);
    }
    auto const slept = co_await coro::sleep_for(10ms);
    if (!slept) co_return;
  }
}

/// Of six servers one after another leaves, each time one that holds the record.
void leave_one_after_another(swarm& all, std::size_t replicas) {
  kad::node_options how;
  how.replicas = replicas;
  for (int i = 0; i < 6; ++i) all.add(how);
  kad::node& reader = all.add_client(how);
  kad::node& publisher = all.add_client(how);
  all.meet();
  CHECK(all.put(publisher, "key", "value", everywhere).stored() == replicas);
  kad::peer_id const by = publisher.id();
  all.close(7);  // nobody renews it
  auto const holders = [&all, &by] {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < 6; ++i)
      if (all.nodes[i] && all.nodes[i]->store().find(as_bytes("key"), by, all.context.now())) out.push_back(i);
    return out;
  };
  for (std::size_t left = 5; left > 0; --left) {
    auto const now = holders();
    REQUIRE_FALSE(now.empty());
    all.close(now.front());
    CAPTURE(left);
    CHECK(holders().size() >= std::min(replicas, left));
    auto const got = all.get(reader, "key");
    CAPTURE(got.explain());
    CHECK(got.found());
  }
  CHECK(reader.store().size() == 0);  // it never held it
}

}  // namespace

TEST_CASE("features on sockets: content is found by its hash by one who holds nothing, and not by another key") {
  on_sockets([](swarm& all) {
    for (int i = 0; i < 5; ++i) all.add();
    kad::node& reader = all.add_client();
    all.meet();
    bytes value(kad::record::max_value_bytes);
    chacha20_random(7).fill(value);
    auto const receipt = all.soon(all.nodes[1]->put_content(value, everywhere));
    CAPTURE(receipt.explain());
    CHECK(receipt.stored() == 4);
    CHECK(receipt.key() == to_bytes(kad::content_key(value)));
    CHECK(reader.store().size() == 0);
    auto const got = all.soon(reader.get_content(receipt.key()));
    CAPTURE(got.explain());
    REQUIRE(got.found());
    CHECK(equal(got.value(), value));

    bytes wrong = receipt.key();
    wrong.back() ^= 1;
    auto const missed = all.soon(reader.get_content(wrong));
    CHECK(missed.outcome() == kad::get_outcome::not_found);
    CHECK(missed.value().empty());
    CHECK(all.get(reader, std::string(as_text(receipt.key()))).outcome() == kad::get_outcome::not_found);  // no record
  });
}

TEST_CASE("features on sockets: holders refuse what their validator rejects, and a reader sees what it selects") {
  on_sockets([](swarm& all) {
    kad::node_options judging;
    judging.validators["/numbers/"] = numbers();
    for (int i = 0; i < 3; ++i) all.add(judging);
    kad::node& reader = all.add_client(judging);
    kad::node& loose = all.add_client();
    all.meet();

    auto const bad = all.put(loose, "/numbers/a", "twelve");
    CAPTURE(bad.explain());
    all.soon(bad.settled());
    CHECK_FALSE(bad.ok());
    CHECK(bad.refused() == 3);
    for (kad::replica const& r : bad.replicas()) {
      CHECK(r.refusal == errc::refused_validator);
      CHECK(r.why.find("no number") != std::string::npos);
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK(all.nodes[i]->store().size() == 0);
    CHECK(all.get(reader, "/numbers/a").outcome() == kad::get_outcome::not_found);
    CHECK(all.put(loose, "/words/a", "twelve", everywhere).ok());  // nobody's business
    auto const own = all.context.run(reader.put(as_bytes("/numbers/a"), as_bytes("twelve")));
    REQUIRE_FALSE(own.has_value());
    CHECK(own.error() == errc::refused_validator);

    CHECK(all.put(loose, "/numbers/b", "12", everywhere).ok());
    CHECK(all.put(*all.nodes[0], "/numbers/b", "7", everywhere).ok());
    CHECK(all.put(reader, "/numbers/b", "9", everywhere).ok());
    auto const best = all.get(reader, "/numbers/b", of_all);
    REQUIRE(best.records().size() == 1);
    CHECK(as_text(best.records()[0].value.value) == "12");
    CHECK(reader.validator_counts().unwanted == 2);
    CHECK(all.get(loose, "/numbers/b", of_all).records().size() == 3);  // it has no validator
  });
}

TEST_CASE("features on sockets: who asks too much is told when to ask again, and is served then; others all the time") {
  on_sockets([](swarm& all) {
    kad::node_options strict;
    strict.requests.writes = {8, 3};
    kad::node& server = all.add(strict);
    kad::node& greedy = all.add_client();
    kad::node& modest = all.add_client();
    all.meet();
    int served = 0;
    auto receipt = all.put(greedy, "key 0", "value");
    while (receipt.ok() && served < 60) receipt = all.put(greedy, "key " + std::to_string(++served), "value");
    CHECK(served >= 3);
    REQUIRE(receipt.replicas().size() == 1);
    kad::replica const& said = receipt.replicas()[0];
    CHECK(said.now == kad::replica::state::refused);
    CHECK(said.refusal == errc::refused_rate);
    CAPTURE(said.why);
    std::string const hint = "rate limited; may be asked again in ";
    std::size_t const at = said.why.find(hint);
    REQUIRE(at != std::string::npos);
    int const ms = std::stoi(said.why.substr(at + hint.size()));
    CHECK(ms > 0);
    CHECK(ms <= 125);  // what one of eight a second takes
    CHECK(counter(server, "refused_writes") > 0);

    CHECK(all.put(modest, "of another", "value").ok());  // in the same range, which has no limit here
    CHECK(all.get(greedy, "key 0").found());             // another kind of request
    bool const again = all.context.run(put_until_served(greedy));
    CHECK(again);
    CHECK(all.get(modest, "one more").found());
  });
}

TEST_CASE("features on sockets: holders leave one after another, and what they held is served at once after each") {
  on_sockets([](swarm& all) { leave_one_after_another(all, 2); });
}

TEST_CASE("features on sockets: the only holder leaves, and again, and what it held is served at once after each") {
  on_sockets([](swarm& all) { leave_one_after_another(all, 1); });
}

TEST_CASE("features on sockets: a directory names the least busy holder of each shard first, and is told of changes") {
  on_sockets([](swarm& all) {
    struct holding {
      std::uint32_t shard;
      std::uint32_t active_requests;
    };
    // Each request under way counts 20 ms, so that no round trip on this machine makes up for a hundred.
    std::vector<holding> const holdings = {{0, 100}, {0, 0}, {0, 400}, {1, 300}, {1, 100}};
    directory::directory_options about;
    about.cluster = "lab";
    about.total_shards = 3;
    std::vector<std::unique_ptr<directory::swarm_directory>> maps;  // the first holds nothing, it asks
    for (std::size_t i = 0; i <= holdings.size(); ++i) {
      all.add();
      maps.push_back(std::move(directory::swarm_directory::open(*all.nodes[i], about).value()));
    }
    all.meet();
    auto const announce = [&](std::size_t who, holding const& what) {
      auto text = maps[who]->describe(what.shard);
      text.capabilities.shard_loaded = true;
      text.capabilities.active_requests = what.active_requests;
      CHECK(all.soon(maps[who]->announce(std::move(text))).ok());
    };
    for (std::size_t i = 0; i < holdings.size(); ++i) announce(i + 1, holdings[i]);
    directory::swarm_directory const& map = *maps[0];
    auto const known = [&map](std::uint32_t shard, std::size_t count) {
      auto const best = map.best_holders(shard, 10);
      return best.size() == count && std::all_of(best.begin(), best.end(), [](directory::holder_view const& h) {
               return h.counts() && h.loaded && h.details;
             });
    };
    bool const ready = all.context.run(until([&] { return known(0, 3) && known(1, 2); }));
    REQUIRE(ready);

    auto const id = [&all](std::size_t i) { return all.nodes[i]->id(); };
    auto const order = [&map](std::uint32_t shard, std::size_t n) {
      std::vector<kad::peer_id> out;
      for (auto const& h : map.best_holders(shard, n)) out.push_back(h.peer);
      return out;
    };
    CHECK(order(0, 10) == std::vector{id(2), id(1), id(3)});
    CHECK(order(0, 2) == std::vector{id(2), id(1)});
    CHECK(order(1, 10) == std::vector{id(5), id(4)});
    CHECK(order(2, 10).empty());
    auto const cover = map.cover();
    REQUIRE(cover.choices.size() == 2);
    CHECK(cover.choices[0].holder.peer == id(2));
    CHECK(cover.choices[1].holder.peer == id(5));
    REQUIRE(cover.holes.size() == 1);
    CHECK(cover.holes[0].shard == 2);
    CHECK_FALSE(cover.complete());

    announce(2, {0, 900});
    auto const last = std::vector{id(1), id(3), id(2)};
    bool const changed = all.context.run(until([&] { return order(0, 10) == last; }));
    CHECK(changed);
    CHECK(map.cover().choices[0].holder.peer == id(1));
    for (auto const& each : maps) all.context.run(each->close());
  });
}

TEST_CASE("features on sockets: where first flights come too fast, a newcomer proves its address and is let in") {
  on_sockets([](swarm& all) {
    kad::node& server = all.add();
    all.add();
    CHECK(counter(*all.nodes[1], "cookies_taken") == 0);
    auto source = io::udp_socket::open(all.context, all.listen).value();
    bool enough = false;
    coro::scope work(all.context);
    work.abandon();
    work.spawn(flood(source, *server.addresses().front().udp_endpoint(), enough));
    bool const loaded = all.context.run(until([&server] { return counter(server, "cookies_given") > 0; }));
    REQUIRE(loaded);
    kad::node& newcomer = all.add();  // joins
    CHECK(counter(newcomer, "cookies_taken") > 0);
    CHECK(all.put(newcomer, "key", "value").ok());
    CHECK(all.get(*all.nodes[1], "key").found());
    enough = true;
    all.context.run(work.join());
  });
}
