#pragma once

#include <cstdint>
#include <optional>

#include "kadoro/base/bytes.hpp"

namespace kadoro_sim {

/// The datagrams that carry the streams of a `stream_transport`. Each names the connection at its receiver and the one
/// at its sender, and ends with a keyed hash, so that strangers and corruption are recognised.
struct stream_packet {
  enum class kind : std::uint8_t {
    open = 1,    ///< "connect": longer than the answer, so that nobody is flooded in somebody else's name
    accept = 2,  ///< the answer to it
    data = 3,    ///< a fragment of a message
    ack = 4,     ///< what has come in
    reset = 5    ///< this connection is over
  };
  enum class reason : std::uint8_t {
    unknown = 0,  ///< whoever sends this knows of no such connection: it has restarted, or a NAT moved the other
    goodbye = 1,  ///< it leaves
    idle = 2      ///< nobody used the connection
  };

  static constexpr std::size_t mac_bytes = 16;
  static constexpr std::size_t max_body_bytes = 1100;
  static constexpr std::size_t max_bytes = 1 + 8 + 8 + 4 + 1 + max_body_bytes + mac_bytes;

  kind what = kind::open;
  std::uint64_t to = 0;      ///< the receiver's number of the connection; 0 in `open`
  std::uint64_t from = 0;    ///< the sender's
  std::uint32_t number = 0;  ///< data: of the fragment; ack: of the first one that is missing
  std::uint64_t beyond = 0;  ///< ack: bit i says that number + 1 + i is here too
  bool last = false;         ///< data: the message ends here
  reason why = reason::unknown;
  kadoro::bytes_view body;  ///< data; after reading, a view of what was read
};

/// Writes and reads packets under the hash of one swarm.
class stream_sealer {
 public:
  explicit stream_sealer(std::optional<kadoro::byte_array<32>> const& swarm_key) noexcept;

  kadoro::bytes write(stream_packet const& p) const;
  /// Whether the hash is right. Everything else is decided by `read`.
  bool authentic(kadoro::bytes_view datagram) const noexcept;
  /// Nothing if an authentic datagram is none of ours.
  static std::optional<stream_packet> read(kadoro::bytes_view datagram) noexcept;

 private:
  kadoro::byte_array<32> key_;
};

}  // namespace kadoro_sim
