#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "kadoro/coro/scheduler.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/transport/peer.hpp"
#include "stream_packet.hpp"

namespace kadoro_sim {

/// What TCP gives: whole messages, in order, each once, over datagrams that get lost. One round trip to open.
///
///     dialler:  opening --accept--> greeting --peer's hello--> open
///     listener: accepted ------------peer's hello------------> open
///
/// Hellos are the first message in each direction; the owner reads them. In every state the connection ends by a reset
/// or by silence; the owner ends it then. What is not acknowledged is sent again after a timeout that follows the
/// round-trip time and doubles.
class stream_connection final : private kadoro::coro::timer_node {
 public:
  enum class state : std::uint8_t { opening, greeting, accepted, open };

  static constexpr kadoro::duration patience = std::chrono::seconds(10);  ///< with one that acknowledges nothing
  static constexpr kadoro::duration idle_life = std::chrono::minutes(5);
  static constexpr std::uint32_t window = 64;  ///< fragments under way
  static constexpr std::size_t max_queued_bytes = std::size_t{256} << 10;

  class owner {
   public:
    virtual void send(kadoro::io::endpoint const& to, stream_packet const& p) = 0;
    virtual void on_message(stream_connection& c, kadoro::bytes_view whole) = 0;
    /// More than `limit_bytes` came without an end; `begin` is how it began. The rest is skipped.
    virtual void on_oversized(stream_connection& c, kadoro::bytes_view begin) = 0;
    virtual void on_silence(stream_connection& c) = 0;
    virtual void on_idle(stream_connection& c) = 0;

   protected:
    ~owner() = default;
  };

  /// As dialler, towards `targets`, the first of which to accept gets it; as listener, of what opened it.
  stream_connection(owner& of, kadoro::coro::scheduler& scheduler, std::uint64_t local,
                    std::vector<kadoro::io::endpoint> targets, std::size_t limit_bytes);
  stream_connection(owner& of, kadoro::coro::scheduler& scheduler, std::uint64_t local, std::uint64_t remote,
                    kadoro::io::endpoint const& from, std::size_t limit_bytes);
  stream_connection(stream_connection const&) = delete;
  stream_connection& operator=(stream_connection const&) = delete;

  /// Queues a message. False if the queue is full. `end` becomes what `acknowledged` takes.
  bool send_message(kadoro::bytes_view whole, std::uint32_t& end);
  bool acknowledged(std::uint32_t end) const noexcept { return end <= first_unacknowledged(); }

  /// Where a dialler goes on trying.
  void set_targets(std::vector<kadoro::io::endpoint> targets) { targets_ = std::move(targets); }
  void on_accept(kadoro::io::endpoint const& from, std::uint64_t remote);
  void accept_again();
  void on_data(stream_packet const& p);
  void on_ack(stream_packet const& p);
  /// Says what has come in since the last call, if anything has.
  void acknowledge();

  /// Nothing happens on it any more; what it calls next, it does not call.
  void end() noexcept;
  bool ended() const noexcept { return ended_; }
  void set_open() noexcept { now_ = state::open; }

  state now() const noexcept { return now_; }
  bool dialled() const noexcept { return dialled_; }
  std::uint64_t local() const noexcept { return local_; }
  std::uint64_t remote() const noexcept { return remote_; }
  kadoro::io::endpoint const& where() const noexcept { return targets_.front(); }
  std::vector<kadoro::io::endpoint> const& targets() const noexcept { return targets_; }
  kadoro::time_point heard_at() const noexcept { return heard_at_; }
  kadoro::time_point quiet_since() const noexcept { return quiet_since_; }
  kadoro::time_point used_at() const noexcept { return used_at_; }
  bool empty() const noexcept { return out_.empty(); }
  std::uint64_t retransmissions() const noexcept { return retransmissions_; }

  kadoro::transport::peer_ref who;  ///< whom the dialler wants; once open, who it is

 private:
  struct fragment {
    kadoro::bytes body;
    bool last = false;
    bool arrived = false;
    unsigned transmissions = 0;
    kadoro::time_point sent_at{};
  };
  struct received {
    kadoro::bytes body;
    bool last = false;
  };

  std::uint32_t first_unacknowledged() const noexcept { return first_out_; }
  void on_timer();
  void arm();
  void open_again();
  void pump();
  void transmit(std::size_t index);
  void take(received const& next);

  owner& owner_;
  kadoro::coro::scheduler& scheduler_;
  std::uint64_t local_;
  std::uint64_t remote_ = 0;
  std::vector<kadoro::io::endpoint> targets_;
  std::size_t limit_bytes_;
  bool dialled_;
  state now_;
  bool ended_ = false;

  kadoro::transport::rtt_estimator rtt_;
  kadoro::duration timeout_;
  kadoro::time_point begun_;
  kadoro::time_point next_send_;    // of `open`, or of what is not acknowledged
  kadoro::time_point quiet_since_;  // how long we wait in vain
  kadoro::time_point heard_at_;
  kadoro::time_point used_at_;
  unsigned opens_ = 0;
  std::uint64_t retransmissions_ = 0;

  std::deque<fragment> out_;
  std::uint32_t first_out_ = 0;  // the number of out_.front()
  std::size_t queued_bytes_ = 0;

  std::map<std::uint32_t, received> early_;  // beyond a gap, within the window
  std::uint32_t next_in_ = 0;
  kadoro::bytes assembling_;
  bool skipping_ = false;  // the rest of a message that was too large
  bool unsaid_ = false;    // an acknowledgement is due
};

}  // namespace kadoro_sim
