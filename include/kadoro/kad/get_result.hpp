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
  only_invalid    ///< copies were seen, but expired or with wrong signatures
};

KADORO_DECL std::string_view to_string(get_outcome outcome) noexcept;

/// One publisher's record, as the answers had it. Whether the publisher signed it, `value.is_signed()` tells: if not,
/// it is only somebody's word that this is the publisher, which is empty where nobody was named.
struct found_record {
  record value;
  duration remaining{};     ///< of its life when the get was decided, by the most generous holder
  std::size_t holders = 0;  ///< how many of those asked hold this sequence (unsigned: this value), this node included
};

/// The answer to a get: records merged by the highest sequence of each publisher, and how sure that is. Of a publisher
/// whose signed record or tombstone was seen, unsigned copies are ignored.
class get_result {
 public:
  struct state {
    state(bytes_view key, time_point start) : steps("get", key, start) {}

    get_outcome outcome = get_outcome::nobody_to_ask;
    std::vector<found_record> records;    ///< live ones, by publisher
    std::vector<found_record> withdrawn;  ///< tombstones: their publishers said that it is over
    std::size_t answered = 0;
    std::size_t refused = 0;
    std::size_t unanswered = 0;
    std::size_t heard = 0;    ///< of the r closest
    std::size_t needed = 1;   ///< of the r closest
    bool closed = false;      ///< the node closed before there was an answer
    std::size_t invalid = 0;  ///< copies that expired or did not verify
    std::string cause;        ///< of a refusal or a failure: who, and why
    trace steps;
    coro::event decided;
    coro::event settled;
  };

  explicit get_result(std::shared_ptr<state> shared) noexcept : state_(std::move(shared)) {}

  get_outcome outcome() const noexcept { return state_->outcome; }
  bool found() const noexcept { return outcome() == get_outcome::found; }

  /// Of every publisher the highest sequence among the answers, in the order of publishers.
  std::vector<found_record> const& records() const noexcept { return state_->records; }
  std::vector<found_record> const& withdrawn() const noexcept { return state_->withdrawn; }

  std::size_t answered() const noexcept { return state_->answered; }  ///< peers that answered, not counting this node
  /// Fewer of the r closest have answered than the quorum (else a majority) needs: a newer sequence is possible.
  bool unconfirmed() const noexcept { return state_->heard < state_->needed; }
  trace const& steps() const noexcept { return state_->steps; }

  /// One sentence that tells the true cause.
  KADORO_DECL std::string explain() const;

 private:
  std::shared_ptr<state> state_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/get_result.ipp"
#endif
