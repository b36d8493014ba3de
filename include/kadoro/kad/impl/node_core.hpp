#pragma once

#include <map>
#include <memory>
#include <vector>

#include "kadoro/coro/scope.hpp"
#include "kadoro/kad/content.hpp"
#include "kadoro/kad/impl/dial_back.hpp"
#include "kadoro/kad/impl/watched_key.hpp"
#include "kadoro/kad/lookup.hpp"
#include "kadoro/kad/membership.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/kad/persistence.hpp"
#include "kadoro/kad/request_gate.hpp"
#include "kadoro/kad/sequencer.hpp"
#include "kadoro/kad/validator.hpp"
#include "kadoro/kad/watcher_table.hpp"

/// @file
/// What is behind `node`. Its bodies are in several files, one per job: impl/node_core.ipp (life), impl/node_server.ipp
/// (what others ask), impl/node_put.ipp and impl/node_get.ipp (what the user asks), impl/node_early.ipp (what is stored
/// on the way), impl/node_watch.ipp (what changes), impl/node_providers.ipp (who has which content),
/// impl/node_views.ipp (who else there is), impl/node_content.ipp (content by its hash), impl/node_reachability.ipp
/// (who can call us), impl/node_limits.ipp (what is too much), impl/node_region.ipp (who crowds around a key),
/// impl/node_maintenance.ipp (timers), impl/node_seeds.ipp (those that the options name), impl/node_islands.ipp (who
/// should know whom), impl/node_leave.ipp (what a leaver passes on).

namespace kadoro::inline KADORO_ABI::kad::detail {

/// Whether the peer has said hello and speaks libp2p's schema only: it knows no signatures, sequences and tombstones,
/// and keeps one record per key.
inline bool is_foreign(transport::peer const& who) noexcept {
  return who.mode != peer_mode::unknown && (who.features & transport::transport::feature_signed_records) == 0;
}

/// Somebody has told where it can be reached, and it was neither heard nor found silent yet.
inline bool worth_meeting(transport::peer const& who) noexcept {
  return who.last_heard == time_point() && who.unanswered == 0 && !who.addresses().empty();
}

/// What the counts of a get amount to.
inline get_outcome outcome_of(get_result::state const& seen) noexcept {
  if (!seen.records.empty()) return get_outcome::found;
  if (seen.invalid > 0 && seen.withdrawn.empty()) return get_outcome::only_invalid;
  if (seen.answered > 0 || !seen.withdrawn.empty()) return get_outcome::not_found;
  if (seen.refused > 0) return get_outcome::refused;
  return seen.unanswered > 0 ? get_outcome::timed_out : get_outcome::nobody_to_ask;
}

/// A lookup gives up peers that others find silent, before its own requests to them have failed: where nobody has said
/// anything, these are who did not answer.
inline void conclude(get_result::state& seen, lookup const* seek) {
  seen.outcome = outcome_of(seen);
  if (seen.outcome != get_outcome::nobody_to_ask || seek == nullptr || seek->silent() == 0) return;
  seen.unanswered = seek->silent();
  seen.outcome = get_outcome::timed_out;
  seen.cause = "none of the " + std::to_string(seen.unanswered) + " that were asked has answered";
}

class node_core final : public std::enable_shared_from_this<node_core>, private transport::handler {
 public:
  KADORO_DECL static result<std::shared_ptr<node_core>> open(io::context& context, crypto::identity const& self,
                                                             node_options const& options);
  KADORO_DECL ~node_core();

