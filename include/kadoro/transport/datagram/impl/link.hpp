#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <memory>
#include <optional>
#include <vector>

#include "kadoro/transport/datagram/datagram_transport.hpp"
#include "kadoro/transport/datagram/outgoing_message.hpp"
#include "kadoro/transport/datagram/send_window.hpp"

/// @file
/// What a datagram transport holds of its peers. Its bodies are in two files: impl/datagram_transport.ipp (requests,
/// dials, sessions) and impl/fragments.ipp (large messages).

namespace kadoro::inline KADORO_ABI::transport::datagram {

namespace detail {

/// Memory of the last messages of this thread, whose transports are at work one after the other.
struct spare_messages {
  wire::message wire;
  message answer;
  answer_page page;
};

inline spare_messages& spare() {
  thread_local spare_messages messages;
  return messages;
}

/// A message that keeps its memory only.
class reset_at_end {
 public:
  explicit reset_at_end(message& what) noexcept : what_(what) {}
  reset_at_end(reset_at_end const&) = delete;
  reset_at_end& operator=(reset_at_end const&) = delete;
  ~reset_at_end() { what_.reset(); }

 private:
  message& what_;
};

}  // namespace detail

/// One request of ours. It lives in the frame of `request`, and leaves every list when that ends.
///
///     waiting (no session: the dial's timer drives) --- session ---> in flight (its own timer drives) ---> done
///     in flight --- the sessions are gone ---> waiting
struct datagram_transport::pending {
  struct place : coro::list_node {
    explicit place(pending& of) noexcept : owner(of) {}
    pending& owner;
  };
  struct alarm : coro::timer_node {
    explicit alarm(pending& of) noexcept
        : timer_node([](timer_node& n) {
            pending& p = static_cast<alarm&>(n).owner;
            p.transport.on_silence(p);
          }),
          owner(of) {}
    pending& owner;
  };

  struct finished : pooled_object {
    explicit finished(result<message> of) : what(std::move(of)) {}
    result<message> what;
  };

  pending(datagram_transport& by, peer_ref target) noexcept : transport(by), to(std::move(target)) {}
  pending(pending const&) = delete;
  pending& operator=(pending const&) = delete;
  ~pending() {
    if (id == 0) return;
    --to->under_way;
    transport.request_ranges_.remove(range);
    transport.requests_.erase(id);
    if (transport.requests_.empty()) transport.drained_.set();
  }

  /// It does not fit into one packet.
  bool is_large() const noexcept { return encoded.size() > max_packet_message_bytes; }

  datagram_transport& transport;
  peer_ref to;
  bytes encoded;
  std::optional<work> kind;
  bool read_only = false;
  std::optional<std::uint64_t> range;  // that it counts against
  std::uint32_t id = 0;
  std::uint8_t transmissions = 0;
  std::size_t on_session = 0;  // how many of them went out on a session since the peer was last heard on it
  time_point begun{};
  time_point progress{};  // begun, or when the peer last showed that it is at work on this
  std::array<time_point, 16> sent_at{};
  duration timeout{};
  place where{*this};
  alarm silence{*this};
  std::unique_ptr<outgoing> in_fragments;  // once it is sent, if it is large
  coro::event done;
  std::unique_ptr<finished> outcome;  // with `done`
};

/// A handshake of ours that has not been answered yet; or is to begin, unless the peer makes one before.
struct datagram_transport::dial : coro::timer_node {
  dial(datagram_transport& of, link& to) noexcept
      : timer_node([](timer_node& n) {
          dial& d = static_cast<dial&>(n);
          d.owner.on_dial_silence(d);
        }),
        owner(of),
        towards(to) {}

