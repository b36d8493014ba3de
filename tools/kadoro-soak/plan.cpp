#include "plan.hpp"

#include <algorithm>

#include "kadoro/base/random.hpp"

namespace kadoro_soak {

namespace {

constexpr std::size_t at_most_down = 2;
constexpr double first_massacre_s = 60;
constexpr double warm_up_s = 540;
constexpr double massacre_warming_s = 60;
constexpr double massacre_every_s = 600;
constexpr double first_long_stop_s = 150;  // of those that are never killed, one after the other
constexpr double long_stop_every_s = 120;
constexpr double longest_stop_s = 8;
constexpr double longest_s = 20;
constexpr double restart_s = 3;  // it is not taken for up again before

double between(kadoro::random_source& random, double low, double high) { return low + (high - low) * random.unit(); }

}  // namespace

std::string_view to_string(deed what) noexcept {
  switch (what) {
    case deed::kill: return "SIGKILL";
    case deed::terminate: return "SIGTERM";
    case deed::stop: return "SIGSTOP";
  }
  return {};
}

std::vector<disturbance> draw_plan(std::uint64_t seed, double minutes, std::size_t processes, double gap_s) {
  kadoro::chacha20_random random(seed);
  double const end_s = minutes * 60;
  double const calm_s = std::min(30.0, end_s / 4);  // at the begin and at the end
  double const longest = std::min(longest_s, gap_s);
  std::vector<double> free_at(processes, 0);
  std::vector<disturbance> all;
  double next_massacre_s = first_massacre_s;
  std::size_t long_stops = 0;
  double at_s = calm_s;
  for (;;) {
    double const gap = between(random, 0.4 * gap_s, 1.6 * gap_s);
    at_s += gap;
    if (at_s + longest + restart_s > end_s - calm_s) break;
    if (at_s >= next_massacre_s) {
      at_s = std::max(at_s, *std::max_element(free_at.begin(), free_at.end()));
      for (std::size_t who = never_killed; who < processes; ++who) {
        double const for_s = between(random, 0.2, 3);
        all.push_back({at_s, deed::kill, who, for_s, random.below(2) == 0});
        free_at[who] = at_s + for_s + restart_s;
      }
      next_massacre_s += at_s < warm_up_s ? massacre_warming_s : massacre_every_s;
      continue;
    }
    if (long_stops < never_killed && at_s >= first_long_stop_s + static_cast<double>(long_stops) * long_stop_every_s) {
      at_s = std::max(at_s, free_at[long_stops]);
      all.push_back({at_s, deed::stop, long_stops, longest_stop_s, false});
      free_at[long_stops] = at_s + longest_stop_s + restart_s;
      ++long_stops;
      continue;
    }
    auto const down = std::count_if(free_at.begin(), free_at.end(), [at_s](double t) { return t > at_s; });
    std::uint64_t const kind = random.below(10);
    disturbance d;
    d.at_s = at_s;
    d.what = kind < 6 ? deed::kill : kind < 8 ? deed::terminate : deed::stop;
    std::size_t const first = d.what == deed::stop ? 0 : never_killed;
    d.who = first + static_cast<std::size_t>(random.below(processes - first));
    d.for_s =
        d.what == deed::stop ? between(random, 0.5, std::min(longest_stop_s, longest)) : between(random, 0.2, longest);
    d.seeded = random.below(2) == 0;
    if (static_cast<std::size_t>(down) >= at_most_down || free_at[d.who] > at_s) continue;
    free_at[d.who] = at_s + d.for_s + restart_s;
    all.push_back(d);
  }
  return all;
}

}  // namespace kadoro_soak
