#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/sim/segment.hpp"
#include "kadoro/io/tcp_connection.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

class listener;
class tcp_stack;

/// One end of a simulated TCP connection: a small TCP of its own (RFC 9293, 6298 and 6582 in outline) over the packets
/// of the world, so that latency, loss, bandwidth, partitions and NATs do to a stream what they do to real ones.
///
/// It has the three-way handshake, buffers of a fixed size on both sides, a window, slow start and congestion
/// avoidance, retransmission by time-out and by three repeated acknowledgements, half-close, reset, probes of a closed
/// window. It lacks options, delayed acknowledgements, selective ones, and TIME-WAIT, which the numbers of connections
/// make needless.
class stream final : private coro::timer_node, public std::enable_shared_from_this<stream> {
 public:
  /// What fits between a writer and the network, and between the network and a reader.
  static constexpr std::size_t buffer_bytes = 64 * 1024;
  /// Linux gives up after so long: a call after six repetitions, a connection after fifteen.
  static constexpr duration call_give_up = std::chrono::seconds(127);
  static constexpr duration give_up = std::chrono::minutes(15);
  /// How long it waits, when its program has closed it, for the other end to finish too.
  static constexpr duration linger = std::chrono::seconds(60);

  ///   calling --the other end agrees--> open --both ends finished, all arrived, closed here--> over
  ///   called  --the caller goes on----> open
  ///   any     --reset, given up, aborted, power cut--> over
  enum class phase : std::uint8_t { calling, called, open, over };

  KADORO_DECL stream(tcp_stack& stack, endpoint const& local, endpoint const& remote, std::uint64_t number,
                     phase begin);

  endpoint const& local() const noexcept { return local_; }
  endpoint const& remote() const noexcept { return remote_; }
  std::uint64_t number() const noexcept { return number_; }
  bool is_caller() const noexcept { return caller_; }
  phase now_in() const noexcept { return phase_; }
  tcp_counters const& counters() const noexcept { return counters_; }
  /// Where it waits to be accepted; null: nowhere.
  void set_listener(listener* at) noexcept { listener_ = at; }

  /// The first packet.
  KADORO_DECL void begin();
  /// One that has come in.
  KADORO_DECL void take(segment const& in);

  // For the program: as `tcp_connection`.
  void set_owner(tcp_connection::owner& to) noexcept { told_ = &to; }
  KADORO_DECL result<bool> connected();
  KADORO_DECL result<tcp_read> try_read(bytes_span into);
  KADORO_DECL result<std::size_t> try_write(bytes_view data);
  KADORO_DECL void shutdown_send();
  KADORO_DECL void abort();
  KADORO_DECL static void release(std::shared_ptr<stream> self);

  /// Ends it without a word to anybody on the network.
  KADORO_DECL void drop(errc why);

 private:
  std::uint64_t all() const noexcept { return first_ + out_.size(); }  // the position of the end
  bool in_flight() const noexcept { return next_ > first_ && !end_arrived_; }
  std::size_t room() const noexcept { return buffer_bytes - in_.size(); }

  KADORO_DECL void send(std::uint8_t flags, std::uint64_t position = 0, bytes_view data = {});
  KADORO_DECL void send_word();
  KADORO_DECL void send_part(std::uint64_t position, std::size_t size_bytes);
  KADORO_DECL void pump();
  KADORO_DECL void resend_first();
  KADORO_DECL void open(segment const& in);
  KADORO_DECL void take_acknowledgement(segment const& in);
  KADORO_DECL void note_progress(std::uint64_t upto);
  KADORO_DECL void grow_window(std::uint64_t arrived_bytes) noexcept;
  KADORO_DECL void take_data(segment const& in);
  KADORO_DECL bool append(std::uint64_t position, bytes_view data);
  KADORO_DECL void measure(duration round_trip) noexcept;
  KADORO_DECL duration patience() const noexcept;
  KADORO_DECL void start_timer();
  KADORO_DECL void end_if_done();
  KADORO_DECL void tell();
  KADORO_DECL void on_due();
  static void on_timer(timer_node& node) { static_cast<stream&>(node).on_due(); }

  tcp_stack* stack_;  // null once over
  endpoint local_;
  endpoint remote_;
  std::uint64_t number_;
  bool caller_;
  phase phase_;
  errc why_over_{};
  listener* listener_ = nullptr;
  tcp_connection::owner* told_ = nullptr;
  tcp_counters counters_;
  bool released_ = false;  // the program has closed it

  // What goes out: `out_` begins at `first_`, which has not arrived.
  bytes out_;
  std::uint64_t first_ = 0;
  std::uint64_t next_ = 0;   // to be sent
  std::uint64_t top_ = 0;    // all before was sent once
  std::uint64_t limit_ = 0;  // how far the other end has room
  bool end_wanted_ = false;
  bool end_arrived_ = false;

  // How much of it at a time, and again when.
  std::uint64_t window_ = 10 * segment::max_data_bytes;
  std::uint64_t threshold_ = buffer_bytes;
  std::uint64_t recover_ = 0;  // a loss is being repaired up to here
  unsigned repeats_ = 0;
  unsigned expiries_ = 0;
  time_point waiting_since_;
  std::optional<std::uint64_t> timed_;  // the position whose round trip is measured ...
  time_point timed_at_;                 // ... and when it left
  duration smoothed_{};
  duration variation_{};

  // What comes in.
  bytes in_;
  std::uint64_t expected_ = 0;
  std::map<std::uint64_t, bytes> ahead_;  // came before what belongs before it
  std::optional<std::uint64_t> end_at_;
  bool end_seen_ = false;
  std::size_t told_room_ = buffer_bytes;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/tcp_stack.hpp"  // the context needs both; its end has the bodies
#endif
