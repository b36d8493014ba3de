#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/directory/directory_event.hpp"
#include "kadoro/directory/directory_options.hpp"
#include "kadoro/directory/holder_book.hpp"
#include "kadoro/directory/holder_ranking.hpp"
#include "kadoro/directory/shard_announcement.hpp"
#include "kadoro/directory/swarm_view.hpp"
#include "kadoro/kad/node.hpp"

namespace kadoro::inline KADORO_ABI::directory {

/// The map of a model's shards: says which shard this node holds, and finds who holds the others.
///
///     auto shards = directory::swarm_directory::open(*node, {.cluster = "lab", .total_shards = 8}, &observer);
///     auto receipt = co_await (*shards)->announce(what);
///     if ((*shards)->complete()) ...
///
/// It watches the key of the whole model, and asks for a shard's own key where that says nothing. A holder counts only
/// after it was contacted; once it has been silent for `contact_interval` it is pinged, and if that fails it is a
/// suspect and does not count. No two machines' clocks are ever compared.
///
/// Everything runs on the node's context. The node must outlive it. `close` before it goes; destroying an open one
/// stops it too, but asks nobody.
class swarm_directory final : private kad::node_observer {
 public:
  static constexpr std::size_t max_contacts_under_way = 64;
  static constexpr std::size_t max_fetches_under_way = 16;

  struct counters {
    std::uint64_t changes = 0;   ///< of marks, as the watch told them
    std::uint64_t fetches = 0;   ///< gets of a shard's own key
    std::uint64_t contacts = 0;  ///< pings
    std::uint64_t contacts_failed = 0;
    std::uint64_t refused_records = 0;  ///< announcements and marks that make no sense: see `last_refusal`
  };

  /// Starts to look at once. `observer` may be null, else must outlive the directory. Errors: `invalid_argument`,
  /// naming the option.
  KADORO_DECL static result<std::unique_ptr<swarm_directory>> open(kad::node& node, directory_options options,
                                                                   directory_observer* observer = nullptr);
  KADORO_DECL ~swarm_directory();
  swarm_directory(swarm_directory const&) = delete;
  swarm_directory& operator=(swarm_directory const&) = delete;

  /// An announcement of `shard` by this node, with what the options and the node say.
  KADORO_DECL shard_announcement describe(std::uint32_t shard) const;

  /// Puts `what` under its shard's key and its mark under the model's key, and keeps both alive until `withdraw` or
  /// until the node closes. Once more to say something else. Completes, with the receipt of the shard's key, when both
  /// puts are decided. Errors: those of `kad::node::put`; `invalid_argument` for an announcement that does not fit
  /// this node and these options.
  KADORO_DECL coro::task<result<kad::put_receipt>> announce(shard_announcement what);

  /// Puts tombstones under both keys. Completes when both are decided; at once if nothing was announced. Errors: those
  /// of `kad::node::withdraw`.
  KADORO_DECL coro::task<result<void>> withdraw();

  /// Who stores this node's announcement, as of now: the receipt and what became of it. Empty if there is none.
  KADORO_DECL std::vector<peer_id> stored_by() const;

  /// The holders of one shard, this node included, in the order of their ids.
  KADORO_DECL std::vector<holder_view> holders(std::uint32_t shard) const;
  /// All shards, as of now.
  KADORO_DECL swarm_view view() const;
  /// The `n` best holders of one shard, the best first: see `directory::best_holders`.
  std::vector<holder_view> best_holders(std::uint32_t shard, std::size_t n, ranking_options const& how = {}) const {
    return directory::best_holders(view(), shard, n, how);
  }
  /// Few peers that together hold the model, and the shards that nobody can be asked for: see `directory::cover`.
  shard_cover cover(ranking_options const& how = {}) const { return directory::cover(view(), how); }
  /// Every shard has a holder that is no suspect, or is this node.
  bool complete() const noexcept { return book_.complete(); }
  /// Complete, and every shard is loaded by somebody who was contacted, or by this node.
  bool ready() const noexcept { return book_.ready(); }

  directory_options const& options() const noexcept { return options_; }
  counters const& counts() const noexcept { return counters_; }
  /// Who tells this directory of changes, or why nobody does.
  std::string explain() const { return marks_.explain(); }
  /// The last record that made no sense, and why. Empty if there was none.
  std::string const& last_refusal() const noexcept { return last_refusal_; }

  /// Completes when nothing of this directory runs any more. Announcements stay: see `withdraw`. Idempotent.
  KADORO_DECL coro::task<void> close();

 private:
  /// When to ask for a shard's own key again.
  struct attempt {
    time_point next{};
    duration wait{};
    bool under_way = false;
    std::string said;  ///< how the last one ended, in words
  };

  swarm_directory(kad::node& node, directory_options options, kad::watch marks, directory_observer* observer);

  KADORO_DECL void on_peer_confirmed(kad::peer_ref const& who) override;
  KADORO_DECL void on_peer_lost(kad::peer_ref const& who, error const& why) override;

  KADORO_DECL static coro::task<void> watch_loop(swarm_directory& self);
  KADORO_DECL static coro::task<void> fetch(swarm_directory& self, std::uint32_t shard);
  KADORO_DECL static coro::task<void> contact_loop(swarm_directory& self);
  KADORO_DECL static coro::task<void> contact(swarm_directory& self, kad::peer_ref who);

  KADORO_DECL void absorb_mark(kad::watch_event const& from);
  KADORO_DECL void absorb_announcements(std::uint32_t shard, kad::get_result const& from);
  KADORO_DECL time_point start_fetches();
  KADORO_DECL void start_contacts(time_point& next);
  KADORO_DECL void refuse(error const& why);
  /// Something changed: tells the observer, and looks again soon.
  KADORO_DECL void settle(bool news);
  KADORO_DECL kad::put_options put_options() const noexcept;

  kad::node& node_;
  io::context& context_;
  directory_options options_;
  std::string shards_key_;
  kad::watch marks_;
  holder_book book_;
  std::map<std::uint32_t, attempt> attempts_;  ///< of shards that are not known, or not known well
  std::size_t fetches_under_way_ = 0;
  std::size_t contacts_under_way_ = 0;
  std::uint32_t next_fetch_ = 0;  ///< where the round of shards goes on
  std::string last_refusal_;
  counters counters_;
  std::vector<kad::peer_ref> goodbyes_;  ///< heard in the receive path, looked at later
  coro::event look_now_;
  std::optional<std::uint32_t> announced_;
  bool closed_ = false;
  coro::scope jobs_;
};

}  // namespace kadoro::inline KADORO_ABI::directory

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/directory/impl/swarm_directory.ipp"
#endif
