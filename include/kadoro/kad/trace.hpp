#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/multiformats/peer_id.hpp"

namespace kadoro::inline KADORO_ABI::kad {

using multiformats::peer_id;

/// One request of a query: who was asked, who had suggested to ask it, and what came of it.
struct trace_step {
  peer_id peer;
  std::optional<peer_id> suggested_by;  ///< empty: from the routing table
  duration sent_at{};                   ///< since the start of the query
  std::optional<duration> rtt;          ///< empty: no answer, or none yet
  std::string result;                   ///< "12 contacts", "refused: it holds a higher sequence", "no answer", ...
};

/// What one query did, step by step, for the person who wonders why. Bounded: further steps are only counted. While the
/// query runs, facts are noted; they become words when somebody reads them.
class trace {
 public:
  static constexpr std::size_t max_steps = 1024;

  /// What was in an answer.
  struct told {
    std::optional<std::size_t> records;
    std::optional<std::size_t> contacts;
    bool stored = false;
  };

  /// `query` is what was asked for: "get", "put", "find_node". A literal: it is not copied.
  KADORO_DECL trace(std::string_view query, bytes_view key, time_point start);

  /// A request goes out. Returns the number of the step, for the three functions below.
  KADORO_DECL std::size_t asked(peer_id const& peer, std::optional<peer_id> const& suggested_by, time_point now);
  /// Its answer came in.
  KADORO_DECL void answered(std::size_t step, told const& what, time_point now);
  KADORO_DECL void answered(std::size_t step, std::string_view result, time_point now);
  /// There will be no answer.
  KADORO_DECL void failed(std::size_t step, std::string_view result);

  /// The query has ended. Why, may be said later.
  void finish(time_point now) noexcept { elapsed_ = now - start_; }
  void explain(std::string why_it_stopped) { why_it_stopped_ = std::move(why_it_stopped); }

  std::string_view query() const noexcept { return query_; }
  /// The key, as it is if it is printable, else "0x" and hexadecimal.
  KADORO_DECL std::string key_text() const;
  KADORO_DECL std::vector<trace_step> steps() const;
  std::size_t size() const noexcept { return facts_.size(); }
  std::size_t omitted() const noexcept { return omitted_; }
  /// From the start to `finish`; empty while the query runs.
  std::optional<duration> elapsed() const noexcept { return elapsed_; }
  std::string why_it_stopped() const { return why_it_stopped_; }

  /// A table, one line per step. Times in milliseconds.
  KADORO_DECL std::string to_text() const;
  /// One JSON object. Times in milliseconds.
  KADORO_DECL std::string to_json() const;

 private:
  struct fact {
    peer_id peer;
    std::optional<peer_id> suggested_by;
    duration sent_at{};
    std::optional<duration> rtt;
    std::int32_t records = -1;  ///< of an answer, as are the next two; -1: not said
    std::int32_t contacts = -1;
    bool stored = false;
    bool in_words = false;  ///< what came of it is in `words_`
  };

  KADORO_DECL void say(std::size_t step, std::string_view result);
  KADORO_DECL std::string result_of(std::size_t step) const;

  std::string_view query_;
  kadoro::bytes key_;
  time_point start_;
  std::optional<duration> elapsed_;
  std::string why_it_stopped_;
  pooled_vector<fact> facts_;
  std::map<std::size_t, std::string> words_;  ///< by step: mostly of failures
  std::size_t omitted_ = 0;
};

/// A record key for people: as it is if every byte is printable ASCII, else "0x" and hexadecimal.
KADORO_DECL std::string printable(bytes_view key);

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/trace.ipp"
#include "kadoro/kad/impl/trace_json.ipp"
#endif
