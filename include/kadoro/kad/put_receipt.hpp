#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/kad/trace.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// What became of the record at one peer of the replica set.
struct replica {
  enum class state : std::uint8_t { asked, stored, refused, no_answer };

  peer_id peer;
  state now = state::asked;
  std::string why;              ///< refused or unanswered: the cause, in words
  std::optional<errc> refusal;  ///< refused: the cause, for programs
  bool durable = false;         ///< stored, and it says that it is on its disk
};

/// What a put has done: who stored the record, who did not and why. A put is decided when its quorum is met or cannot
/// be met any more; the receipt stays live until the last answer, and copies of it share what they show.
class put_receipt {
 public:
  enum class read_back : std::uint8_t { not_asked, under_way, found, not_found };

  /// What a receipt says.
  struct facts {
    facts(bytes_view of, time_point start) : key(to_bytes(of)), steps("put", of, start) {}

    kadoro::bytes key;
    std::uint64_t sequence = 0;
    std::size_t replicas_wanted = 0;
    std::size_t needed = 1;
    bool wants_durable = false;       ///< the quorum is one of durable copies
    pooled_vector<replica> replicas;  ///< the replica set R: the closest known and not proven dead
    read_back reading = read_back::not_asked;
    std::optional<error> failure;  ///< why nobody was even asked
    trace steps;
  };

  /// What the copies share.
  struct state : facts {
    using facts::facts;
    explicit state(facts const& of) : facts(of) {}

    coro::event decided;
    coro::event settled;
  };

  explicit put_receipt(std::shared_ptr<state> shared) noexcept : state_(std::move(shared)) {}

  /// Whether as many peers as needed have confirmed that they stored the record.
  bool ok() const noexcept { return stored() >= state_->needed; }

  /// Under which it was put: of content, the hash that names it.
  kadoro::bytes const& key() const noexcept { return state_->key; }
  std::uint64_t sequence() const noexcept { return state_->sequence; }
  /// |R|: how many peers the record was meant for. Self never counts.
  std::size_t population() const noexcept { return state_->replicas.size(); }
  std::size_t needed() const noexcept { return state_->needed; }
  std::size_t stored() const noexcept { return count(replica::state::stored); }
  /// How many of these have said that it is on their disks: neither a crash of the process nor of the machine loses it.
  /// Nobody says so who was not asked: see `put_options::durable`.
  KADORO_DECL std::size_t durable() const noexcept;
  std::size_t refused() const noexcept { return count(replica::state::refused); }
  std::size_t unanswered() const noexcept { return count(replica::state::no_answer); }
  /// R, the replicas that were wanted; `population()` may be smaller in a small swarm.
  std::size_t replicas_wanted() const noexcept { return state_->replicas_wanted; }
  /// Fewer peers than wanted exist: less redundancy, but no failure.
  bool degraded() const noexcept { return population() < replicas_wanted(); }
  read_back reading() const noexcept { return state_->reading; }

  pooled_vector<replica> const& replicas() const noexcept { return state_->replicas; }
  /// What was asked, and what came of it, as of now.
  KADORO_DECL trace steps() const;

  /// Completes when the last peer has answered or been given up. Cancellable.
  KADORO_DECL coro::task<result<void>> settled() const;

  /// A copy of its own, as of now, that nothing changes any more: it may go to another thread.
  KADORO_DECL put_receipt snapshot() const;

  /// One sentence: `stored on 4 of 3 needed (4 asked)`, or what is wrong, with key-independent cause and what to do.
  KADORO_DECL std::string explain() const;

 private:
  KADORO_DECL std::size_t count(replica::state s) const noexcept;

  std::shared_ptr<state> state_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/put_receipt.ipp"
#endif
