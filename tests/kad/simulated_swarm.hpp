#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/world.hpp"
#include "kadoro/kad/node.hpp"

/// Nodes on simulated hosts, the first of which everybody else bootstraps from.
struct simulated_swarm {
  explicit simulated_swarm(std::uint64_t seed, kadoro::duration delay = std::chrono::milliseconds(10)) : world(seed) {
    kadoro::io::sim::link_policy link;
    link.delay = delay;
    world.set_link(link);
  }
  ~simulated_swarm() { close_all(); }

  static kadoro::io::endpoint address(std::size_t index) {
    return kadoro::io::endpoint::v4(
        {10, 1, static_cast<std::uint8_t>(index >> 8), static_cast<std::uint8_t>(index & 255)}, 4001);
  }

  /// Adds a host with an open node; it does not join yet.
  kadoro::kad::node& add(kadoro::kad::node_options options = {}) {
    std::size_t const index = hosts.size();
    hosts.push_back(std::make_unique<kadoro::io::sim::context>(world, address(index + 1)));
    identities.push_back(kadoro::crypto::identity::generate(hosts.back()->random()));
    nodes.push_back(nullptr);
    start(index, options);
    return *nodes[index];
  }

  /// Opens the node of a host again, after `crash` or a close, with the same identity.
  void start(std::size_t index, kadoro::kad::node_options options = {}) {
    if (hosts[index]->crashed()) hosts[index] = std::make_unique<kadoro::io::sim::context>(world, address(index + 1));
    options.listen = address(index + 1);
    if (index > 0 && options.bootstrap.empty()) options.bootstrap = bootstrap();
    nodes[index] = std::move(kadoro::kad::node::open(*hosts[index], identities[index], options).value());
  }

  std::vector<kadoro::kad::multiaddr> bootstrap() const {
    return {kadoro::kad::multiaddr::datagram(address(1), kadoro::kad::peer_id::of_ed25519(identities[0].public_key()))};
  }

  /// Everybody but the first joins at the same instant; then the world runs until nothing more is learned.
  void join_all() {
    for (std::size_t i = 1; i < nodes.size(); ++i) hosts[i]->spawn(join(*nodes[i]));
    world.run_for(std::chrono::seconds(3));
  }

  /// The host loses power: nothing is said to anybody.
  void crash(std::size_t index) {
    hosts[index]->crash();
    nodes[index].reset();
  }

  kadoro::kad::put_receipt put(std::size_t from, std::string const& key, std::string const& value,
                               kadoro::kad::put_options how = {}) {
    return hosts[from]->run(nodes[from]->put(kadoro::as_bytes(key), kadoro::as_bytes(value), how)).value();
  }
  kadoro::kad::put_receipt withdraw(std::size_t from, std::string const& key, kadoro::kad::put_options how = {}) {
    return hosts[from]->run(nodes[from]->withdraw(kadoro::as_bytes(key), how)).value();
  }
  kadoro::kad::get_result get(std::size_t from, std::string const& key, kadoro::kad::get_options how = {}) {
    return hosts[from]->run(nodes[from]->get(kadoro::as_bytes(key), how)).value();
  }
  bool holds(std::size_t at, std::string const& key, std::size_t publisher) {
    return nodes[at]
        ->store()
        .find(kadoro::as_bytes(key), kadoro::kad::peer_id::of_ed25519(identities[publisher].public_key()), world.now())
        .has_value();
  }

  void close_all() {
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i] && !hosts[i]->crashed()) hosts[i]->run(nodes[i]->close());
  }

  kadoro::io::sim::world world;
  std::vector<std::unique_ptr<kadoro::io::sim::context>> hosts;
  std::vector<kadoro::crypto::identity> identities;
  std::vector<std::unique_ptr<kadoro::kad::node>> nodes;

 private:
  static kadoro::coro::task<void> join(kadoro::kad::node& n) {
    auto const joined = co_await n.join();
    static_cast<void>(joined);
  }
};
