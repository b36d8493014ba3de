#pragma once

#include <cstdint>
#include <optional>

#include "kadoro/base/bytes.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

/// What one packet of a simulated TCP says. It travels as the data of a `flight`, so every fault of a link is its too.
struct segment {
  static constexpr std::size_t header_bytes = 33;
  static constexpr std::size_t max_data_bytes = 1200;

  enum flag : std::uint8_t {
    opens = 1,    ///< the caller wants a connection, or the called one agrees
    ends = 2,     ///< nothing follows the data in this segment
    resets = 4,   ///< there is no such connection, or no more
    asks = 8,     ///< for an answer: is there room by now?
    answers = 16  ///< from the called end
  };

  std::uint64_t number = 0;    ///< of the connection: no two of a world have the same
  std::uint64_t position = 0;  ///< of `data` in all that this end sends
  std::uint64_t received = 0;  ///< all before this has come in here, the end counting as one byte
  std::uint32_t room = 0;      ///< so many bytes more than that may be sent
  std::uint8_t flags = 0;
  bytes_view data;

  bool has(flag which) const noexcept { return (flags & which) != 0; }

  /// `into` keeps its memory for the next one.
  KADORO_DECL void encode(bytes& into) const;
  /// Empty if bits were flipped on the way. `data` refers to `from`.
  KADORO_DECL static std::optional<segment> decode(bytes_view from);
};

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/segment.ipp"
#endif
