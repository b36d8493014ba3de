#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::kad {

/// How many peers of those that there are must agree. Relative to the replica set, never to a constant: in a swarm of
/// three, `all` means the two others.
class quorum {
 public:
  static constexpr quorum one() noexcept { return quorum(kind::count, 1); }
  static constexpr quorum majority() noexcept { return quorum(kind::majority, 0); }
  static constexpr quorum all() noexcept { return quorum(kind::all, 0); }
  /// `n` peers, or as many as there are if that is fewer.
  static constexpr quorum of(std::size_t n) noexcept { return quorum(kind::count, n); }

  /// Reads `one`, `majority`, `all` or a number from 1 on.
  static result<quorum> parse(std::string_view text) {
    if (text == "one") return one();
    if (text == "majority") return majority();
    if (text == "all") return all();
    std::size_t n = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (problem != std::errc() || end != text.data() + text.size() || n == 0)
      return fail(errc::invalid_argument, "quorum '" + std::string(text) + "': one, majority, all or a number from 1");
    return of(n);
  }

  /// How many of `population` are needed: at least one, even of nobody.
  constexpr std::size_t needed(std::size_t population) const noexcept {
    switch (kind_) {
      case kind::majority: return population / 2 + 1;
      case kind::all: return std::max<std::size_t>(population, 1);
      case kind::count: break;
    }
    return std::clamp<std::size_t>(count_, 1, std::max<std::size_t>(population, 1));
  }

 private:
  enum class kind { count, majority, all };
  constexpr quorum(kind k, std::size_t n) noexcept : kind_(k), count_(n) {}

  kind kind_;
  std::size_t count_;
};

}  // namespace kadoro::inline KADORO_ABI::kad
