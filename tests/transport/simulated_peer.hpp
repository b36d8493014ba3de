#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/world.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

/// Links like that everywhere.
inline kadoro::io::sim::link_policy delay_of(kadoro::duration delay, double loss = 0) {
  kadoro::io::sim::link_policy link;
  link.delay = delay;
  link.loss = loss;
  return link;
}

/// One end of a datagram transport on a simulated host, with a handler that records what happens to it.
struct simulated_peer final : kadoro::transport::handler {
  using message = kadoro::transport::message;
  using message_type = kadoro::transport::message_type;

  explicit simulated_peer(kadoro::io::sim::context& on, kadoro::transport::datagram::options how = {})
      : simulated_peer(on, kadoro::crypto::identity::generate(on.random()), how) {}

  simulated_peer(kadoro::io::sim::context& on, kadoro::crypto::identity const& self,
                 kadoro::transport::datagram::options how)
      : host(on), identity(self) {
    if (how.listen == kadoro::io::endpoint()) {
      how.listen = on.address();
      how.listen.set_port(4001);
    }
    transport = std::move(kadoro::transport::datagram::datagram_transport::open(on, book, identity, how).value());
    transport->set_handler(this);
  }

  /// How this end knows `other`, with its address.
  kadoro::transport::peer_ref knows(simulated_peer const& other) {
    auto const who = book.intern(kadoro::transport::peer_id::of_ed25519(other.identity.public_key()));
    who->add_address(kadoro::transport::multiaddr::datagram(other.transport->local(), std::nullopt), false);
    return who;
  }

  kadoro::result<message> ask(kadoro::transport::peer_ref to, message_type type, std::string const& key = "") {
    message request;
    request.type = type;
    request.key = kadoro::as_bytes(key);
    return host.run(transport->request(std::move(to), request));
  }

  kadoro::transport::handler::reply on_request(kadoro::transport::peer_ref const& from, message const& request,
                                               message& answer) override {
    served.push_back(request.type);
    last_from = from->id();
    if (silent) return reply::silence;
    answer.key = request.key;
    answer.contacts = contacts;
    if (request.contacts_cursor > 0) {
      answer.contacts_cursor = request.contacts_cursor - 1;
      answer.contacts.erase(answer.contacts.begin(),
                            answer.contacts.begin() + static_cast<std::ptrdiff_t>(answer.contacts_cursor));
    }
    if (refusing) answer.refusal = *refusing;
    if (on_serve) on_serve(request, answer);
    return reply::send;
  }
  void on_peer_confirmed(kadoro::transport::peer_ref const& who) override { confirmed.push_back(who->id()); }
  void on_peer_lost(kadoro::transport::peer_ref const& who, kadoro::error const& why) override {
    lost.push_back(who->id());
    lost_why.push_back(why.message());
  }

  void close() { host.run(transport->close()); }

  kadoro::io::sim::context& host;
  kadoro::crypto::identity identity;
  kadoro::transport::peer_book book;
  std::unique_ptr<kadoro::transport::datagram::datagram_transport> transport;
  std::vector<message_type> served;
  std::vector<kadoro::transport::peer_id> confirmed;
  std::vector<kadoro::transport::peer_id> lost;
  std::vector<std::string> lost_why;
  kadoro::transport::peer_list contacts;
  kadoro::transport::peer_id last_from;
  std::optional<kadoro::errc> refusing;
  std::function<void(message const& request, message& answer)> on_serve;
  bool silent = false;
};

inline kadoro::io::endpoint address_of(unsigned host) {
  return kadoro::io::endpoint::v4({10, 0, static_cast<std::uint8_t>(host >> 8), static_cast<std::uint8_t>(host)}, 4001);
}
