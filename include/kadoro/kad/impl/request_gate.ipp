#pragma once

#include <algorithm>

#include "kadoro/kad/request_gate.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

inline transport::datagram::token_bucket bucket_of(request_limits::rate const& of, double times) noexcept {
  return {of.per_second * times, of.burst * times};
}

/// After so long of rest every bucket is full again.
inline duration time_to_fill(request_limits const& of) noexcept {
  auto const seconds = [](request_limits::rate const& r) { return r.burst / r.per_second; };
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(
      std::max({seconds(of.reads), seconds(of.writes), seconds(of.written_bytes), seconds(of.watches)})));
}

inline double written_bytes(transport::message const& of) noexcept {
  std::size_t sum = of.key.size() + (of.record ? of.record->value.size() : 0);
  for (wire::record const& each : of.records) sum += each.value.size();
  return static_cast<double>(sum);
}

}  // namespace detail

inline request_gate::allowance::allowance(request_limits const& of, double times) noexcept
    : requests{detail::bucket_of(of.reads, times), detail::bucket_of(of.writes, times),
               detail::bucket_of(of.watches, times)},
      bytes(detail::bucket_of(of.written_bytes, times)) {}

KADORO_DECL request_gate::request_gate(request_limits const& limits)
    : peers_{max_peers, detail::time_to_fill(limits), allowance(limits, 1)},
      ranges_{max_ranges, detail::time_to_fill(limits), allowance(limits, limits.of_range)},
      others_(limits, limits.of_range) {}

template <class Name>
request_gate::allowance* request_gate::places<Name>::find(Name const& who, time_point now) {
  static constexpr duration between_sweeps = std::chrono::seconds(1);
  auto at = taken.find(who);
  if (at == taken.end()) {
    if (taken.size() >= most && now - swept >= between_sweeps) {
      std::erase_if(taken, [&](auto const& e) { return now - e.second.last > idle; });
      swept = now;
    }
    if (taken.size() >= most) return nullptr;
    at = taken.emplace(who, fresh).first;
  }
  at->second.last = now;
  return &at->second;
}

KADORO_DECL std::optional<duration> request_gate::take(allowance& of, transport::work kind, double bytes,
                                                       time_point now) {
  auto& requests = of.requests[static_cast<std::size_t>(kind)];
  if (!requests.take(now)) {
    std::uint64_t* const counts[] = {&counters_.refused_reads, &counters_.refused_writes, &counters_.refused_watches};
    ++*counts[static_cast<std::size_t>(kind)];
    return requests.wait_for();
  }
  if (bytes == 0 || of.bytes.take(now, bytes)) return {};
  ++counters_.refused_written_bytes;
  return of.bytes.wait_for(bytes);
}

KADORO_DECL std::optional<duration> request_gate::check(transport::peer const& from, transport::message const& request,
                                                        time_point now) {
  transport::work const kind = transport::work_of(request.type);
  auto const range = transport::proved_range(from);
  double const bytes = kind == transport::work::write ? detail::written_bytes(request) : 0;
  allowance* const own = peers_.find(from.id(), now);
  allowance* const shared = range ? ranges_.find(*range, now) : nullptr;
  std::optional<duration> wait;
  // What a peer is refused costs its range nothing.
  if (own != nullptr) wait = take(*own, kind, bytes, now);
  if (!wait && (range || own == nullptr)) wait = take(shared != nullptr ? *shared : others_, kind, bytes, now);
  if (!wait) return {};
  return std::max<duration>(*wait, std::chrono::milliseconds(1));
}

}  // namespace kadoro::inline KADORO_ABI::kad
