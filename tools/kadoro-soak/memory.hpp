#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

namespace kadoro_soak {

/// The memory of one process over its life: the median of every minute.
class memory_series {
 public:
  /// The growth is measured from this minute on: caches are full by then.
  static constexpr int warm_minute = 10;
  static constexpr double allowed_percent = 5;

  void add(double age_s, double kib) { samples_[static_cast<int>(age_s / 60)].push_back(kib); }

  /// Of a minute of its life that is over; nothing if it was not there.
  std::optional<double> minute(int which) const {
    auto const at = samples_.find(which);
    if (at == samples_.end() || at->second.empty()) return {};
    std::vector<double> all = at->second;
    std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
    return all[all.size() / 2];
  }
  int last_minute() const { return samples_.empty() ? -1 : samples_.rbegin()->first; }

  struct verdict {
    double warm_kib = 0;     ///< in minute 10
    double end_kib = 0;      ///< in its last full minute
    double highest_kib = 0;  ///< of the minutes from then on
    double lowest_kib = 0;
    int minutes = 0;

    double end_percent() const { return 100 * (end_kib / warm_kib - 1); }
    double highest_percent() const { return 100 * (highest_kib / warm_kib - 1); }
    double lowest_percent() const { return 100 * (lowest_kib / warm_kib - 1); }
    bool flat() const { return highest_percent() <= allowed_percent && lowest_percent() >= -allowed_percent; }
  };
  /// Nothing if it did not live for two minutes more.
  std::optional<verdict> judge() const {
    auto const warm = minute(warm_minute);
    int const end = last_minute() - 1;  // the last minute is not whole
    if (!warm || end <= warm_minute) return {};
    verdict v{*warm, *warm, *warm, *warm, end};
    for (int m = warm_minute; m <= end; ++m) {
      auto const kib = minute(m);
      if (!kib) continue;
      v.end_kib = *kib;
      v.highest_kib = std::max(v.highest_kib, *kib);
      v.lowest_kib = std::min(v.lowest_kib, *kib);
    }
    return v;
  }

 private:
  std::map<int, std::vector<double>> samples_;
};

}  // namespace kadoro_soak
