#pragma once

#include <memory>
#include <string>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/kad/routing_table.hpp"
#include "kadoro/kad/trace.hpp"
#include "kadoro/transport/transport.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// One iterative lookup (Maymounkov and Mazieres 2002, section 2.3): asks the closest known peers, learns closer ones
/// from their answers, and ends when the `width` closest have answered or are not worth waiting for.
///
/// Where the routing table holds at most k servers, the whole wave is asked at once; else `alpha` at a time, and all
/// the rest of it once the `alpha` closest have answered. A peer that takes longer than its own retransmission timeout
/// frees its place, but its answer still counts. One whose round-trip time is unknown is slow when it takes three times
/// as long as the farthest of those that are known or have answered, for each round trip that a first contact takes:
/// the first to answer are the nearest, and say little of the others.
///
/// Who has many addresses in one range does not crowd out others: beyond the first few of a range, peers are asked, but
/// take nobody's place among the closest.
class lookup {
 public:
  static constexpr std::size_t alpha = 4;
  static constexpr std::size_t max_candidates = 256;
  static constexpr std::size_t max_pages = 1024;                          ///< of one peer's answer
  static constexpr std::size_t max_empty_pages = 2;                       ///< among them, which only promise more
  static constexpr duration longest_answer = std::chrono::seconds(10);    ///< of all pages, until its peer is slow
  static constexpr std::size_t max_suggestions = 40;                      ///< contacts taken from one peer
  static constexpr duration stranger_patience = std::chrono::seconds(1);  ///< at most, before it is slow

  ///     fresh --asked--> asked --slow--> slow
  ///                        \________________\---> answered | refused | failed
  enum class state : std::uint8_t { fresh, asked, slow, answered, refused, failed };

  struct candidate : coro::timer_node, pooled_object {
    candidate(lookup& of, peer_ref who, peer_ref by) noexcept;

    lookup& owner;
    peer_ref peer;
    peer_ref suggested_by;  ///< empty: known before
    key id;
    std::optional<std::uint64_t> range;  ///< that it counts against: as claimed, and once it has answered, as proved
    state now = state::fresh;
    bool tells_more = false;  ///< answered, and its next page of contacts is on its way
    time_point asked_at{};
    std::optional<errc> refusal;
    std::string why;  ///< refused or failed: the cause, in words
  };

  /// Sees every answer as it comes in.
  class visitor {
   public:
    /// A question is on its way to that peer.
    virtual void on_asked(candidate const&) {}
    /// True: enough, ask nobody else. What is under way is still heard. Called once for each page of an answer.
    virtual bool on_answer(candidate const& from, transport::message const& answer) = 0;
    /// A peer refused or did not answer; it has left the race.
    virtual void on_loss(candidate const&) {}
    /// All that the peer holds under the key has been seen. True: enough, as above.
    virtual bool on_answered(candidate const&) { return false; }
    /// Asked when nobody but slow peers is left to wait for, and somebody has answered: whether that is enough. If not,
    /// the lookup waits until they have answered or are proven dead.
    virtual bool content() const { return true; }

   protected:
    ~visitor() = default;
  };

  /// Whom the lookups of one node have asked alone in this turn of its loop. What goes to a near peer together wakes it
  /// once, and leaves joined where the system can: worth more than the place in a queue of so few.
  class company {
   public:
    static constexpr std::size_t max_together = 8;

    /// Whether another question may go along to that peer.
    bool takes_along(transport::peer const& who, time_point now) const noexcept {
      return last_ == &who && at_ == now && together_ < max_together;
    }
    void note(transport::peer const& who, time_point now) noexcept {
      together_ = takes_along(who, now) ? together_ + 1 : 1;
      last_ = &who;
      at_ = now;
    }

   private:
    transport::peer const* last_ = nullptr;  ///< compared only
    time_point at_{};
    std::size_t together_ = 0;
  };

  /// In order of distance.
  using candidate_list = pooled_vector<candidate const*>;

  /// What the closest in the race have come to.
  struct tally {
    std::size_t peers = 0;
    std::size_t answered = 0;
    bool all_asked = true;
  };

  /// `type` is find_node, get_value or get_providers, `target` what is hashed. Everything referred to, the bytes of
  /// `target` too, must outlive the lookup.
  KADORO_DECL lookup(coro::scheduler& scheduler, transport::transport& transport, routing_table& table,
                     transport::message_type type, bytes_view target, std::size_t width, trace& steps);

  /// Starts from the k closest of the table, and from `seeds` too as long as that has fewer than `k` contacts.
  KADORO_DECL void start_from(std::size_t k, std::span<peer_ref const> seeds);

