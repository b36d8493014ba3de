#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;
using json = nlohmann::ordered_json;

template <class Instant>
double us_between(Instant from, Instant to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

/// One line, at once: the runner waits for it.
inline void say(json const& line) { std::cout << line.dump() << std::endl; }

/// Something happened, now.
inline void tell(char const* event) {
  say({{"event", event}, {"mono_ms", us_between(clock::time_point(), clock::now()) / 1000}});
}

/// How long each of some operations took.
class samples {
 public:
  explicit samples(std::size_t expected) { us_.reserve(expected); }

  void start() { began_ = clock::now(); }
  template <class Instant>
  void add(Instant from, Instant to) {
    us_.push_back(us_between(from, to));
  }
  /// For rivals that can tell when the first value was there and when they were sure.
  template <class Instant>
  void add_first(Instant from, Instant to) {
    first_us_.push_back(us_between(from, to));
  }
  void fail(std::string const& why) {
    if (failures_++ == 0) why_ = why;
  }
  std::size_t done() const noexcept { return us_.size() + failures_; }

  json report() const {
    json out = {{"us", rounded(us_)}, {"failures", failures_}, {"seconds", us_between(began_, clock::now()) / 1e6}};
    if (!first_us_.empty()) out["first_us"] = rounded(first_us_);
    if (failures_ > 0) out["why"] = why_;
    return out;
  }

 private:
  static std::vector<double> rounded(std::vector<double> of) {
    for (double& one : of) one = std::round(one * 100) / 100;
    return of;
  }

  clock::time_point began_ = clock::now();
  std::vector<double> us_;
  std::vector<double> first_us_;
  std::size_t failures_ = 0;
  std::string why_;
};

/// What this process has used up to now.
inline json usage() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto const seconds = [](timeval const& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  long pages = 0;
  long resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return {{"cpu_s", seconds(used.ru_utime) + seconds(used.ru_stime)}, {"rss_bytes", resident * sysconf(_SC_PAGESIZE)}};
}

}  // namespace bench
