#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include "kadoro/transport/address_range.hpp"
#include "kadoro/transport/message.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// How much one peer may ask a node to do: so much a second, and so much at once after a rest. An address range may ask
/// for `of_range` times as much. The defaults are far above what an honest peer needs, and far below what one needs to
/// keep a core busy: verifying a signature takes about 60 microseconds, a read a few. Of private addresses each peer is
/// limited by itself, their ranges are not.
struct request_limits {
  struct rate {
    double per_second;
    double burst;
  };
  rate reads = {20'000, 40'000};
  rate writes = {1'000, 4'000};
  rate written_bytes = {4 << 20, 64 << 20};  ///< of keys and values
  rate watches = {200, 4'096};               ///< new ones and renewals
  double of_range = 4;
};

struct request_counters {
  std::uint64_t refused_reads = 0;
  std::uint64_t refused_writes = 0;
  std::uint64_t refused_written_bytes = 0;
  std::uint64_t refused_watches = 0;
};

/// Refuses what one peer or one address range asks too much of, and says when it may be asked again.
///
/// Remembers at most `max_peers` and `max_ranges`. A peer that comes when all places are taken counts against its range
/// only; a range then, and a peer without a range, against one bucket that it shares with all others like it.
class request_gate {
 public:
  static constexpr std::size_t max_peers = 4096;
  static constexpr std::size_t max_ranges = 1024;

  KADORO_DECL explicit request_gate(request_limits const& limits);

  /// Nothing: it may be served. Else how long it should wait, a millisecond at least.
  KADORO_DECL std::optional<duration> check(transport::peer const& from, transport::message const& request,
                                            time_point now);

  std::size_t peers() const noexcept { return peers_.taken.size(); }
  std::size_t ranges() const noexcept { return ranges_.taken.size(); }
  request_counters const& counters() const noexcept { return counters_; }

 private:
  /// What one may do: rates of buckets that fill.
  struct rates {
    rates(request_limits const& of, double times) noexcept;
    std::array<request_limits::rate, transport::work_kinds> requests;  ///< by kind
    request_limits::rate bytes;
    duration idle;  ///< after so long of rest everything is as at the beginning
  };

  /// What is left in the buckets of one of them. There may be thousands, so they share their rates.
  struct allowance {
    allowance(rates const& full, time_point now) noexcept;
    void fill(rates const& by, time_point now) noexcept;
    std::array<double, transport::work_kinds> requests;
    double bytes;
    time_point last;
  };

  /// Those that are remembered.
  template <class Name>
  struct places {
    /// Null: there is none left. Makes room, but looks for it once a second at most: it costs a look at all of them.
    allowance* find(Name const& who, time_point now);

    std::size_t most;
    rates each;
    std::map<Name, allowance> taken = {};
    time_point swept = {};
  };

  KADORO_DECL std::optional<duration> take(allowance& of, rates const& by, transport::work kind, double bytes);

  places<transport::peer_id> peers_;
  places<std::uint64_t> ranges_;
  allowance others_;
  request_counters counters_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/request_gate.ipp"
#endif
