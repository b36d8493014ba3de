#pragma once

#include <compare>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/multiformats/peer_id.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

/// The codes of the components that code asks for; the whole table is in the implementation.
namespace protocol {
inline constexpr std::uint32_t ip4 = 4;
inline constexpr std::uint32_t tcp = 6;
inline constexpr std::uint32_t ip6 = 41;
inline constexpr std::uint32_t ip6zone = 42;
inline constexpr std::uint32_t udp = 273;
inline constexpr std::uint32_t p2p = 421;
/// kadoro's datagram transport over UDP: no value, a code from multicodec's private-use area.
inline constexpr std::uint32_t kadoro = 0x30006b;
}  // namespace protocol

/// An address that says how it is spoken to, as `/ip4/192.0.2.1/udp/4001/kadoro/p2p/12D3KooW...` (multiformats,
/// multiaddr). Owns its binary form, which is always valid; default-constructed it is empty. Ordered by its bytes.
class multiaddr {
 public:
  static constexpr std::size_t max_bytes = 512;
  static constexpr std::size_t max_components = 16;

  struct component {
    std::uint32_t code = 0;
    bytes_view value;  ///< without its length prefix; empty if the protocol has no value
  };

  /// Walks the components; valid as long as the address lives and is not assigned to.
  class iterator {
   public:
    using value_type = component;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    using pointer = component const*;
    using reference = component const&;

    iterator() noexcept = default;
    explicit iterator(bytes_view rest) noexcept : rest_(rest) { load(); }

    component const& operator*() const noexcept { return current_; }
    component const* operator->() const noexcept { return &current_; }
    iterator& operator++() noexcept {
      rest_ = rest_.subspan(size_);
      load();
      return *this;
    }
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++*this;
      return before;
    }
    /// Within one address.
    friend bool operator==(iterator const& a, iterator const& b) noexcept { return a.rest_.size() == b.rest_.size(); }

    /// The binary form from this component on.
    bytes_view rest() const noexcept { return rest_; }

   private:
    KADORO_DECL void load() noexcept;

    bytes_view rest_;
    component current_;
    std::size_t size_ = 0;
  };

  multiaddr() noexcept = default;

  /// Fails with `malformed`, naming the text and what is wrong with it, or `too_large`.
  KADORO_DECL static result<multiaddr> parse(std::string_view text);

  /// Validates every component; an unknown code makes the whole address `malformed`, because its length is unknown.
  /// `too_large` beyond `max_bytes` or `max_components`.
  KADORO_DECL static result<multiaddr> from_bytes(bytes_view data);

  /// `/ip4/1.2.3.4/udp/4001/kadoro`, with `/p2p/...` behind it if `peer` is given.
  KADORO_DECL static multiaddr datagram(io::endpoint const& at, std::optional<peer_id> const& peer = std::nullopt);

  bool empty() const noexcept { return data_.empty(); }
  bytes_view bytes() const noexcept { return data_; }
  iterator begin() const noexcept { return iterator(data_); }
  iterator end() const noexcept { return {}; }

  KADORO_DECL std::string to_string() const;

  /// Whom one reaches there: the value of `/p2p`, if that is the last component. (A `/p2p` further in names a relay.)
  KADORO_DECL std::optional<peer_id> peer() const;

  /// Without any `/p2p` at the end.
  KADORO_DECL multiaddr without_peer() const;

  /// With `id` as the one `/p2p` at the end. Preconditions: `id` is not empty, and it still fits into the limits.
  KADORO_DECL multiaddr with_peer(peer_id const& id) const;

  /// The endpoint, if the address begins with ip4 or ip6 and udp, whatever follows. A zone before ip6 must be a number
  /// (an interface's index): names mean nothing here.
  KADORO_DECL std::optional<io::endpoint> udp_endpoint() const;

  /// Whether this is an address that `datagram` makes: ip, udp, kadoro, and p2p or nothing.
  KADORO_DECL bool is_datagram() const;

  friend bool operator==(multiaddr const&, multiaddr const&) noexcept = default;
  friend std::strong_ordering operator<=>(multiaddr const& a, multiaddr const& b) noexcept {
    return compare(a.data_, b.data_) <=> 0;
  }

 private:
  KADORO_DECL void append(std::uint32_t code, bytes_view value);

  kadoro::bytes data_;
};

}  // namespace kadoro::inline KADORO_ABI::multiformats

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/multiformats/impl/multiaddr.ipp"
#endif
