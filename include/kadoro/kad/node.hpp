#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kadoro/crypto/identity.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/kad/content.hpp"
#include "kadoro/kad/get_result.hpp"
#include "kadoro/kad/node_options.hpp"
#include "kadoro/kad/provider.hpp"
#include "kadoro/kad/put_receipt.hpp"
#include "kadoro/kad/reachability.hpp"
#include "kadoro/kad/watch.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {
class node_core;
}

/// Hears what happens to peers. Called on the context's thread.
class node_observer {
 public:
  virtual void on_peer_confirmed(peer_ref const& who) = 0;
  virtual void on_peer_lost(peer_ref const& who, error const& why) = 0;

 protected:
  ~node_observer() = default;
};

/// A member of a Kademlia network: it answers others (as a server), and puts and gets records for its user.
///
///     auto node = kad::node::open(context, identity, {.listen = ..., .bootstrap = {...}});
///     auto joined = co_await (*node)->join();
///     auto receipt = co_await (*node)->put(key, value);
///
/// Everything runs on the context's thread. Any number of operations may run at once. Keys and values are copied.
/// Destroying an open node is safe, and says so on standard error: it closes behind the scenes, without waiting. The
/// context must outlive it.
class node {
 public:
  /// Binds the port. Errors: those of `io::context::open_udp`; `invalid_argument` for a bootstrap address without
  /// /p2p or of another transport, naming it; those of the storage; those of the database, if they are to matter.
  KADORO_DECL static result<std::unique_ptr<node>> open(io::context& context, crypto::identity const& self,
                                                        node_options const& options);
  KADORO_DECL ~node();
  node(node const&) = delete;
  node& operator=(node const&) = delete;

  /// Completes when a lookup of this node's own id has ended and at least one server answered: then others know this
  /// node, and it knows its neighbours. Goes on trying in the background when it fails. Errors: `unreachable` (no
  /// bootstrap address, and nobody has called us), or why each of them failed.
  KADORO_DECL coro::task<result<void>> join();

  /// Puts a signed record under `key`, on the `replicas` closest peers, and keeps it alive until `withdraw` or `close`.
  /// Completes when the quorum is met or cannot be met; the receipt says which, and who stored it. With nobody to
  /// store it, it is kept here and pushed as soon as somebody appears. Errors: `too_large` (naming the limit),
  /// `invalid_argument`, `closed`, `cancelled` (the put itself goes on). A quorum that is not met is no error: see
  /// `put_receipt::ok`.
  KADORO_DECL coro::task<result<put_receipt>> put(bytes_view key, bytes_view value, put_options how = {});

  /// Replaces this node's record under `key` by a tombstone of `lifetime` and stops renewing it.
  KADORO_DECL coro::task<result<put_receipt>> withdraw(bytes_view key, put_options how = {});

  /// Finds the records of all publishers under `key`. The outcome tells the six cases apart. Errors: `closed`,
  /// `cancelled`, `invalid_argument`.
  KADORO_DECL coro::task<result<get_result>> get(bytes_view key, get_options how = {});

  /// Puts `value` under its own hash, as `put` does a record: without signature, publisher and sequence, whoever puts
  /// it too. `receipt.key()`, which is `content_key(value)`, is what `get_content` wants. Errors: those of `put`;
  /// `invalid_argument` if this node publishes a record under those bytes.
  KADORO_DECL coro::task<result<put_receipt>> put_content(bytes_view value, put_options how = {});

  /// Finds the value with that hash. The first copy whose hash is right ends the wait; with a quorum so many of the
  /// closest are asked all the same, and those of them that lack it get it. Errors: those of `get`.
  KADORO_DECL coro::task<result<content_result>> get_content(bytes_view key, get_options how = {});

  /// This node no longer renews that content: its copies run out unless somebody else renews them. Nobody can withdraw
  /// it. False if this node has not put it.
  KADORO_DECL bool release_content(bytes_view key);

