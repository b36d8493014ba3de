#pragma once

#include <algorithm>

#include "kadoro/kad/request_gate.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

inline transport::datagram::token_bucket bucket_of(request_limits::rate const& of, double times) noexcept {
  return {of.per_second * times, of.burst * times};
}

inline double seconds_to_fill(request_limits::rate const& of) noexcept { return of.burst / of.per_second; }

}  // namespace detail

inline request_gate::allowance::allowance(request_limits const& of, double times) noexcept
    : requests{detail::bucket_of(of.reads, times), detail::bucket_of(of.writes, times),
               detail::bucket_of(of.watches, times)},
      bytes(detail::bucket_of(of.written_bytes, times)) {}

KADORO_DECL request_gate::request_gate(request_limits const& limits)
    : limits_(limits),
      idle_(std::chrono::duration_cast<duration>(std::chrono::duration<double>(
          std::max({detail::seconds_to_fill(limits.reads), detail::seconds_to_fill(limits.writes),
                    detail::seconds_to_fill(limits.written_bytes), detail::seconds_to_fill(limits.watches)})))),
      others_(limits, limits.of_range) {}

/// Null: there is no place for it.
template <class Name>
request_gate::allowance* request_gate::find(std::map<Name, allowance>& among, Name const& who, std::size_t most,
                                            double times, time_point now) {
  auto at = among.find(who);
  if (at == among.end()) {
    if (among.size() >= most) std::erase_if(among, [&](auto const& e) { return now - e.second.last > idle_; });
    if (among.size() >= most) return nullptr;
    at = among.emplace(who, allowance(limits_, times)).first;
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
  auto const kind = transport::work_of(request.type);
  if (!kind) return {};
  std::size_t const size = request.record ? request.key.size() + request.record->value.size() : 0;
  double const bytes = *kind == transport::work::write ? static_cast<double>(size) : 0;
  std::optional<duration> wait;
  // What a peer is refused costs its range nothing.
  if (auto* const own = find(peers_, from.id(), max_peers, 1, now)) wait = take(*own, *kind, bytes, now);
  auto const range = transport::proved_range(from);
  if (!wait && range) {
    auto* const shared = find(ranges_, *range, max_ranges, limits_.of_range, now);
    wait = take(shared != nullptr ? *shared : others_, *kind, bytes, now);
  }
  if (!wait) return {};
  return std::max<duration>(*wait, std::chrono::milliseconds(1));
}

}  // namespace kadoro::inline KADORO_ABI::kad
