#include "attack.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/world.hpp"
#include "kadoro/kad/node.hpp"
#include "observed_transport.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;
using kad::peer_id;

namespace {

constexpr std::size_t seeds = 3;
constexpr std::size_t publishers = 20;
constexpr std::size_t readers = 10;  // of each
constexpr char const* captured_key = "captured";

std::uint8_t low(std::size_t number) { return static_cast<std::uint8_t>(number); }

io::endpoint honest_address(std::size_t index) { return io::endpoint::v4({45, low(index >> 8), low(index), 1}, 4001); }

io::endpoint sybil_address(std::size_t index, std::size_t ranges) {
  if (ranges == 0) return io::endpoint::v4({46, low(index >> 8), low(index), 1}, 4001);
  return io::endpoint::v4({47, 0, low(index % ranges), low(1 + index / ranges)}, 4001);
}

/// One host with a node.
struct resident {
  resident(io::sim::world& in, io::endpoint const& where, crypto::identity who)
      : address(where), host(in, where), self(std::move(who)), id(peer_id::of_ed25519(self.public_key())) {}

  void open(kad::node_options options) {
    options.listen = address;
    node = std::move(kad::node::open(host, self, options).value());
    host.spawn(join(*node));
  }
  static coro::task<void> join(kad::node& n) {
    auto const joined = co_await n.join();
    static_cast<void>(joined);
  }
  kad::multiaddr where() const { return kad::multiaddr::datagram(address, id); }

  io::endpoint address;
  io::sim::context host;
  crypto::identity self;
  peer_id id;
  std::unique_ptr<kad::node> node;
};

/// Answers as its owner likes: it knows sybils only, holds nothing, and says that it has stored whatever it is given.
class sybil final : private idle_witness {
 public:
  sybil(io::sim::world& in, io::endpoint const& where, crypto::identity who,
        std::vector<std::unique_ptr<sybil>> const& all)
      : body(in, where, std::move(who)), all_(all) {}

  void open(kad::node_options options) {
    options.transport = [this](io::context& context, transport::peer_book& book, crypto::identity const& self,
                               kad::node_options const& from) -> result<std::unique_ptr<transport::transport>> {
      auto opened = kad::open_datagram(context, book, self, from);
      if (!opened) return fail(opened.error());
      witness& eyes = *this;
      return std::unique_ptr<transport::transport>(std::make_unique<observed_transport>(std::move(*opened), eyes));
    };
    body.open(std::move(options));
  }

  resident body;

 private:
  bool on_request(peer_ref const&, message const& request, message& answer, reply& how) override {
    how = reply::send;
    switch (request.type) {
      case message_type::put_value:
      case message_type::replicate:
      case message_type::renew: return true;
      case message_type::find_node:
      case message_type::get_value: break;
      default: return false;
    }
    kad::key const wanted = kad::key::of(request.key);
    std::vector<sybil*> others;
    for (auto const& each : all_)
      if (each.get() != this) others.push_back(each.get());
    std::sort(others.begin(), others.end(), [&wanted](sybil const* a, sybil const* b) {
      return wanted.closer(kad::key::of(a->body.id), kad::key::of(b->body.id));
    });
    for (std::size_t i = request.contacts_cursor; i < std::min<std::size_t>(others.size(), 20); ++i) {
      peer_ref const who = body.node->peer_of(others[i]->body.id);
      if (who->addresses().empty()) who->add_address(kad::multiaddr::datagram(others[i]->body.address), true);
      answer.contacts.push_back(who);
    }
    answer.contacts_cursor = request.contacts_cursor;
    return true;
  }

