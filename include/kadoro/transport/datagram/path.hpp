#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "kadoro/base/random.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/transport/datagram/packet.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

using path_token = byte_array<path_token_bytes>;

/// An address from which a session was heard, but where it does not live (yet).
struct path_candidate {
  io::endpoint where;
  path_token token{};       ///< was sent there, and nowhere else
  path_token home_token{};  ///< was sent to where the session lives: whoever is still there shall say so
  time_point begun{};
  time_point next_challenge{};
};

/// The addresses of a session beside the one where it lives, after RFC 9000, section 9.3.
///
///     new address --newest packet--> candidate --its token comes back from there--> the session lives there
///     candidate --the home is heard, or `life` has passed--> forgotten: somebody has passed a packet on
///     the former home --newest packet within `return_time`--> the session goes back
///
/// Whoever is faster than the path of the peer can make its packets come from elsewhere. That brings him challenges,
/// and the session stays; and if he also passes these on, and the answers, the first packet that comes by itself ends
/// it.
class path_book {
 public:
  static constexpr std::size_t max_candidates = 2;
  static constexpr duration life = std::chrono::seconds(3);          ///< of a candidate
  static constexpr duration return_time = std::chrono::seconds(10);  ///< that the former home is remembered

  /// The candidate at that address; a new one if there is room, else null.
  path_candidate* at(io::endpoint const& where, time_point now, random_source& random) {
    for (path_candidate& c : candidates_)
      if (c.where == where) return &c;
    if (candidates_.size() == max_candidates) return nullptr;
    path_candidate made;
    made.where = where;
    random.fill(made.token);
    random.fill(made.home_token);
    made.begun = made.next_challenge = now;
    candidates_.push_back(made);
    return &candidates_.back();
  }

  path_candidate const* of_token(bytes_view token) const noexcept {
    for (path_candidate const& c : candidates_)
      if (equal(c.token, token)) return &c;
    return nullptr;
  }
  bool asked_home(bytes_view token) const noexcept {
    for (path_candidate const& c : candidates_)
      if (equal(c.home_token, token)) return true;
    return false;
  }

  /// Forgets those that are too old. Returns how many.
  std::size_t expire(time_point now) {
    return std::erase_if(candidates_, [now](path_candidate const& c) { return now - c.begun >= life; });
  }
  std::size_t forget_candidates() noexcept {
    std::size_t const count = candidates_.size();
    candidates_.clear();
    return count;
  }

  /// The session has left `home`.
  void leave(io::endpoint const& home, time_point now) {
    candidates_.clear();
    former_ = home;
    left_ = now;
  }
  bool may_return(io::endpoint const& to, time_point now) const noexcept {
    return former_ && *former_ == to && now - left_ < return_time;
  }
  void settle() noexcept { former_.reset(); }

 private:
  std::vector<path_candidate> candidates_;
  std::optional<io::endpoint> former_;
  time_point left_{};
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
