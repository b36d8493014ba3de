#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kadoro/io/sim/world.hpp"
#include "kadoro/kad/content.hpp"
#include "kadoro/kad/node.hpp"
#include "observed_transport.hpp"
#include "plan.hpp"
#include "verdict.hpp"

namespace kadoro_sim {

using kadoro::kad::peer_id;

/// Clocks drift by 1 % at most; what is said of spans holds with half as much again.
constexpr kadoro::duration shortened(kadoro::duration life) noexcept {
  return life - life * 15 / 1000 - std::chrono::milliseconds(20);
}
constexpr kadoro::duration lengthened(kadoro::duration life) noexcept {
  return life + life * 15 / 1000 + std::chrono::milliseconds(20);
}

/// What one publisher says under one key. Content has none.
struct slot_name {
  kadoro::bytes key;
  peer_id publisher;

  friend bool operator<(slot_name const& a, slot_name const& b) noexcept {
    int const order = kadoro::compare(a.key, b.key);
    return order != 0 ? order < 0 : a.publisher < b.publisher;
  }
};

/// A copy of a record that an answer carried.
struct copy {
  peer_id publisher;
  std::uint64_t sequence = 0;
  bool tombstone = false;
  bool genuine = false;        ///< a correct publisher really said this
  bool known = false;          ///< the publisher is a correct member, so `genuine` can be judged
  kadoro::time_point until{};  ///< when the life that it stated ends; default: it stated none
};

/// What one peer said to a GET.
struct heard {
  peer_id from;
  kadoro::time_point asked_at;
  bool asked = true;      ///< not answered yet, or never
  bool complete = false;  ///< all its records came
  std::size_t pages = 0;  ///< that it answered with
  std::optional<kadoro::time_point> refused_at = {};
  std::vector<copy> copies;
};

/// One GET of the workload, as the oracle follows it.
struct get_watch {
  kadoro::bytes key;
  kadoro::time_point begun;
  bool majority = false;
  std::vector<heard> said;
  std::vector<std::size_t> in_order;  ///< of `said`: complete answers, as they came

  /// Of the `answered` peers that a result counts, those that had certainly told all: who pages without end is counted,
  /// too, once it is given up.
  std::size_t complete_of(std::size_t answered) const {
    auto const endless = static_cast<std::size_t>(
        std::count_if(said.begin(), said.end(), [](heard const& h) { return h.pages > 0 && !h.complete; }));
    return std::min(answered - std::min(answered, endless), in_order.size());
  }
};

/// One PUT of the workload, likewise: the last thing that each peer said to it.
struct put_watch {
  struct said {
    bool stored = false;
    bool refused = false;
    std::set<std::uint64_t> sequences;  ///< that it acknowledged
    kadoro::time_point stored_at{};     ///< when it last did
    bool lost = false;                  ///< did not answer when it was asked once more after that
  };
  kadoro::bytes key;
  kadoro::time_point begun;
  bool content = false;
  std::map<peer_id, said> answers;
};

/// Sees the whole world, and says when something is not as it should be. It follows every acknowledgement of every
/// correct member, so it knows who must hold what, and until when.
class oracle {
 public:
  oracle(kadoro::io::sim::world& world, plan const& of, verdict& into) noexcept
      : world_(world), plan_(of), verdict_(into), start_(world.now()) {}

  void passed(check what) noexcept { ++verdict_.checks[static_cast<std::size_t>(what)]; }
  void broke(check what, std::string detail);
  /// Counts the check, and ends the run if it failed. `detail` is only made then.
  template <class Detail>
  bool expect(bool holds, check what, Detail&& detail) {
    passed(what);
    if (!holds) broke(what, detail());
    return holds;
  }
  void injected(fault what, std::uint64_t times = 1) noexcept {
    verdict_.faults[static_cast<std::size_t>(what)] += times;
  }
  bool broken() const noexcept { return verdict_.broken.has_value(); }
  verdict& tally() noexcept { return verdict_; }
  double seconds(kadoro::time_point at) const noexcept { return std::chrono::duration<double>(at - start_).count(); }

