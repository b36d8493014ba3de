#pragma once

#include <algorithm>
#include <optional>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/random.hpp"
#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/transport/datagram/packet.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

using cookie = byte_array<mac_bytes>;

/// Says when first flights come so fast that decrypting each would be a burden. A decryption takes two hundred
/// microseconds: `calm_per_second` of them are a twentieth of a core.
class load_meter {
 public:
  static constexpr std::uint32_t calm_per_second = 256;

  /// Counts one more. True if it is more than that in this second, or if there were more in the second before.
  bool note(time_point now) noexcept {
    static constexpr duration second = std::chrono::seconds(1);
    if (!begun_ || now - *begun_ >= second) {
      before_ = begun_ && now - *begun_ < 2 * second ? count_ : 0;
      begun_ = now;
      count_ = 0;
    }
    ++count_;
    return count_ > calm_per_second || before_ > calm_per_second;
  }

 private:
  std::optional<time_point> begun_;
  std::uint32_t count_ = 0;
  std::uint32_t before_ = 0;
};

/// Makes cookies and knows them again, without remembering whom it gave one: a cookie is a mac over the address, under
/// a secret that lives for `secret_life`, and is still taken for as long again.
class cookie_maker {
 public:
  static constexpr duration secret_life = std::chrono::minutes(2);

  KADORO_DECL cookie make(io::endpoint const& of, time_point now, random_source& random);
  /// Whether mac2 of this first flight proves that `from` got a cookie. In constant time.
  KADORO_DECL bool knows(bytes_view first_flight, io::endpoint const& from, time_point now) const noexcept;

 private:
  struct secret {
    byte_array<32> key{};
    time_point made{};
    bool there = false;
  };
  KADORO_DECL static cookie cookie_of(secret const& by, io::endpoint const& of) noexcept;

  secret now_;
  secret before_;
};

/// mac2: proves that the sender was given `what`. Over everything before it.
KADORO_DECL byte_array<mac_bytes> mac2_of(bytes_view first_flight, cookie const& what) noexcept;

/// The packet that carries `what` to the sender of `first_flight`. Only who has seen that can read it.
KADORO_DECL byte_array<cookie_packet_bytes> write_cookie(swarm_keys const& keys, bytes_view first_flight,
                                                         cookie const& what, random_source& random) noexcept;
/// Nothing if it was not made for this first flight.
KADORO_DECL std::optional<cookie> read_cookie(swarm_keys const& keys, bytes_view first_flight,
                                              bytes_view packet) noexcept;

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/cookie.ipp"
#endif