  datagram_transport& owner;
  link& towards;
  std::optional<crypto::noise_handshake> handshake;  // nothing: not begun
  std::uint32_t index = 0;                           // 0: not begun
  bytes packet;
  std::vector<io::endpoint> targets;
  std::map<io::endpoint, cookie> cookies;  // of targets that are loaded
  std::uint32_t carried_request = 0;       // 0: none
  bool rekeys = false;                     // for a session that still serves: nobody need wait for it
  std::size_t transmissions = 0;
  time_point begun{};   // when it became wanted
  time_point called{};  // when its first flight went out first
  duration timeout{};
};

/// A large message on its way to a peer. A request belongs to its `pending`, whose timer drives it; an answer to the
/// link, and is driven by its own:
///
///     queued --a place is free--> sending --all there--> gone (a request: waits for its answer)
///                                   |
///                                   +--- silence for as long as patience lasts ---> gone, `large_answer_given_up`
struct datagram_transport::outgoing : coro::timer_node {
  struct place : coro::list_node {
    explicit place(outgoing& of) noexcept : owner(of) {}
    outgoing& owner;
  };

  outgoing(datagram_transport& by, link& to, frame_kind what, std::uint32_t number, std::uint8_t transmission_number,
           bytes_view message) noexcept
      : timer_node([](timer_node& n) {
          outgoing& o = static_cast<outgoing&>(n);
          o.owner.on_answer_silence(o);
        }),
        owner(by),
        towards(to),
        of(what),
        id(number),
        transmission(transmission_number),
        pieces(message) {}

  datagram_transport& owner;
  link& towards;
  frame_kind of;
  std::uint32_t id;
  std::uint8_t transmission;
  outgoing_message pieces;
  place where{*this};
  time_point begun{};     // of an answer, as are the following
  time_point progress{};  // begun, or when something of it arrived last
  duration timeout{};
  bytes encoded;
  byte_budget::share memory;
};

/// What large messages there are between us and one peer. Made with the first of them.
struct datagram_transport::large_traffic {
  static constexpr std::size_t max_answers = 32;  // to one peer, queued ones included
  static constexpr std::size_t max_served = 4;
  static constexpr duration served_life = std::chrono::seconds(10);

  /// A large request that was served: fragments of it that come late bring its answer again, if that was small.
  struct served {
    std::uint32_t id;
    std::uint8_t transmission;
    time_point when;
    bytes answer;  // a frame; empty: none, or a large one
    byte_budget::share memory;
  };

  send_window window;
  coro::list_node sending;  // in the order in which they came
  std::vector<std::unique_ptr<outgoing>> answers;
  reassembly incoming;
  std::vector<served> recently;  // oldest first
  time_point progress{};         // when something of ours arrived there last

  bool idle() const noexcept { return !sending.linked() && answers.empty() && incoming.empty() && recently.empty(); }
};

/// The sessions with one peer, oldest first.
class session_list {
 public:
  static constexpr std::size_t capacity = datagram_transport::max_sessions_per_peer;

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  session* const* begin() const noexcept { return all_.data(); }
  session* const* end() const noexcept { return all_.data() + size_; }
  session* front() const noexcept { return all_.front(); }
  session* back() const noexcept { return all_[size_ - 1]; }

  void push_back(session* added) noexcept {
    assert(size_ < capacity);
    all_[size_++] = added;
  }
  void erase(session* ended) noexcept {
    auto const last = std::remove(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(size_), ended);
    size_ = static_cast<std::size_t>(last - all_.begin());
  }

 private:
  std::array<session*, capacity> all_{};
  std::size_t size_ = 0;
};

/// All that there is between us and one peer.
struct datagram_transport::link {
  explicit link(peer_ref of) : who(std::move(of)) {}

  peer_ref who;
  std::optional<byte_array<32>> remote_static;  // once it was worked out
  session_list sessions;
  std::unique_ptr<dial> dialling;
  std::unique_ptr<large_traffic> large;
  coro::list_node waiting;    // requests that wait for a session
  coro::list_node in_flight;  // requests that went out on one

  bool wanted() const noexcept { return waiting.linked() || in_flight.linked(); }
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