  /// `who` starts. What it publishes is true; whether it keeps to the rest of the protocol, `lies` says.
  void begin_life(peer_id const& who, bool lies);
  /// A power cut, or a lie: what it acknowledged binds it no more.
  void end_life(peer_id const& who);
  /// `who` has just started with what its database had: everything that it called durable, and nothing that it had not.
  void on_reloaded(peer_id const& who, kadoro::kad::record_store& store, kadoro::time_point host_now);
  void on_disk_lost(peer_id const& who) { promises_.erase(who); }
  bool correct(peer_id const& who) const { return memories_.contains(who); }

  /// A request of `self` leaves, and ends.
  std::uint64_t on_asked(peer_id const& self, peer_ref const& to, message const& what);
  void on_answered(std::uint64_t number, kadoro::result<message> const& answer);
  void on_abandoned(std::uint64_t number);
  std::size_t open_requests() const noexcept { return requests_.size(); }

  /// A member has answered. `node` is its own.
  void on_served(peer_id const& self, kadoro::kad::node& node, peer_ref const& from, message const& request,
                 message const& answer, witness::reply how);
  /// A datagram arrives, from its sender or from somebody who passes it on. Only its first copy brings news.
  void on_arrived(kadoro::io::endpoint const& at, kadoro::bytes_view data, bool passed_on);
  bool news_now(kadoro::io::endpoint const& at, kadoro::time_point readable_since) const {
    auto const last = news_.find(at);
    if (last != news_.end() && last->second == world_.now()) return true;
    auto const again = again_.find(at);
    return again != again_.end() && again->second.at == world_.now() && again->second.first < readable_since;
  }

  void begin_get(peer_id const& self, get_watch& watch);
  void end_get(peer_id const& self, get_watch& watch, kadoro::kad::get_result const& got);
  void drop_get(peer_id const& self, get_watch const& watch) noexcept;

  void end_search(peer_id const& self, get_watch& watch, kadoro::kad::providers_result const& got);
  void end_content_get(peer_id const& self, get_watch& watch, kadoro::kad::content_result const& got);

  void begin_put(peer_id const& self, put_watch& watch);
  /// When the receipt has settled.
  void end_put(peer_id const& self, put_watch& watch, kadoro::kad::put_receipt const& receipt,
               kadoro::kad::quorum quorum);
  void drop_put(peer_id const& self, put_watch const& watch) noexcept;

  /// The user of `self` puts something under `key`, or has withdrawn it, by a tombstone of that sequence.
  void on_put(peer_id const& self, kadoro::bytes_view key) { withdrawn_.erase({kadoro::to_bytes(key), self}); }
  void on_withdrawn(peer_id const& self, kadoro::bytes_view key, std::uint64_t sequence);
  /// Whether its last word under `key` is below one of an earlier life, whose sequence it has lost.
  bool fell_back(peer_id const& publisher, kadoro::bytes_view key) const;
  /// The user of `self` puts content: from now on it has that, whatever others bring.
  void on_content_put(peer_id const& self, kadoro::bytes_view key) {
    own_contents_.emplace(self, kadoro::to_bytes(key));
  }

 private:
  /// What a publisher said under a key.
  struct statement {
    std::uint64_t sequence = 0;
    std::uint64_t value_hash = 0;
    bool tombstone = false;
    kadoro::duration lifetime{};
    kadoro::time_point said_at{};
    kadoro::time_point repeated_at{};  ///< last; by one that has lost its sequence, say
  };

  /// What one life of a member has acknowledged.
  struct held {
    std::uint64_t sequence = 0;
    bool tombstone = false;
    kadoro::duration lifetime{};
    kadoro::time_point acknowledged{};
    kadoro::time_point surely_until{};
    kadoro::time_point at_most_until{};
    kadoro::time_point remembered_until{};
  };
  using memory = std::map<slot_name, held>;

  struct open_request {
    peer_id self;
    peer_id to;
    message_type type{};
    kadoro::bytes key;
    std::uint64_t sequence = 0;
    kadoro::time_point asked_at{};
  };

  /// What a member has said to be on its disk, and until when it must know of that.
  struct promise {
    std::uint64_t sequence = 0;
    kadoro::time_point lives_until{};
    kadoro::time_point remembered_until{};
  };

  /// When the life of each copy ends at the latest, as somebody was told.
  using hearsay = std::map<std::pair<slot_name, std::uint64_t>, kadoro::time_point>;

