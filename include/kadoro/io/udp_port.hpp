#pragma once

#include <cstdint>
#include <span>

#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// A datagram as it came in. `data` is valid during the callback only, and may be written to (decryption in place).
struct datagram {
  endpoint from;
  bytes_span data;
};

/// Counters of one port; nothing is dropped without one.
struct udp_counters {
  std::uint64_t received = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t received_joined = 0;  ///< of these, in one message of the system with others of one sender (UDP_GRO)
  std::uint64_t sent = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t sent_joined = 0;         ///< of these, in one call with others to the same address (UDP_SEGMENT)
  std::uint64_t dropped_queue_full = 0;  ///< `send` beyond the bound of the queue
  std::uint64_t dropped_by_system = 0;   ///< the operating system refused the datagram several times
  std::uint64_t dropped_unread = 0;      ///< came, but found the socket's buffer full, or no receiver any more
  std::uint64_t truncated = 0;           ///< longer than `max_datagram_bytes`, dropped

  udp_counters& operator+=(udp_counters const& more) noexcept {
    received += more.received;
    received_bytes += more.received_bytes;
    received_joined += more.received_joined;
    sent += more.sent;
    sent_bytes += more.sent_bytes;
    sent_joined += more.sent_joined;
    dropped_queue_full += more.dropped_queue_full;
    dropped_by_system += more.dropped_by_system;
    dropped_unread += more.dropped_unread;
    truncated += more.truncated;
    return *this;
  }
};

inline constexpr std::size_t max_datagram_bytes = 2048;
inline constexpr std::size_t max_queued_datagrams = 4096;

/// Whether others may bind the address of a port.
enum class udp_sharing : std::uint8_t {
  alone,
  /// Ports that are all opened so, by one user, may have one address (SO_REUSEPORT): one a thread, each on its own
  /// context. The system gives what comes from one remote address and port to one of them, always the same one until
  /// another is opened or closed. A simulated context has none.
  shared
};

/// An unconnected UDP port, as `io::context::open_udp` gives it: the seam itself. Programs use `udp_socket`.
class udp_port {
 public:
  /// Receives what comes in, in batches, on the context's thread.
  class receiver {
   public:
    /// What one wake-up brought, in order; where that is very much, in several calls.
    virtual void on_datagrams(std::span<datagram> batch) = 0;
    /// ICMP said that nobody listens at `to`. Forgeable: a hint for texts, never a reason to give up.
    virtual void on_unreachable(endpoint const& to) = 0;

   protected:
    ~receiver() = default;
  };

  virtual ~udp_port() = default;

  /// Starts delivery to `to` (or stops it, if null). `to` must outlive the port or a later call with null.
  virtual void set_receiver(receiver* to) noexcept = 0;

  /// Queues a copy. Answers to a batch, given from within this port's `on_datagrams`, leave together after it;
  /// otherwise, twice in 100 us, what is queued leaves at once, and the rest by the end of the loop turn. Beyond
  /// `max_queued_datagrams` it is dropped and counted: UDP may lose datagrams anyway.
  virtual void send(endpoint const& to, bytes_view data) noexcept = 0;

  /// The bound address, with the real port.
  virtual endpoint local() const noexcept = 0;
  virtual udp_counters const& counters() const noexcept = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io