  std::vector<std::unique_ptr<sybil>> const& all_;
};

/// So many identities as lie closest to `target` of a few thousand: what a minute on one core finds.
std::vector<crypto::identity> grind(kad::key const& target, std::size_t count, random_source& random) {
  std::size_t const tries = std::max<std::size_t>(10'000, 100 * count);
  std::vector<std::pair<kad::key, crypto::identity>> made;
  made.reserve(tries);
  for (std::size_t i = 0; i < tries; ++i) {
    auto who = crypto::identity::generate(random);
    kad::key const where = kad::key::of(peer_id::of_ed25519(who.public_key()));
    made.emplace_back(where, std::move(who));
  }
  std::sort(made.begin(), made.end(),
            [&target](auto const& a, auto const& b) { return target.closer(a.first, b.first); });
  std::vector<crypto::identity> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(std::move(made[i].second));
  return out;
}

coro::task<void> put(resident& by, std::string key, std::size_t& asked) {
  auto const receipt = co_await by.node->put(as_bytes(key), as_bytes("value"));
  if (receipt) asked += receipt->population();
}

coro::task<void> get(resident& by, std::string key, std::set<peer_id>& found) {
  auto const got = co_await by.node->get(as_bytes(key));
  if (!got) co_return;
  for (kad::found_record const& f : got->records()) found.insert(f.value.publisher);
}

/// Keys so close to `target` that whoever lies around that lies around them: one for each publisher.
std::vector<std::string> keys_around(kad::key const& target) {
  static constexpr int common_bits = 13;
  std::vector<std::string> out;
  for (std::size_t i = 0; out.size() < publishers; ++i) {
    std::string key = std::string(captured_key) + "/" + std::to_string(i);
    if (kad::key::of(as_bytes(key)).common_prefix(target) >= common_bits) out.push_back(std::move(key));
  }
  return out;
}

class battlefield {
 public:
  battlefield(attack_settings const& how, std::uint64_t seed) : how_(how), world_(seed), random_(seed ^ 0x617474u) {
    io::sim::link_policy link;
    link.delay = 20ms;
    world_.set_link(link);
    options_.replicas = how.replicas;
    options_.max_region = how.use_region ? options_.max_region : 0;
    if (!how.limit_ranges)
      options_.table.max_per_range_in_bucket = options_.table.max_per_range_in_table =
          std::numeric_limits<std::size_t>::max();
  }
  ~battlefield() {
    for (auto const& each : sybils_) each->body.host.crash();
    for (auto const& each : honest_) each->host.crash();
  }

  attack_outcome capture() {
    settle();
    kad::key const target = kad::key::of(as_bytes(captured_key));
    invade(target);
    auto const keys = keys_around(target);
    for (std::size_t i = 0; i < publishers; ++i) any(i).host.spawn(put(any(i), keys[i], outcome_.asked_to_store));
    world_.run_for(20s);
    std::vector<std::set<peer_id>> found(publishers * readers);
    for (std::size_t i = 0; i < publishers; ++i) {
      std::size_t const copies = honest_copies(any(i), keys[i]);
      outcome_.honest_copies += copies;
      ++outcome_.puts;
      outcome_.puts_captured += copies == 0 ? 1u : 0u;
      for (std::size_t n = 0; n < readers;) {
        resident& reader = *honest_[static_cast<std::size_t>(random_.below(honest_.size()))];
        if (reader.node->store().sequence_of(as_bytes(keys[i]), any(i).id)) continue;  // it need ask nobody
        reader.host.spawn(get(reader, keys[i], found[i * readers + n++]));
      }
      world_.run_for(1s);
    }
    world_.run_for(20s);
    for (auto const& of_one : found) {
      ++outcome_.gets;
      outcome_.gets_captured += of_one.empty() ? 1u : 0u;
    }
    return finish();
  }

  attack_outcome eclipse() {
    settle();
    for (std::size_t i = 0; i < publishers; ++i)
      any(i).host.spawn(put(any(i), "data/" + std::to_string(i), outcome_.asked_to_store));
    auto victim =
        std::make_unique<resident>(world_, io::endpoint::v4({48, 0, 0, 1}, 4001), crypto::identity::generate(random_));
    invade(kad::key::of(victim->id));
    kad::node_options options = options_;
    options.bootstrap = {honest_[1]->where(), sybils_[0]->body.where(), honest_[2]->where()};
    victim->open(options);
    world_.run_for(40s);
    std::set<peer_id> evil;
    for (auto const& each : sybils_) evil.insert(each->body.id);
    victim->node->table().for_each([&](kad::contact const& c) {
      ++outcome_.contacts;
      outcome_.honest_contacts += evil.contains(c.peer->id()) ? 0u : 1u;
    });
    std::vector<std::set<peer_id>> found(publishers);
    for (std::size_t i = 0; i < publishers; ++i)
      victim->host.spawn(get(*victim, "data/" + std::to_string(i), found[i]));
    world_.run_for(30s);
    for (std::size_t i = 0; i < publishers; ++i) {
      ++outcome_.gets;
      outcome_.gets_captured += found[i].contains(any(i).id) ? 0u : 1u;
    }
    honest_.push_back(std::move(victim));
    return finish();
  }

 private:
  resident& any(std::size_t index) { return *honest_[seeds + index * (how_.nodes - seeds) / publishers]; }

  void settle() {
    for (std::size_t i = 0; i < how_.nodes; ++i) {
      honest_.push_back(std::make_unique<resident>(world_, honest_address(i), crypto::identity::generate(random_)));
      kad::node_options options = options_;
      for (std::size_t s = 0; s < std::min(i, seeds); ++s) options.bootstrap.push_back(honest_[s]->where());
      honest_.back()->open(options);
      world_.run_for(10ms);
    }
    world_.run_for(20s);
  }

  void invade(kad::key const& target) {
    auto identities = grind(target, how_.sybils, random_);
    for (std::size_t i = 0; i < identities.size(); ++i)
      sybils_.push_back(
          std::make_unique<sybil>(world_, sybil_address(i, how_.ranges), std::move(identities[i]), sybils_));
    kad::node_options options = options_;
    for (std::size_t s = 0; s < seeds; ++s) options.bootstrap.push_back(honest_[s]->where());
    for (auto const& each : sybils_) each->open(options);
    world_.run_for(40s);
  }

  std::size_t honest_copies(resident& of, std::string const& key) {
    std::size_t copies = 0;
    for (auto const& each : honest_)
      if (each.get() != &of && each->node->store().sequence_of(as_bytes(key), of.id)) ++copies;
    return copies;
  }

  attack_outcome finish() {
    std::set<peer_id> evil;
    for (auto const& each : sybils_) evil.insert(each->body.id);
    for (auto const& each : honest_)
      each->node->table().for_each(
          [&](kad::contact const& c) { outcome_.sybils_known += evil.contains(c.peer->id()) ? 1u : 0u; });
    return outcome_;
  }

  attack_settings how_;
  io::sim::world world_;
  chacha20_random random_;
  kad::node_options options_;
  std::vector<std::unique_ptr<resident>> honest_;
  std::vector<std::unique_ptr<sybil>> sybils_;
  attack_outcome outcome_;
};

double share(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

attack_outcome run_attack(attack_settings const& how, std::uint64_t seed) {
  battlefield field(how, seed);
  return how.what == attack_settings::aim::capture ? field.capture() : field.eclipse();
}

attack_outcome operator+(attack_outcome a, attack_outcome const& b) noexcept {
  a.puts += b.puts;
  a.puts_captured += b.puts_captured;
  a.honest_copies += b.honest_copies;
  a.asked_to_store += b.asked_to_store;
  a.gets += b.gets;
  a.gets_captured += b.gets_captured;
  a.contacts += b.contacts;
  a.honest_contacts += b.honest_contacts;
  a.sybils_known += b.sybils_known;
  return a;
}

nlohmann::ordered_json attack_outcome::to_json() const {
  return {{"puts", puts},
          {"puts_captured", share(puts_captured, puts)},
          {"copies_per_put", share(honest_copies, puts)},
          {"asked_per_put", share(asked_to_store, puts)},
          {"gets", gets},
          {"gets_captured", share(gets_captured, gets)},
          {"contacts", contacts},
          {"honest_contacts", share(honest_contacts, contacts)},
          {"sybils_known", sybils_known}};
}

}  // namespace kadoro_sim