  void note_statement(peer_id const& publisher, kadoro::wire::record const& what, kadoro::bytes_view key);
  bool was_ever_said(peer_id const& publisher, kadoro::bytes_view key, std::uint64_t value_hash) const;
  bool was_said(peer_id const& publisher, kadoro::bytes_view key, std::uint64_t sequence, std::uint64_t value_hash,
                bool tombstone) const;
  copy copy_of(kadoro::wire::record const& what, kadoro::bytes_view key) const;
  void accepted(peer_id const& self, kadoro::kad::record_store const& store, memory& in, peer_ref const& from,
                message const& request);
  void served(peer_id const& self, memory& in, message const& request, message const& answer);
  void accepted_content(peer_id const& self, kadoro::kad::record_store const& store, memory& in, peer_ref const& from,
                        message const& request, message const& answer);
  void served_content(peer_id const& self, memory& in, message const& request, message const& answer);
  void hands_on_content(peer_id const& self, message const& what);
  void reloaded_content(peer_id const& who, kadoro::kad::kept_slot const& kept, memory const& before,
                        kadoro::time_point host_now);
  void named_closest(peer_id const& self, kadoro::kad::routing_table const& table, peer_ref const& from,
                     message const& request, message const& answer);
  void publishes(peer_id const& self, message const& what);
  void hands_on(peer_id const& self, message const& what);
  void told(peer_id const& self, slot_name const& slot, std::uint64_t sequence, kadoro::time_point at_most_until);
  bool overtaken(peer_id const& self, get_watch const& watch, peer_id const& publisher, std::uint64_t sequence) const;
  /// By publisher, tombstones included.
  using sequences = std::map<peer_id, std::uint64_t>;
  std::optional<std::uint64_t> last_said(peer_id const& publisher, kadoro::bytes_view key,
                                         kadoro::bytes_view value) const;
  template <class Result>
  void judge_answers(peer_id const& self, get_watch const& watch, std::string const& text, sequences const& highest,
                     Result const& got);
  template <class Result>
  void judge_outcome(get_watch const& watch, Result const& got, bool found_any);
  std::string name(slot_name const& of) const;

  kadoro::io::sim::world& world_;
  plan const& plan_;
  verdict& verdict_;
  kadoro::time_point start_;
  std::map<peer_id, memory> memories_;                             ///< of correct members that live
  std::map<peer_id, std::map<slot_name, promise>> promises_;       ///< over all its lives
  std::map<peer_id, memory> last_memories_;                        ///< of its last life
  std::map<peer_id, kadoro::time_point> born_;                     ///< when the life of each began
  std::map<kadoro::io::endpoint, kadoro::time_point> news_;        ///< when the last came in
  std::set<std::pair<kadoro::io::endpoint, std::uint64_t>> seen_;  ///< hashes of datagrams, from their senders
  std::map<std::pair<kadoro::io::endpoint, std::uint64_t>, kadoro::time_point>
      seen_of_others_;  ///< that somebody passed on
  struct repeated {
    kadoro::time_point at;
    kadoro::time_point first;  ///< when its first copy came
  };
  std::map<kadoro::io::endpoint, repeated> again_;  ///< the last of those that came again
  std::set<peer_id> correct_ever_;                  ///< publishers whose statements can be judged
  std::map<slot_name, std::map<std::uint64_t, std::vector<statement>>> statements_;
  std::map<std::uint64_t, open_request> requests_;
  std::uint64_t next_request_ = 1;
  std::map<std::pair<peer_id, kadoro::bytes>, get_watch*> gets_;
  std::map<std::pair<peer_id, kadoro::bytes>, put_watch*> puts_;
  std::map<std::pair<peer_id, slot_name>, std::vector<std::pair<std::uint64_t, kadoro::time_point>>>
      acknowledgements_;                                      ///< by holder and slot, over all its lives
  std::map<peer_id, hearsay> hearsay_;                        ///< of this life of each
  std::map<slot_name, std::uint64_t> withdrawn_;              ///< by their users
  std::set<std::pair<peer_id, kadoro::bytes>> own_contents_;  ///< ever put by whom
};

}  // namespace kadoro_sim
