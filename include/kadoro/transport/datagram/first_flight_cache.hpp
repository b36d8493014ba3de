#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// The first flights of late, by their ephemeral key. A repeat from the same address is a retransmission and gets the
/// same answer again; any other repeat is a replay. Bounded: the oldest are forgotten first, answers after
/// `answer_life`.
class first_flight_cache {
 public:
  static constexpr std::size_t max_entries = 4096;
  static constexpr duration answer_life = std::chrono::seconds(10);

  struct entry {
    io::endpoint from;
    time_point when;
    bytes answer;  ///< empty once it is too old to repeat
  };

  /// Null if that ephemeral key was never seen.
  entry const* find(bytes_view ephemeral) const {
    auto const at = entries_.find(as_key(ephemeral));
    return at == entries_.end() ? nullptr : &at->second;
  }

  void remember(bytes_view ephemeral, io::endpoint const& from, bytes_view answer, time_point now) {
    drop_old_answers(now);
    if (order_.size() == max_entries) {
      entries_.erase(order_.front());
      order_.pop_front();
      answered_ = std::min(answered_, order_.size());
    }
    auto const key = as_key(ephemeral);
    entries_.insert_or_assign(key, entry{from, now, to_bytes(answer)});
    order_.push_back(key);
    ++answered_;
  }

  /// Frees the memory of answers that nobody will ask for again.
  void drop_old_answers(time_point now) {
    for (std::size_t i = order_.size() - answered_; i < order_.size(); ++i) {
      entry& oldest = entries_.at(order_[i]);
      if (now - oldest.when < answer_life) break;
      oldest.answer = bytes();
      --answered_;
    }
  }

 private:
  using ephemeral_key = byte_array<32>;

  static ephemeral_key as_key(bytes_view ephemeral) noexcept {
    ephemeral_key k{};
    std::copy_n(ephemeral.begin(), k.size(), k.begin());
    return k;
  }

  std::map<ephemeral_key, entry> entries_;
  std::deque<ephemeral_key> order_;  // oldest first
  std::size_t answered_ = 0;         // how many at the end of `order_` still have their answer
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
