#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "kadoro/kad/node.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

/// Which nodes of a swarm are foreign, and what was said to them. Of two nodes one of which is foreign, both take the
/// other for foreign: it is libp2p's schema between them.
struct foreign_nodes {
  std::set<kadoro::kad::peer_id> ids;
  std::map<kadoro::transport::message_type, std::size_t> asked;  ///< of the requests between such two
  std::size_t foreign_fields = 0;                                ///< records in them that libp2p's schema could not say

  bool between(kadoro::kad::peer_id const& a, kadoro::kad::peer_id const& b) const {
    return ids.contains(a) || ids.contains(b);
  }
};

/// Datagrams, with handshakes that say what a foreign peer's would.
class foreign_transport final : public kadoro::transport::transport, private kadoro::transport::handler {
 public:
  using message = kadoro::transport::message;
  using peer_ref = kadoro::transport::peer_ref;

  foreign_transport(std::unique_ptr<kadoro::transport::transport> inner, kadoro::kad::peer_id const& self,
                    foreign_nodes& among)
      : inner_(std::move(inner)), self_(self), among_(among) {}

  static kadoro::kad::transport_factory factory(foreign_nodes& among) {
    return
        [&among](
            kadoro::io::context& context, kadoro::transport::peer_book& book, kadoro::crypto::identity const& self,
            kadoro::kad::node_options const& options) -> kadoro::result<std::unique_ptr<kadoro::transport::transport>> {
          auto inner = kadoro::kad::open_datagram(context, book, self, options);
          if (!inner) return kadoro::fail(inner.error());
          return std::unique_ptr<kadoro::transport::transport>(std::make_unique<foreign_transport>(
              std::move(*inner), kadoro::kad::peer_id::of_ed25519(self.public_key()), among));
        };
  }

  kadoro::coro::task<kadoro::result<message>> request(peer_ref to, message const& what) override {
    if (to->mode != kadoro::transport::peer_mode::unknown && among_.between(self_, to->id())) {
      ++among_.asked[what.type];
      if (what.record) {
        kadoro::wire::record const& r = *what.record;
        bool const plain = r.signature.empty() && r.sequence == 0 && r.lifetime_ms == 0 && r.flags == 0 &&
                           r.remaining_ms == 0 && r.value_hash.empty() && r.ttl_s > 0 && !r.publisher.empty() &&
                           !r.key.empty();
        if (!plain) ++among_.foreign_fields;
      }
    }
    return inner_->request(std::move(to), what);
  }
  void set_handler(handler* to) noexcept override {
    handler_ = to;
    inner_->set_handler(to == nullptr ? nullptr : this);
  }
  std::vector<kadoro::transport::multiaddr> listen_addresses() const override { return inner_->listen_addresses(); }
  kadoro::result<std::size_t> check_record_fits(kadoro::bytes_view key,
                                                kadoro::wire::record const& what) const override {
    return inner_->check_record_fits(key, what);
  }
  std::string counters_text() const override { return inner_->counters_text(); }
  kadoro::coro::task<void> close() override { return inner_->close(); }

 private:
  reply on_request(peer_ref const& from, message const& request, message& answer) override {
    return handler_->on_request(from, request, answer);
  }
  void on_peer_confirmed(peer_ref const& who) override {
    if (among_.between(self_, who->id())) who->features = 0;
    handler_->on_peer_confirmed(who);
  }
  void on_peer_lost(peer_ref const& who, kadoro::error const& why) override { handler_->on_peer_lost(who, why); }

  std::unique_ptr<kadoro::transport::transport> inner_;
  kadoro::kad::peer_id self_;
  foreign_nodes& among_;
  handler* handler_ = nullptr;
};
