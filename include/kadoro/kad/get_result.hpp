#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/coro/event.hpp"
#include "kadoro/kad/record.hpp"
#include "kadoro/kad/trace.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// How a get ended. Values to branch on, not texts to compare.
enum class get_outcome : std::uint8_t {
  found,          ///< at least one live record
  not_found,      ///< peers answered, and none of them holds one (or its publisher has withdrawn it)
  nobody_to_ask,  ///< no peer is known
  refused,        ///< everybody who answered refused
  timed_out,      ///< peers are known, nobody answered
  only_invalid    ///< copies were seen, but expired, with wrong signatures, or rejected by the key's validator
};

KADORO_DECL std::string_view to_string(get_outcome outcome) noexcept;

/// One publisher's record, as the answers had it. Whether the publisher signed it, `value.is_signed()` tells: if not,
/// it is only somebody's word that this is the publisher, which is empty where nobody was named.
struct found_record {
  record value;
  duration remaining{};     ///< of its life when the get was decided, by the most generous holder
  std::size_t holders = 0;  ///< how many of those asked hold this sequence (unsigned: this value), this node included
};

using found_records = pooled_vector<found_record>;

/// The answer to a get: records merged by the highest sequence of each publisher, and how sure that is. Of a publisher
/// whose signed record or tombstone was seen, unsigned copies are ignored.
class get_result {
 public:
  /// What a result says.
  struct facts {
    facts(bytes_view key, time_point start, bool of_providers = false)
        : providers(of_providers), steps(of_providers ? "get_providers" : "get", key, start) {}

    bool providers = false;  ///< what was sought: entries of providers, or records
    bool content = false;    ///< what was sought: the one content-addressed record

    get_outcome outcome = get_outcome::nobody_to_ask;
    found_records records;    ///< live ones, by publisher
    found_records withdrawn;  ///< tombstones: their publishers said that it is over
    std::size_t answered = 0;
    std::size_t refused = 0;
    std::size_t unanswered = 0;
    std::size_t heard = 0;     ///< of the r closest
    std::size_t needed = 1;    ///< of the r closest
    bool closed = false;       ///< the node closed before there was an answer
    std::size_t invalid = 0;   ///< copies that expired, did not verify, or were rejected
    std::size_t rejected = 0;  ///< of these, by the validator of the key's namespace
    std::string rejection;     ///< what it said of the last one
    std::string cause;         ///< of a refusal or a failure: who, and why
    trace steps;
  };

  /// What the copies share.
  struct state : facts {
    using facts::facts;
    explicit state(facts const& of) : facts(of) {}

    coro::event decided;
    coro::event settled;
  };

  explicit get_result(std::shared_ptr<state> shared) noexcept : state_(std::move(shared)) {}

  get_outcome outcome() const noexcept { return state_->outcome; }
  bool found() const noexcept { return outcome() == get_outcome::found; }

  /// Of every publisher the highest sequence among the answers, in the order of publishers.
  found_records const& records() const noexcept { return state_->records; }
  found_records const& withdrawn() const noexcept { return state_->withdrawn; }

  std::size_t answered() const noexcept { return state_->answered; }  ///< peers that answered, not counting this node
  /// Fewer of the r closest have answered than the quorum (else a majority) needs: a newer sequence is possible.
  /// Of content never, once it is found: there is no other.
  bool unconfirmed() const noexcept { return state_->heard < state_->needed && !(state_->content && found()); }
  /// Copies that were seen and do not count: expired, with a wrong signature, or rejected by the key's validator.
  std::size_t invalid() const noexcept { return state_->invalid; }
  std::size_t rejected() const noexcept { return state_->rejected; }
  /// What was asked, and what came of it, as of now.
  KADORO_DECL trace steps() const;

  /// A copy of its own, as of now, that nothing changes any more: it may go to another thread.
  KADORO_DECL get_result snapshot() const;

  /// One sentence that tells the true cause.
  KADORO_DECL std::string explain() const;

 private:
  std::shared_ptr<state> state_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/get_result.ipp"
#endif
