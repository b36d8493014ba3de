#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::transport {

/// What one source has said of the address at which it sees this end.
struct observation {
  io::endpoint seen;
  io::endpoint by;
  time_point when{};
  bool own = false;  ///< an interface of this machine has it: nothing on the way has translated
};

/// The latest word of each source. Public peers of one address range are one source: whoever has a range has as many
/// addresses as he likes. Private addresses belong to nobody, so each is one.
class observed_addresses {
 public:
  static constexpr std::size_t max_sources = 32;
  static constexpr std::size_t enough = 2;  ///< sources that must agree
  static constexpr duration life = std::chrono::hours(1);

  void note(io::endpoint const& seen, io::endpoint const& by, time_point now) {
    std::erase_if(words_, [now](observation const& w) { return now - w.when >= life; });
    auto const known =
        std::find_if(words_.begin(), words_.end(), [&by](observation const& w) { return one_source(w.by, by); });
    std::optional<io::endpoint> before;
    if (known != words_.end()) {
      before = known->seen;
      words_.erase(known);
    }
    if (words_.size() == max_sources) words_.erase(words_.begin());
    words_.push_back({seen, by, now, false});
    // Enough of them see this end elsewhere than before: what the others have said is of the past too.
    if (before && *before != seen && said_by(seen) >= enough)
      std::erase_if(words_, [&before](observation const& w) { return w.seen == *before; });
  }

  /// Enough sources have spoken of late, whatever they said.
  bool known(time_point now) const noexcept {
    auto const late = [now](observation const& w) { return now - w.when < life; };
    return static_cast<std::size_t>(std::count_if(words_.begin(), words_.end(), late)) >= enough;
  }

  /// Oldest first.
  std::vector<observation> const& all() const noexcept { return words_; }

  /// What most sources say, if that is said by enough of them; of two, the later one.
  std::optional<io::endpoint> agreed(bool v6) const {
    std::optional<io::endpoint> best;
    std::size_t most = enough - 1;
    for (auto w = words_.rbegin(); w != words_.rend(); ++w) {
      std::size_t const count = said_by(w->seen);
      if (w->seen.is_v6() != v6 || count <= most) continue;
      most = count;
      best = w->seen;
    }
    return best;
  }
  std::size_t said_by(io::endpoint const& seen) const noexcept {
    return static_cast<std::size_t>(
        std::count_if(words_.begin(), words_.end(), [&seen](observation const& w) { return w.seen == seen; }));
  }

 private:
  static bool one_source(io::endpoint const& a, io::endpoint const& b) noexcept {
    if (a.is_v6() != b.is_v6()) return false;
    return a.is_private() || b.is_private() ? a == b : a.range() == b.range();
  }

  std::vector<observation> words_;
};

}  // namespace kadoro::inline KADORO_ABI::transport