  /// Says that this node has `content`, on the `replicas` closest peers, and keeps on saying it until `unprovide` or
  /// `close`; if it dies, the entry runs out. The receipt says who has noted it, as `put`'s does. Peers that speak
  /// libp2p's schema only are told by ADD_PROVIDER; they count as stored once they name this node when asked. Errors:
  /// those of `put`; `invalid_argument` if this node publishes a record under the bytes of that multihash.
  KADORO_DECL coro::task<result<put_receipt>> provide(multihash const& content, put_options how = {});

  /// Withdraws that, as `withdraw` does a record.
  KADORO_DECL coro::task<result<put_receipt>> unprovide(multihash const& content, put_options how = {});

  /// Finds who has `content`. Unlike `get` it waits for a majority of the closest if `how` says nothing else, because
  /// each of them may know other providers. Errors: those of `get`.
  KADORO_DECL coro::task<result<providers_result>> get_providers(multihash const& content,
                                                                 get_options how = {quorum::majority()});

  /// Looks for the servers closest to `key`, which is hashed, and completes with up to `k` of them that have answered,
  /// closest first. Errors: `closed`, `cancelled`, `unreachable` (nobody to ask, or nobody answers).
  KADORO_DECL coro::task<result<peer_list>> find_closest(bytes_view key);

  /// The records under `key` as they come and go, from those that are there on. Up to four of the nodes closest to the
  /// key tell this one of every change; polled are those that do not know how to. Errors: `closed`, `invalid_argument`,
  /// `queue_full`.
  KADORO_DECL result<kad::watch> watch(bytes_view key);

  /// Asks a peer for a sign of life. Errors: those of `transport::request`; `refused`.
  KADORO_DECL coro::task<result<void>> ping(peer_ref to);

  /// Says goodbye to everybody and completes when nothing of this node runs any more. Idempotent.
  KADORO_DECL coro::task<void> close();

  /// The same, and completes always, at the latest when `limit` has passed: what was not said by then is abandoned, and
  /// what does not end when it is asked to goes on without anybody. With a limit of zero there is time for goodbyes
  /// only. Errors: `timed_out` (something was left), `cancelled` (the close itself goes on). The node may be destroyed
  /// either way.
  KADORO_DECL coro::task<result<void>> close(duration limit);

  KADORO_DECL peer_id const& id() const noexcept;
  KADORO_DECL peer_mode mode() const noexcept;
  KADORO_DECL std::size_t replicas() const noexcept;
  /// Where others can dial this node, with its /p2p.
  KADORO_DECL std::vector<multiaddr> addresses() const;
  KADORO_DECL io::context& context() const noexcept;
  KADORO_DECL routing_table const& table() const noexcept;
  KADORO_DECL record_store& store() noexcept;
  /// Who has confirmed that it holds what this node publishes under `key`, this very sequence: the receipt of the put,
  /// as renewals and peers that came later have changed it. Empty if this node publishes nothing there.
  KADORO_DECL std::vector<peer_id> holders(bytes_view key) const;
  /// The interned peer, known or not.
  KADORO_DECL peer_ref peer_of(peer_id const& id);
  /// Servers known and not proven dead, this node not counted.
  KADORO_DECL std::size_t servers() const noexcept;
  /// Whether this node has looked around since it joined until nobody new was found: before, `servers()` is no measure
  /// of the swarm.
  KADORO_DECL bool settled() const noexcept;
  /// What the validators of `node_options::validators` have said.
  KADORO_DECL validator_counters const& validator_counts() const noexcept;
  /// Whether what this node holds survives a crash, and what that takes.
  KADORO_DECL persistence_status persistence() const;
  /// Whether others can call this node, as far as it can know, and why.
  KADORO_DECL kad::reachability reachability() const;
  /// What the transport and the context have counted, and what the limits of this node have refused, one `name=value` a
  /// word.
  KADORO_DECL std::string counters_text() const;

  /// `who` must be removed before it goes.
  KADORO_DECL void add_observer(node_observer& who);
  KADORO_DECL void remove_observer(node_observer& who) noexcept;

 private:
  friend class node_handle;
  explicit node(std::shared_ptr<detail::node_core> core) noexcept : core_(std::move(core)) {}
  std::shared_ptr<detail::node_core> core_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/node.ipp"
#endif
