#pragma once

#include <algorithm>
#include <map>
#include <utility>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// The first flights of late, by their ephemeral key. A repeat from the same address is a retransmission and gets the
/// same answer again; any other repeat is a replay. Bounded: the oldest are forgotten first, answers once they have
/// arrived, or after `answer_life`.
class first_flight_cache {
 public:
  static constexpr std::size_t max_entries = 4096;
  static constexpr duration answer_life = std::chrono::seconds(10);

  using ephemeral_key = byte_array<32>;
  struct entry;
  using slot = std::pair<ephemeral_key const, entry>;

  struct entry {
    io::endpoint from;
    time_point when;
    bytes answer;          ///< empty once it has arrived, or is too old to repeat
    slot* next = nullptr;  ///< the one that came next
  };

  /// Null if that ephemeral key was never seen.
  entry const* find(bytes_view ephemeral) const {
    auto const at = entries_.find(as_key(ephemeral));
    return at == entries_.end() ? nullptr : &at->second;
  }

  /// One that was not seen before.
  void remember(bytes_view ephemeral, io::endpoint const& from, bytes_view answer, time_point now) {
    drop_old_answers(now);
    if (entries_.size() == max_entries) forget_oldest();
    auto const [at, added] = entries_.try_emplace(as_key(ephemeral), entry{from, now, to_bytes(answer)});
    if (!added) return;
    (newest_ == nullptr ? oldest_ : newest_->second.next) = &*at;
    newest_ = &*at;
    if (answered_ == nullptr) answered_ = newest_;
  }

  /// Who sent it has the answer.
  void note_arrival(bytes_view ephemeral) {
    auto const at = entries_.find(as_key(ephemeral));
    if (at != entries_.end()) at->second.answer = bytes();
  }

  /// Frees the memory of answers that nobody will ask for again.
  void drop_old_answers(time_point now) {
    for (; answered_ != nullptr && now - answered_->second.when >= answer_life; answered_ = answered_->second.next)
      answered_->second.answer = bytes();
  }

 private:
  static ephemeral_key as_key(bytes_view ephemeral) noexcept {
    ephemeral_key k{};
    std::copy_n(ephemeral.begin(), k.size(), k.begin());
    return k;
  }

  void forget_oldest() noexcept {
    slot* const gone = oldest_;
    oldest_ = gone->second.next;
    if (newest_ == gone) newest_ = nullptr;
    if (answered_ == gone) answered_ = oldest_;
    entries_.erase(entries_.find(gone->first));
  }

  std::map<ephemeral_key, entry> entries_;
  slot* oldest_ = nullptr;
  slot* newest_ = nullptr;
  slot* answered_ = nullptr;  // the oldest that still has its answer
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