  /// `who`, of whom `by` has told, joins the race.
  void suggest(peer_ref const& who, peer_ref const& by) { add(who, by); }

  /// Asks only the `n` closest as long as they may be enough; the others of the race once all of those have answered or
  /// are not worth waiting for.
  void ask_first(std::size_t n) noexcept { wave_ = n; }

  /// Asks one of the `n` closest alone, as long as it may be enough: of those that are not much farther away than the
  /// nearest, the one that was asked last, if `with` takes another question along and it is less than a millisecond
  /// away, else the closest. All others follow once it has answered, or is not worth waiting for. `with` outlives the
  /// lookup.
  void ask_one_of(std::size_t n, company& with) noexcept {
    one_of_ = n;
    company_ = &with;
  }

  /// Asks for the content-addressed record under the target, and for nothing else that may be there.
  void ask_for_content() noexcept { asks_for_content_ = true; }

  /// Completes when the lookup has ended; cancellable. Nothing of it runs on afterwards.
  KADORO_DECL coro::task<void> run(visitor& sees);

  /// The closest candidates that are still in the race, at most `n`, in order of distance. Of one address range only
  /// the first few count as close; the others are taken where nobody else is left.
  KADORO_DECL candidate_list closest(std::size_t n) const;
  /// Of those.
  KADORO_DECL tally count_closest(std::size_t n) const;
  /// How many were asked, and have neither answered nor refused.
  KADORO_DECL std::size_t silent() const noexcept;
  /// All that are still in the race and count as close, in order of distance.
  KADORO_DECL candidate_list racing() const;
  std::size_t width() const noexcept { return width_; }
  key const& target() const noexcept { return target_key_; }
  /// From the next `run` on the race is for so many, at least.
  KADORO_DECL void widen(std::size_t width) noexcept;
  pooled_vector<std::unique_ptr<candidate>> const& candidates() const noexcept { return candidates_; }

 private:
  /// What one of them has told so far.
  struct progress_of {
    std::size_t step = 0;  ///< of the trace
    std::size_t contacts = 0;
    std::size_t records = 0;
    std::size_t empty_pages = 0;
  };

  KADORO_DECL static coro::task<void> ask(lookup& l, candidate& c, visitor& sees);
  KADORO_DECL std::size_t note_asked(candidate const& c);
  KADORO_DECL transport::message question(candidate const& c) const;
  KADORO_DECL bool take_page(candidate& c, result<transport::message> const& answer, transport::message& request,
                             progress_of& so_far, visitor& sees);
  KADORO_DECL void take_loss(candidate& c, result<transport::message> const& answer, std::size_t step, visitor& sees);
  KADORO_DECL void conclude(candidate& c, progress_of const& so_far, visitor& sees);
  KADORO_DECL void add(peer_ref const& who, peer_ref const& by);
  KADORO_DECL void start_more(coro::scope& asks, visitor& sees);
  KADORO_DECL candidate* likely_quick();
  KADORO_DECL bool start(coro::scope& asks, candidate& c, visitor& sees);
  KADORO_DECL void be_patient(candidate& c);
  KADORO_DECL bool has_patience(candidate const& c) const;
  KADORO_DECL void hurry_strangers();
  KADORO_DECL void take_answered(candidate& c, visitor& sees);
  KADORO_DECL bool next_page_matters(peer_list const& page) const;
  template <class Take>
  void take_closest(std::size_t n, Take take) const;
  KADORO_DECL bool finished(visitor const& sees) const;
  KADORO_DECL bool dead(candidate const& c) const;
  KADORO_DECL bool races(candidate const& c) const;
  KADORO_DECL std::optional<std::uint64_t> claimed_range(transport::peer const& who) const;

  coro::scheduler& scheduler_;
  transport::transport& transport_;
  routing_table& table_;
  transport::message_type type_;
  bytes_view target_;
  key target_key_;
  std::size_t width_;
  std::size_t wave_;        ///< how many of the closest are asked now; at most `width_`
  std::size_t one_of_ = 0;  ///< of how many one is asked alone; 0: it was not enough, or nobody wanted that
  company* company_ = nullptr;
  trace& steps_;
  std::size_t parallel_ = alpha;
  bool asks_for_content_ = false;
  duration farthest_{};  ///< the longest round trip of those in the race
  bool begun_ = false;
  bool enough_ = false;
  bool hopeless_ = false;  ///< everybody we start from was lost lately: then they are all there is
  pooled_vector<std::unique_ptr<candidate>> candidates_;  // by distance, closest first
  transport::range_tally per_range_;                      ///< of all candidates, as they claimed
  coro::event progress_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/lookup.ipp"
#endif
