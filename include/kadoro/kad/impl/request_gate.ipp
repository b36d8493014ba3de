#pragma once

#include <algorithm>

#include "kadoro/kad/request_gate.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

inline request_limits::rate times(request_limits::rate const& of, double factor) noexcept {
  return {of.per_second * factor, of.burst * factor};
}

/// When there may be enough in a bucket. What costs more than its burst never passes.
inline duration time_until(double enough, double level, request_limits::rate const& of) noexcept {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>((enough - level) / of.per_second));
}

inline double written_bytes(transport::message const& of) noexcept {
  std::size_t sum = of.key.size() + (of.record ? of.record->value.size() : 0);
  for (wire::record const& each : of.records) sum += each.value.size();
  return static_cast<double>(sum);
}

}  // namespace detail

inline request_gate::rates::rates(request_limits const& of, double factor) noexcept
    : requests{detail::times(of.reads, factor), detail::times(of.writes, factor), detail::times(of.watches, factor)},
      bytes(detail::times(of.written_bytes, factor)),
      idle(detail::time_until(bytes.burst, 0, bytes)) {
  for (request_limits::rate const& each : requests) idle = std::max(idle, detail::time_until(each.burst, 0, each));
}

inline request_gate::allowance::allowance(rates const& full, time_point now) noexcept
    : bytes(full.bytes.burst), last(now) {
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i] = full.requests[i].burst;
}

inline void request_gate::allowance::fill(rates const& by, time_point now) noexcept {
  double const seconds = std::chrono::duration<double>(now - last).count();
  auto const filled = [seconds](double level, request_limits::rate const& of) {
    return std::min(of.burst, level + seconds * of.per_second);
  };
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i] = filled(requests[i], by.requests[i]);
  bytes = filled(bytes, by.bytes);
  last = now;
}

KADORO_DECL request_gate::request_gate(request_limits const& limits)
    : peers_{max_peers, rates(limits, 1)},
      ranges_{max_ranges, rates(limits, limits.of_range)},
      others_(ranges_.each, time_point()) {}

template <class Name>
request_gate::allowance* request_gate::places<Name>::find(Name const& who, time_point now) {
  static constexpr duration between_sweeps = std::chrono::seconds(1);
  auto at = taken.find(who);
  if (at == taken.end()) {
    if (taken.size() >= most && now - swept >= between_sweeps) {
      std::erase_if(taken, [&](auto const& e) { return now - e.second.last > each.idle; });
      swept = now;
    }
    if (taken.size() >= most) return nullptr;
    at = taken.emplace(who, allowance(each, now)).first;
  }
  at->second.fill(each, now);
  return &at->second;
}

KADORO_DECL std::optional<duration> request_gate::take(allowance& of, rates const& by, transport::work kind,
                                                       double bytes) {
  auto const index = static_cast<std::size_t>(kind);
  if (of.requests[index] < 1) {
    std::uint64_t* const counts[] = {&counters_.refused_reads, &counters_.refused_writes, &counters_.refused_watches};
    ++*counts[index];
    return detail::time_until(1, of.requests[index], by.requests[index]);
  }
  of.requests[index] -= 1;
  if (bytes > of.bytes) {
    ++counters_.refused_written_bytes;
    return detail::time_until(bytes, of.bytes, by.bytes);
  }
  of.bytes -= bytes;
  return {};
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
  if (own != nullptr) wait = take(*own, peers_.each, kind, bytes);
  if (!wait && (range || own == nullptr)) {
    if (shared == nullptr) others_.fill(ranges_.each, now);
    wait = take(shared != nullptr ? *shared : others_, ranges_.each, kind, bytes);
  }
  if (!wait) return {};
  return std::max<duration>(*wait, std::chrono::milliseconds(1));
}

}  // namespace kadoro::inline KADORO_ABI::kad
