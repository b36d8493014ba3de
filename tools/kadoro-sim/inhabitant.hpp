#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "kadoro/directory/swarm_directory.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/sim/world.hpp"
#include "kadoro/kad/node.hpp"

namespace kadoro_sim {

/// One host with a node, and a directory if it holds a shard.
struct inhabitant {
  /// Without `who` it draws an identity of its own.
  inhabitant(kadoro::io::sim::world& world, std::size_t index, std::optional<kadoro::crypto::identity> who = {})
      : address(kadoro::io::endpoint::v4({10, static_cast<std::uint8_t>(1 + (index >> 16)),
                                          static_cast<std::uint8_t>(index >> 8), static_cast<std::uint8_t>(index)},
                                         4001)),
        host(world, address),
        self(who ? *std::move(who) : kadoro::crypto::identity::generate(host.random())) {}

  void open(kadoro::kad::node_options options) {
    options.listen = address;
    node = std::move(kadoro::kad::node::open(host, self, options).value());
  }
  kadoro::kad::multiaddr where() const {
    return kadoro::kad::multiaddr::datagram(address, kadoro::kad::peer_id::of_ed25519(self.public_key()));
  }

  kadoro::io::endpoint address;
  kadoro::io::sim::context host;
  kadoro::crypto::identity self;
  std::unique_ptr<kadoro::kad::node> node;
  std::unique_ptr<kadoro::directory::swarm_directory> shards;
  bool joined = false;
};

}  // namespace kadoro_sim
