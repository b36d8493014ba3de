#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace kadoro_soak {

/// A histogram of milliseconds in steps of 5 %, from 1 us on: the same memory however many there are.
class latencies {
 public:
  void add(double ms) noexcept {
    double const step = ms <= first_ms ? 0 : std::log(ms / first_ms) / std::log(growth);
    ++counts_[std::min(counts_.size() - 1, static_cast<std::size_t>(step))];
    ++total_;
    max_ = std::max(max_, ms);
  }
  void add(latencies const& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
  }

  std::uint64_t total() const noexcept { return total_; }
  double max() const noexcept { return max_; }
  /// The upper end of the step that the nearest rank is in; 0 without any.
  double rank(double share) const noexcept {
    auto const wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size() && total_ > 0; ++i)
      if ((seen += counts_[i]) >= wanted)
        return std::min(max_, first_ms * std::pow(growth, static_cast<double>(i + 1)));
    return 0;
  }
  nlohmann::ordered_json to_json() const {
    auto const round = [](double ms) { return std::round(ms * 1e3) / 1e3; };
    return {{"n", total_},
            {"p50_ms", round(rank(0.5))},
            {"p90_ms", round(rank(0.9))},
            {"p99_ms", round(rank(0.99))},
            {"p999_ms", round(rank(0.999))},
            {"max_ms", round(max_)}};
  }

 private:
  static constexpr double first_ms = 0.001;
  static constexpr double growth = 1.05;

  std::array<std::uint64_t, 400> counts_{};  // up to 300 s
  std::uint64_t total_ = 0;
  double max_ = 0;
};

}  // namespace kadoro_soak