  KADORO_DECL coro::task<result<void>> join();
  KADORO_DECL coro::task<result<put_receipt>> put(kadoro::bytes key, kadoro::bytes value, put_options how,
                                                  std::uint32_t flags);
  KADORO_DECL coro::task<result<get_result>> get(kadoro::bytes key, get_options how);
  KADORO_DECL coro::task<result<put_receipt>> provide(multihash content, put_options how);
  KADORO_DECL coro::task<result<put_receipt>> unprovide(multihash content, put_options how);
  KADORO_DECL coro::task<result<providers_result>> get_providers(multihash content, get_options how);
  KADORO_DECL coro::task<result<content_result>> get_content(kadoro::bytes key, get_options how);
  KADORO_DECL bool release_content(bytes_view key);
  KADORO_DECL coro::task<result<peer_list>> find_closest(kadoro::bytes key);
  KADORO_DECL coro::task<result<void>> ping(peer_ref to);
  KADORO_DECL result<watch> watch_key(bytes_view key);
  /// Runs `work` until the node closes; drops it if that has begun.
  void run_job(coro::task<void> work) { jobs_.spawn(std::move(work)); }
  static constexpr duration max_hand_over = std::chrono::seconds(2);
  /// Closes without a caller who waits; keeps itself alive until that is done.
  KADORO_DECL void close_behind();
  /// Closes, and holds on to the core until that is done.
  KADORO_DECL static coro::task<void> close_and_release(std::shared_ptr<node_core> core, time_point hand_over_until);
  /// Closes behind, and waits for that until `limit` has passed.
  KADORO_DECL static coro::task<result<void>> close_within(std::shared_ptr<node_core> core, duration limit);
  bool closed() const noexcept { return leaving_; }
  bool settled() const noexcept { return settled_; }
  KADORO_DECL std::vector<peer_id> holders(bytes_view key) const;
  KADORO_DECL reachability reachability_now() const;

  /// What the limits of this node have refused, one `name=value` a word.
  KADORO_DECL std::string refusals_text() const;

  std::size_t k() const noexcept { return options_.table.k; }

  io::context& context_;
  crypto::identity self_;
  peer_id id_;
  node_options options_;
  transport::peer_book book_;
  std::unique_ptr<transport::transport> transport_;
  routing_table table_;
  verified_cache verified_;
  lookup::company asked_alone_;
  record_store store_;
  watcher_table watchers_;
  request_gate gate_;
  membership members_;
  validator_set validators_;
  std::unique_ptr<persistence> kept_;  ///< null: nothing is kept
  /// Behind those that the options name stands whom this node knew when it last ran, until it has looked around.
  peer_list seeds_;
  std::size_t named_seeds_ = 0;
  std::vector<node_observer*> observers_;

 private:
  /// A record that this node publishes, and keeps alive.
  struct publication {
    struct share {
      peer_ref to;
      std::shared_ptr<coro::event> done;
    };

    record what;
    put_options how;
    pooled_set<peer_id> holders;         ///< who confirmed this very sequence
    pooled_map<peer_id, share> sharing;  ///< who is being given it on the way
    time_point next_renewal{};
    time_point put_at{};
    bool busy = false;  ///< a job is at work on it
  };

  static constexpr std::size_t max_renewals = 64;  ///< under way at once
  static constexpr std::size_t max_checks = 64;    ///< of peers by hearsay, under way at once

  /// A peer that was lost, for `check_dead`.
  struct dead_peer {
    peer_ref peer;
    time_point since;
    time_point next_check;
  };

  /// What one peer said to a put or a renew.
  struct store_answer {
    replica::state now = replica::state::no_answer;
    std::optional<errc> refusal;
    bool durable = false;
    std::string why;
    std::uint64_t newer = 0;  ///< the sequence of ours that it holds instead, if that is verified and higher
  };

  node_core(io::context& context, crypto::identity const& self, node_options const& options);
  KADORO_DECL result<void> open_sequences();
  KADORO_DECL coro::task<void> close(time_point hand_over_until);
  KADORO_DECL static coro::task<void> close_until(std::shared_ptr<node_core> core, time_point due);

