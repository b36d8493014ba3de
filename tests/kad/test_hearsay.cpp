#include <doctest/doctest.h>

#include <algorithm>

#include "kadoro/base/random.hpp"
#include "passing_transport.hpp"
#include "simulated_swarm.hpp"

using namespace kadoro;
using namespace kadoro::kad;
using namespace std::chrono_literals;

namespace {

/// Peers that nobody has ever met: thousands of them, so that some are closer to any key than everybody else.
kadoro::transport::peer_list made_up(kadoro::transport::peer_book& book, std::size_t count) {
  chacha20_random random(5);
  kadoro::transport::peer_list out;
  for (std::size_t i = 0; i < count; ++i) {
    auto const id = peer_id::of_ed25519(crypto::identity::generate(random).public_key());
    out.push_back(book.intern(id));
    out.back()->add_address(multiaddr::datagram(simulated_swarm::address(1000 + i), id).without_peer(), true);
  }
  return out;
}

/// Datagrams of a node that names peers that do not exist, and nobody else.
class liar final : public passing_transport, private kadoro::transport::handler {
 public:
  liar(std::unique_ptr<transport> inner, kadoro::transport::peer_book& book)
      : passing_transport(std::move(inner)), fakes_(made_up(book, 300)) {}

  static transport_factory factory() {
    return [](io::context& context, kadoro::transport::peer_book& book, crypto::identity const& self,
              node_options const& options) -> result<std::unique_ptr<transport>> {
      auto inner = open_datagram(context, book, self, options);
      if (!inner) return fail(inner.error());
      return std::unique_ptr<transport>(std::make_unique<liar>(std::move(*inner), book));
    };
  }

  void set_handler(kadoro::transport::handler* to) noexcept override {
    handler_ = to;
    inner_->set_handler(to == nullptr ? nullptr : this);
  }

 private:
  reply on_request(peer_ref const& from, message const& request, message& answer) override {
    reply const how = handler_->on_request(from, request, answer);
    if (answer.contacts.empty()) return how;
    kad::key const where = kad::key::of(request.key);
    answer.contacts = fakes_;
    std::sort(answer.contacts.begin(), answer.contacts.end(), [&where](peer_ref const& a, peer_ref const& b) {
      return where.closer(kad::key(a->hash()), kad::key(b->hash()));
    });
    answer.contacts.resize(8);
    answer.contacts_cursor = 0;
    return how;
  }
  void on_peer_confirmed(peer_ref const& who) override { handler_->on_peer_confirmed(who); }
  void on_peer_lost(peer_ref const& who, error const& why) override { handler_->on_peer_lost(who, why); }

  kadoro::transport::handler* handler_ = nullptr;
  peer_list fakes_;
};

}  // namespace

TEST_CASE("hearsay: whom one peer makes up is no contact, no member, no result of a lookup, and no replica") {
  simulated_swarm swarm(81);
  node_options options;
  options.replicas = 3;
  options.table.k = 12;
  for (int i = 0; i < 5; ++i) swarm.add(options);
  node_options lies = options;
  lies.transport = liar::factory();
  swarm.add(lies);
  swarm.join_all();
  swarm.world.run_for(2s);
  std::set<peer_id> real;
  for (auto const& n : swarm.nodes) real.insert(n->id());

  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(swarm.nodes[i]->table().size() == 5);
    swarm.nodes[i]->table().for_each([&real](contact const& c) { CHECK(real.contains(c.peer->id())); });
    std::string const key = "key " + std::to_string(i);
    auto const found = swarm.hosts[i]->run(swarm.nodes[i]->find_closest(as_bytes(key)));
    REQUIRE(found.has_value());
    CHECK(found->size() == 5);
    for (peer_ref const& who : *found) CHECK(real.contains(who->id()));
    put_options all;
    all.quorum = quorum::all();
    auto const receipt = swarm.put(i, key, "value", all);
    CHECK(receipt.ok());
    CHECK(receipt.replicas().size() == 3);
    for (replica const& r : receipt.replicas()) CHECK(real.contains(r.peer));
  }
}
