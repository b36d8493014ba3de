#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "kadoro/base/time.hpp"
#include "kadoro/crypto/sha256.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/multiformats/multiaddr.hpp"
#include "kadoro/multiformats/peer_id.hpp"
#include "kadoro/transport/rtt_estimator.hpp"
#include "kadoro/transport/work.hpp"

namespace kadoro::inline KADORO_ABI::transport {

using multiformats::multiaddr;
using multiformats::peer_id;

class peer_book;

/// The range of addresses that one owner usually holds, which limits count against: the first 3 bytes of IPv4, the
/// first 6 of IPv6. Nothing for private ones, where a range says nothing of an owner.
inline std::optional<std::uint64_t> counted_range(io::endpoint const& where) noexcept {
  return where.is_private() ? std::nullopt : std::optional(where.range());
}

/// What a peer does for others. A server answers and stores; a client only asks.
enum class peer_mode : std::uint8_t { unknown, server, client };

/// One peer, interned in a peer book: there is one object per id, shared by everybody who holds a `peer_ref`.
class peer {
 public:
  static constexpr std::size_t max_addresses = 8;

  /// Where the peer may be reached.
  struct address {
    multiaddr where;
    bool confirmed = false;                             ///< a session with this very identity worked there
    bool silent = false;                                ///< the last dial to it brought no answer
    std::optional<std::uint64_t> range = std::nullopt;  ///< that it counts against, see `counted_range`
  };

  peer_id const& id() const noexcept { return id_; }
  /// SHA-256 of the bytes of the id: where the peer is in the key space. Taken once.
  crypto::digest const& hash() const noexcept { return hash_; }

  /// It was slow, and has not been heard since: worth asking, not worth waiting for.
  bool doubtful() const noexcept { return slow_since > last_heard; }
  std::span<address const> addresses() const noexcept { return addresses_; }
  /// Whether `where`, the binary form of a multiaddr, is one of them: then it needs no second look.
  bool has_address(bytes_view where) const noexcept {
    return std::any_of(addresses_.begin(), addresses_.end(),
                       [where](address const& a) { return equal(a.where.bytes(), where); });
  }
  /// Somebody has told of a place where nobody has looked yet: what is known of the peer may be of the past.
  KADORO_DECL bool has_untried_address() const noexcept;

  /// Remembers an address, at most `max_addresses`: a confirmed one goes to the front, where dialling starts, and
  /// pushes out the last; hearsay goes to the end, and is ignored when there is no room.
  KADORO_DECL void add_address(multiaddr const& where, bool confirmed);
  /// Dialling that address brought no answer: it goes to the end, so that others have their turn.
  KADORO_DECL void set_silent(io::endpoint const& where);

  /// It does not live there after all.
  KADORO_DECL void forget_address(io::endpoint const& where);

  /// It has asked for a pause with requests of that kind, which is kept for a minute at most.
  void pause(work kind, time_point now, duration length) noexcept {
    static constexpr duration longest = std::chrono::minutes(1);
    paused_until_[static_cast<std::size_t>(kind)] = now + std::min(length, longest);
  }
  /// How long that still lasts; zero: nothing is known against asking.
  duration pause_left(work kind, time_point now) const noexcept {
    return std::max(paused_until_[static_cast<std::size_t>(kind)] - now, duration::zero());
  }

  rtt_estimator rtt;                    ///< of the exchanges with this peer
  peer_mode mode = peer_mode::unknown;  ///< as its last handshake said
  std::uint32_t features = 0;           ///< likewise
  time_point last_heard{};              ///< when the last authenticated datagram came in
  time_point slow_since{};              ///< when it last kept somebody waiting too long
  time_point lost_at{};                 ///< when a whole schedule had gone unanswered last
  std::uint32_t unanswered = 0;         ///< requests in a row that got no answer
  std::uint32_t under_way = 0;          ///< requests to it

 private:
  friend class peer_book;
  friend class peer_ref;

  explicit peer(peer_id const& id) : id_(id), hash_(crypto::sha256(id.bytes())) {}

  peer_id id_;
  crypto::digest hash_;
  std::vector<address> addresses_;
  std::array<time_point, work_kinds> paused_until_{};
  std::uint32_t references_ = 0;
  peer_book* book_ = nullptr;
};

/// A counted reference to an interned peer; may be empty. Eight bytes. One thread only.
class peer_ref {
 public:
  peer_ref() noexcept = default;
  explicit peer_ref(peer* to) noexcept : peer_(to) { acquire(); }
  peer_ref(peer_ref const& other) noexcept : peer_(other.peer_) { acquire(); }
  peer_ref(peer_ref&& other) noexcept : peer_(std::exchange(other.peer_, nullptr)) {}
  peer_ref& operator=(peer_ref other) noexcept {
    std::swap(peer_, other.peer_);
    return *this;
  }
  ~peer_ref() { release(); }

  peer* get() const noexcept { return peer_; }
  peer* operator->() const noexcept { return peer_; }
  peer& operator*() const noexcept { return *peer_; }
  explicit operator bool() const noexcept { return peer_ != nullptr; }
  friend bool operator==(peer_ref const& a, peer_ref const& b) noexcept { return a.peer_ == b.peer_; }

 private:
  void acquire() noexcept {
    if (peer_ != nullptr) ++peer_->references_;
  }
  void release() noexcept {
    if (peer_ != nullptr && --peer_->references_ == 0) forget();
  }
  KADORO_DECL void forget() noexcept;

  peer* peer_ = nullptr;
};

using peer_list = pooled_vector<peer_ref>;

/// The order of their ids, for containers of peers that are sought by either. None of them is empty.
struct by_peer_id {
  using is_transparent = void;
  template <class A, class B>
  bool operator()(A const& a, B const& b) const noexcept {
    return id_of(a) < id_of(b);
  }

 private:
  static peer_id const& id_of(peer_id const& id) noexcept { return id; }
  static peer_id const& id_of(peer const* who) noexcept { return who->id(); }
  static peer_id const& id_of(peer_ref const& who) noexcept { return who->id(); }
};

/// Interns peers: one object per id, gone when nobody refers to it any more, so the book is as small as its users are.
class peer_book {
 public:
  peer_book() = default;
  peer_book(peer_book const&) = delete;
  peer_book& operator=(peer_book const&) = delete;
  KADORO_DECL ~peer_book();

  KADORO_DECL peer_ref intern(peer_id const& id);
  /// Empty if nobody refers to that peer.
  KADORO_DECL peer_ref find(peer_id const& id) const;
  std::size_t size() const noexcept { return peers_.size(); }

 private:
  friend class peer_ref;
  std::set<peer*, by_peer_id> peers_;
};

}  // namespace kadoro::inline KADORO_ABI::transport

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/impl/peer.ipp"
#endif