  // transport::handler, in impl/node_server.ipp
  KADORO_DECL reply on_request(peer_ref const& from, transport::message const& request,
                               transport::message& answer) override;
  KADORO_DECL void on_peer_confirmed(peer_ref const& who) override;
  KADORO_DECL void on_peer_lost(peer_ref const& who, error const& why) override;
  KADORO_DECL void answer_contacts(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL static void leave_out_passed(transport::message const& request, transport::message& answer);
  static constexpr std::size_t most_in_answer_bytes = 64 << 10;  ///< no message holds more
  KADORO_DECL void answer_records(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL void accept_record(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL record_store::put_result accept_signed(peer_ref const& from, transport::message const& request);
  KADORO_DECL record_store::put_result accept_unsigned(peer_ref const& from, transport::message const& request);
  KADORO_DECL bool acceptable(record const& what);

  // impl/node_limits.ipp
  KADORO_DECL void place_again(record const& what, duration after);
  KADORO_DECL bool turned_away(peer_ref const& from, transport::message const& request, transport::message& answer);

  // impl/node_region.ipp
  KADORO_DECL double estimated_servers() const;
  KADORO_DECL double due_closer(key const& where, key const& id) const;
  KADORO_DECL std::size_t region_width(lookup const& seek) const;
  KADORO_DECL static coro::task<void> seek_region(node_core& core, lookup& seek, lookup::visitor& sees);

  // impl/node_providers.ipp
  KADORO_DECL kadoro::bytes own_addresses() const;
  KADORO_DECL bool provide_again(publication const& outdated);
  KADORO_DECL static coro::task<store_answer> provide_at_foreign(node_core& core, record const& what, peer_ref to);
  KADORO_DECL void answer_providers(peer_ref const& from, transport::message const& request,
                                    transport::message& answer);
  KADORO_DECL void accept_provider(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL static kadoro::bytes addresses_of(wire::peer const& entry);

  // impl/node_reachability.ipp
  KADORO_DECL void check_reachability(time_point now);
  KADORO_DECL peer_ref next_helper();
  KADORO_DECL static coro::task<void> dial_back_job(node_core& core, peer_ref helper);
  KADORO_DECL void take_dial_back_done(peer_ref const& from, transport::message const& request);
  KADORO_DECL void take_knock(peer_ref const& from, transport::message const& request);
  KADORO_DECL void end_dial_back(time_point now);
  KADORO_DECL void answer_dial_back(peer_ref const& from, transport::message const& request,
                                    transport::message& answer);
  KADORO_DECL static coro::task<void> help_job(node_core& core, peer_ref asker, io::endpoint where,
                                               kadoro::bytes nonce);
  KADORO_DECL void answer_knock_request(peer_ref const& from, transport::message const& request,
                                        transport::message& answer);
  // impl/node_content.ipp
  class content_collector;
  KADORO_DECL static coro::task<std::optional<store_answer>> objection_to_content(node_core& core, peer_ref to);
  KADORO_DECL void accept_content(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL void accept_content_renewal(transport::message const& request, transport::message& answer);
  KADORO_DECL void answer_content(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL static coro::task<void> content_job(node_core& core, kadoro::bytes key, get_options how, bool local,
                                                  std::shared_ptr<get_result::state> state);
  KADORO_DECL static coro::task<void> repair_content(node_core& core, content_collector const& seen,
                                                     lookup const& seek);

  // impl/node_put.ipp
  class put_guard;
  KADORO_DECL static coro::task<void> put_job(node_core& core, record what, put_options how,
                                              std::shared_ptr<put_receipt::state> state);
  KADORO_DECL static coro::task<void> store_replica(node_core& core, record const& what, std::size_t index,
                                                    std::shared_ptr<put_receipt::state> state, std::uint64_t& newer,
                                                    bool last_round);
  KADORO_DECL static coro::task<store_answer> ask_to_store(node_core& core, record const& what, peer_ref to, bool renew,
                                                           bool durable);
  KADORO_DECL static coro::task<bool> await_durable(node_core& core, record const& what, peer_ref to);
  KADORO_DECL static coro::task<result<transport::message>> hand_on(node_core& core, record const& what,
                                                                    duration remaining, peer_ref to);
  KADORO_DECL void note_foreign_copy(record const& what);
  KADORO_DECL peer_list replica_set(lookup const& seek) const;
  KADORO_DECL static coro::task<peer_list> find_replicas(node_core& core, bytes_view key, lookup& seek);
  KADORO_DECL result<record> next_record(bytes_view key, bytes_view value, put_options how, std::uint32_t flags);
  KADORO_DECL void publish(record const& what, put_options how);
  KADORO_DECL void end_publishing(kadoro::bytes const& key);
  KADORO_DECL bool superseded(bytes_view key, put_receipt::state const& by) const;
  KADORO_DECL static void decide(put_receipt::state& of);
  KADORO_DECL publication* published(bytes_view key) noexcept;
  KADORO_DECL publication* published(record const& what) noexcept;
  KADORO_DECL void unpublish(bytes_view key) noexcept;
  KADORO_DECL bool is_holder(record const& what, peer_id const& who) noexcept;
  KADORO_DECL void note_holder(record const& what, peer_id const& who, time_point asked, bool holds);

  // impl/node_early.ipp
  class sharing_visitor;
  KADORO_DECL void share_with(peer_ref const& who);
  KADORO_DECL void share_on_the_way(bytes_view key, peer_ref const& who);
  KADORO_DECL void share(publication& p, peer_ref const& who);
  KADORO_DECL bool probably_replica(key const& where, publication const& p, peer_ref const& who) const;
  KADORO_DECL static coro::task<void> share_job(node_core& core, record what, peer_ref to,
                                                std::shared_ptr<coro::event> done);
  KADORO_DECL void meet(peer_list const& strangers);
  KADORO_DECL void keep_holders(record const& what, peer_list const& set);
  KADORO_DECL static coro::task<store_answer> store_at(node_core& core, record const& what, peer_ref to, bool renew,
                                                       bool durable = false);

  // impl/node_get.ipp
  KADORO_DECL coro::task<result<get_result>> seek_records(kadoro::bytes key, get_options how, bool providers);
  class get_collector;
  KADORO_DECL bool looks_for_laggards() noexcept;
  KADORO_DECL static coro::task<void> get_job(node_core& core, kadoro::bytes key, get_options how, bool local,
                                              std::shared_ptr<get_result::state> state);
  KADORO_DECL static coro::task<void> repair(node_core& core, get_collector const& seen, lookup const& seek);

  // impl/node_watch.ipp
  struct news_batch;
  KADORO_DECL std::optional<news_batch> news_for(bytes_view key, peer_id const& watcher);
  KADORO_DECL void answer_watch(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL void tell_watchers();
  KADORO_DECL peer_list contacts_for(news_batch const& news, peer_ref const& to);
  KADORO_DECL static coro::task<void> push_job(node_core& core, watcher_table::push which);
  KADORO_DECL void take_own_word(watched_key& of);
  KADORO_DECL void on_store_change(bytes_view key, peer_id const& publisher, bool ended);
  KADORO_DECL void take_own_changes();
  KADORO_DECL void spread_changes();
  KADORO_DECL void find_holders(watched_key& of);
  KADORO_DECL static coro::task<void> watch_job(node_core& core, std::shared_ptr<watched_key> of, peer_ref at);
  KADORO_DECL static coro::task<void> ask_holder(node_core& core, std::shared_ptr<watched_key> const& of, peer_ref at);
  KADORO_DECL static coro::task<void> poll_holder(node_core& core, std::shared_ptr<watched_key> const& of, peer_ref at);
  KADORO_DECL void take_changes(watched_key& of, watched_key::holder& from, transport::message const& news);
  KADORO_DECL void take_record(watched_key& of, peer_id const& by, std::uint64_t round, wire::record const& w);
  KADORO_DECL static void learn_holders(watched_key& of, transport::message const& answer);
  KADORO_DECL watched_key::holder* watched_holder(bytes_view key, peer_ref const& who);
  KADORO_DECL void take_push(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL static coro::task<void> seek_holders(node_core& core, std::shared_ptr<watched_key> of);
  KADORO_DECL void review_watches(peer_ref const& who);
  KADORO_DECL void look_after_watches(time_point now);

  // impl/node_views.ipp
  KADORO_DECL void tell_views_soon();
  KADORO_DECL void tell_views();
  KADORO_DECL static coro::task<void> view_job(node_core& core, peer_ref to);
  KADORO_DECL void compare_views();
  KADORO_DECL static coro::task<void> compare_job(node_core& core, peer_ref with);
  KADORO_DECL void answer_view(peer_ref const& from, transport::message const& request, transport::message& answer);
  KADORO_DECL void confirm_placements(time_point now);

  // impl/node_maintenance.ipp
  KADORO_DECL void tick();
  KADORO_DECL void arm_tick();
  KADORO_DECL void renew_due(time_point now);
  KADORO_DECL void probe(time_point now);
  KADORO_DECL void look_around(time_point now);
  KADORO_DECL void look_soon();
  KADORO_DECL void remember_dead(peer_ref const& who);
  KADORO_DECL void check_dead(time_point now);
  KADORO_DECL void news_of(peer_ref const& who);
  KADORO_DECL void refresh(time_point now);
  KADORO_DECL void keep_contacts(time_point now);
  class renewal_guard;
  class placement_guard;
  KADORO_DECL static coro::task<void> renew_job(node_core& core, kadoro::bytes key);
  KADORO_DECL static coro::task<void> renew_holders(node_core& core, record const& what, peer_list const& holders);
  KADORO_DECL static coro::task<void> place_job(node_core& core, kadoro::bytes key);
  KADORO_DECL static coro::task<void> renew_at(node_core& core, record const& what, peer_ref to);
  KADORO_DECL static coro::task<void> place_at(node_core& core, record const& what, peer_ref to, std::uint64_t& newer);
  struct join_state {
    result<void> outcome;
    coro::event done;
  };
  KADORO_DECL static coro::task<void> join_job(node_core& core, std::shared_ptr<join_state> state);
  KADORO_DECL void start_settling();
  KADORO_DECL static coro::task<void> settle_in(node_core& core);
  KADORO_DECL static coro::task<void> seek_all(node_core& core, lookup& seek, lookup::visitor& sees);
  KADORO_DECL void check(peer_ref const& who);
  KADORO_DECL static coro::task<void> ping_job(node_core& core, peer_ref to);
  KADORO_DECL static coro::task<void> evict_job(node_core& core, peer_ref oldest, peer_ref newcomer);
  struct find_state {
    peer_list closest;
    coro::event done;
  };
  KADORO_DECL static coro::task<void> find_job(node_core& core, kadoro::bytes target, std::shared_ptr<find_state> state,
                                               peer_list beyond);
  KADORO_DECL static coro::task<void> hand_on_job(node_core& core, peer_ref to);
  KADORO_DECL bool in_charge_of(key const& where, peer_ref const& newcomer) const;
  KADORO_DECL bool belongs_to(key const& where, peer_ref const& newcomer) const;

  // impl/node_seeds.ipp
  struct seed_dial {
    time_point next{};
    duration wait{};
    bool away = false;  ///< it was not there when we looked
  };
  KADORO_DECL void dial_seeds(time_point now);
  KADORO_DECL void look_from(peer_ref const& who);

  // impl/node_leave.ipp
  struct legacy;
  struct succession;
  KADORO_DECL static coro::task<void> hand_over(node_core& core, time_point until);
  KADORO_DECL static coro::task<void> ask_who_stays(node_core& core, legacy& all);
  KADORO_DECL static coro::task<void> ask_whether_it_stays(node_core& core, legacy& all, peer_ref who);
  KADORO_DECL static coro::task<void> pass_on(node_core& core, legacy& all);
  KADORO_DECL peer_list possible_heirs(key const& where, peer_id const& publisher, std::size_t n) const;
  KADORO_DECL bool anybody_lacks(key const& where, peer_id const& publisher) const;
  KADORO_DECL succession heirs_of(key const& where, peer_id const& publisher, legacy const& all) const;
  KADORO_DECL peer_list neighbours(key const& of, std::size_t n) const;
  KADORO_DECL static coro::task<bool> bequeath(node_core& core, legacy& all, record const& what, duration remaining,
                                               peer_ref to);
  KADORO_DECL void answer_offer(transport::message const& request, transport::message& answer);

  // impl/node_islands.ipp
  static constexpr int deepest_refreshed = 10;  ///< of the buckets that are looked through
  class named_contacts;
  KADORO_DECL static coro::task<void> ask_beyond(node_core& core, lookup& seek, kadoro::bytes target, peer_list beyond);
  KADORO_DECL void introduce(lookup const& seek, named_contacts const& named, kad::key const& target);
  KADORO_DECL static coro::task<void> introduce_job(node_core& core, peer_ref to, peer_list others);
  KADORO_DECL void accept_introduction(peer_ref const& from, transport::message const& request,
                                       transport::message& answer);
  KADORO_DECL static coro::task<void> look_at_home(node_core& core, peer_list beyond);
  KADORO_DECL void look_through(peer_list const& beyond);
  KADORO_DECL kadoro::bytes target_in(int bucket);

  /// A timer that calls a member.
  template <void (node_core::*Member)()>
  struct alarm : coro::timer_node {
    explicit alarm(node_core& of) noexcept
        : timer_node([](timer_node& n) { (static_cast<alarm&>(n).owner.*Member)(); }), owner(of) {}
    node_core& owner;
  };
  static constexpr duration rest_before_verifying = std::chrono::milliseconds(5);
  KADORO_DECL void verify_idle();

  bool leaving_ = false;  ///< its user is done with it; it still answers others, and passes on what it holds
  bool closed_ = false;
  coro::event nothing_left_;
  bool settling_ = false;
  bool settled_ = false;
  bool comparing_ = false;  ///< views, with a member
  time_point opened_at_{};
  sequencer sequences_;
  pooled_map<kadoro::bytes, publication, bytes_less> publications_;
  std::pair<kadoro::bytes const, publication>* last_found_ = nullptr;  ///< of these: a put asks for it some 20 times
  pooled_map<kadoro::bytes, put_receipt::state*, bytes_less> newest_put_;  ///< of each key, while it runs
  std::map<kadoro::bytes, std::shared_ptr<watched_key>, bytes_less> watching_;
  pooled_map<kadoro::bytes, std::uint64_t, bytes_less>
      unconfirmed_;                                               ///< put without a lookup, with the view at that time
  pooled_vector<std::pair<kadoro::bytes, peer_id>> own_changes_;  ///< of keys that this node watches
  std::unique_ptr<news_batch> last_news_;                         ///< what an answer shows
  std::uint64_t crowded_ = 0;                                     ///< lookups of keys that others crowd around
  std::size_t renewals_ = 0;                                      ///< jobs under way
  std::vector<dead_peer> dead_;                                   ///< lately lost, the latest last
  pooled_set<peer_id> checking_;                                  ///< peers that are being pinged
  record_header last_held_;                                       ///< what a refusal shows
  dial_back dial_back_;
  std::optional<multiaddr> dial_back_address_;  ///< what an answer shows
  std::vector<record_store::held> held_;        ///< room for `answer_records` and `answer_providers`
  std::string last_objection_;                  ///< likewise, of a validator
  std::vector<seed_dial> dials_;                ///< one for each of `seeds_`
  time_point next_look_from_seeds_{};
  std::vector<peer_id> home_;                 ///< our neighbours, when we looked last
  std::map<peer_id, time_point> introduced_;  ///< to whom others were named lately
  time_point next_look_through_{};
  time_point next_probe_{};
  duration probe_interval_{};
  time_point next_refresh_{};
  time_point next_look_ = time_point::max();  ///< for our own neighbourhood
  duration look_interval_{};
  time_point last_tick_{};
  alarm<&node_core::tick> tick_{*this};
  alarm<&node_core::tell_views> views_{*this};
  time_point last_put_taken_{};
  std::uint64_t gets_ = 0;  ///< without a quorum
  time_point next_laggard_look_{};
  time_point views_told_at_{};
  duration views_pause_{};  ///< before they were told last
  alarm<&node_core::tell_watchers> push_{*this};
  alarm<&node_core::verify_idle> verify_{*this};
  coro::scope jobs_;
};

}  // namespace kadoro::inline KADORO_ABI::kad::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/node_content.ipp"
#include "kadoro/kad/impl/node_core.ipp"
#include "kadoro/kad/impl/node_early.ipp"
#include "kadoro/kad/impl/node_get.ipp"
#include "kadoro/kad/impl/node_islands.ipp"
#include "kadoro/kad/impl/node_leave.ipp"
#include "kadoro/kad/impl/node_limits.ipp"
#include "kadoro/kad/impl/node_maintenance.ipp"
#include "kadoro/kad/impl/node_providers.ipp"
#include "kadoro/kad/impl/node_put.ipp"
#include "kadoro/kad/impl/node_reachability.ipp"
#include "kadoro/kad/impl/node_region.ipp"
#include "kadoro/kad/impl/node_seeds.ipp"
#include "kadoro/kad/impl/node_server.ipp"
#include "kadoro/kad/impl/node_views.ipp"
#include "kadoro/kad/impl/node_watch.ipp"
#endif
