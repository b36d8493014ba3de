#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/crypto/identity.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/io/database.hpp"
#include "kadoro/io/storage.hpp"
#include "kadoro/kad/persistence_status.hpp"
#include "kadoro/kad/quorum.hpp"
#include "kadoro/kad/record_store.hpp"
#include "kadoro/kad/request_gate.hpp"
#include "kadoro/kad/routing_table.hpp"
#include "kadoro/kad/validator.hpp"
#include "kadoro/kad/watcher_table.hpp"
#include "kadoro/transport/transport.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using transport::multiaddr;
using transport::peer_mode;

struct node_options;

/// Makes the transport of a node, for its lifetime. Context and book outlive what it makes.
using transport_factory = std::function<result<std::unique_ptr<transport::transport>>(
    io::context&, transport::peer_book&, crypto::identity const&, node_options const&)>;

/// Encrypted UDP sessions: what a node uses if it is not told otherwise.
KADORO_DECL result<std::unique_ptr<transport::transport>> open_datagram(io::context& context,
                                                                        transport::peer_book& book,
                                                                        crypto::identity const& self,
                                                                        node_options const& options);

/// What a node is opened with. Copied; what is pointed to must outlive the node. The defaults, which are written here,
/// make a server that listens on all IPv4 addresses, takes any port, and waits to be called. Spans are `duration`s and
/// carry their unit; what is a number of bytes says so in its name.
struct node_options {
  static constexpr std::size_t default_replicas = 20;

  io::endpoint listen = {};  ///< UDP address and port; 0.0.0.0 or ::, all of the family; port 0, any free one
  std::optional<io::endpoint> also_listen = {};  ///< a second one, of the other family: IPv4 and IPv6 at once
  peer_mode mode = peer_mode::server;            ///< a client asks but does not store; never chosen silently
  std::vector<multiaddr> bootstrap = {};    ///< peers to start from, each with its /p2p; itself among them is no harm
  std::size_t replicas = default_replicas;  ///< r: on how many peers a record is put; 1 to k = `table.k`
  /// The secret of the swarm: strangers without it get no answer. Empty: an open swarm.
  std::optional<byte_array<32>> swarm_key = {};
  transport_factory transport = open_datagram;  ///< how requests travel
  store_limits store = {};                      ///< how much is kept for others
  table_options table = {};                     ///< how many contacts are kept
  request_limits requests = {};                 ///< how much one peer may ask for
  watch_limits watches = {};                    ///< how much is told to those who watch
  /// Where more peers crowd around a key than the size of the swarm explains, a record goes to all of the region that
  /// should hold r of them, at most so many, and is sought there too. 0: never.
  std::size_t max_region = 128;
  validators_by_prefix validators = {};  ///< what may stand under which keys, by how they begin; copied

  /// Where the sequence of this node's records survives a restart, under `sequence_blob`; null: it starts from 1, and
  /// catches up with what other nodes remember. Must outlive the node.
  io::storage* storage = nullptr;
  std::string sequence_blob = "sequence";

  /// What this node holds, whom it knows, and its sequence (instead of `storage`), kept across restarts: see
  /// `persistence`. Null: nothing is kept. Must outlive the node, and serve no other one.
  io::database* database = nullptr;
  kad::database_trouble database_trouble = kad::database_trouble::run_on;
  /// So long changes gather that nobody wants to be durable at once: what a crash may lose of these.
  duration database_gather = std::chrono::milliseconds(100);
};

/// How a record or a provider's entry is put. Trivial, so that it can be written in place.
struct put_options {
  kad::quorum quorum = quorum::majority();    ///< how many of the replicas must have stored it
  duration lifetime = std::chrono::hours(1);  ///< after the last renewal; this node renews every half of it
  bool read_back = false;                     ///< ask a replica for it once it is stored, and say so in the receipt
  /// Replicas with a database are to answer once it is on their disks, and the quorum is one of those that say so.
  /// Costs each of them a sync. A withdrawal waits for their disks in any case, but counts without them.
  bool durable = false;
};

/// How a record is sought.
struct get_options {
  /// `first` of nothing: the first valid copy ends the wait. Else how many of the closest peers must have answered.
  std::optional<kad::quorum> quorum = {};
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/node_options.ipp"
#endif
