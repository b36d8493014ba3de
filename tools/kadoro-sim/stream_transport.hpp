#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/coro/event.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/kad/node_options.hpp"
#include "kadoro/transport/datagram/rate_limiter.hpp"
#include "kadoro/transport/transport.hpp"
#include "stream_codec.hpp"
#include "stream_connection.hpp"

namespace kadoro_sim {

/// What a stream transport has counted. Every drop has a counter.
struct stream_counters {
  std::uint64_t strangers = 0;           ///< a wrong hash: another swarm key, or corrupted
  std::uint64_t malformed = 0;           ///< authentic, but no packet or message of ours
  std::uint64_t unknown_connection = 0;  ///< answered by a reset, as far as the rate allows
  std::uint64_t connections_full = 0;    ///< dials and openings that found no room
  std::uint64_t unexpected = 0;          ///< answers that nobody waits for any more
  std::uint64_t oversized = 0;           ///< messages over 16 KiB
  std::uint64_t dialled = 0;
  std::uint64_t accepted = 0;
  std::uint64_t lost = 0;  ///< connections that ended by silence or by a reset
  std::uint64_t requests_sent = 0;
  std::uint64_t requests_failed = 0;
  std::uint64_t requests_received = 0;
  std::uint64_t answers_received = 0;
  std::uint64_t refusals_sent = 0;  ///< exchanges that were reset
  std::uint64_t retransmissions = 0;
};

/// A transport that behaves as libp2p does, where the seam above it can see it: a connection costs two round trips
/// before its first request; an exchange is one message of at most 16 KiB in each direction, in libp2p's schema; a
/// refusal is a reset without a reason, and so is the answer to a request that the schema does not have; ADD_PROVIDER
/// is not answered; nothing is pushed; peers have no features.
///
/// The streams run over datagrams, because simulated hosts have nothing else, and peers are dialled at the same
/// addresses as those of the datagram transport (/ip4/../udp/../kadoro), so that a node needs no change. A peer's id is
/// what its hello says: the keyed hash in every datagram keeps strangers out, but members are believed.
class stream_transport final : public kadoro::transport::transport,
                               private kadoro::io::udp_port::receiver,
                               private stream_connection::owner {
 public:
  using message = kadoro::transport::message;
  using peer_ref = kadoro::transport::peer_ref;
  using peer_mode = kadoro::transport::peer_mode;

  static constexpr std::size_t max_connections = 1024;
  static constexpr std::size_t max_half_open = 128;
  static constexpr std::size_t max_connections_per_peer = 4;
  static constexpr std::size_t max_requests = 16384;  ///< under way at once
  static constexpr std::size_t max_dialled_addresses = 3;
  /// With an exchange on a connection that lives: a little longer than the patience with the connection itself, so that
  /// a dead one is named as the cause.
  static constexpr kadoro::duration exchange_patience = std::chrono::seconds(12);

  struct options {
    kadoro::io::endpoint listen;
    peer_mode mode = peer_mode::server;
    std::optional<kadoro::byte_array<32>> swarm_key = {};
  };

  /// Errors: those of `io::context::open_udp`. `context` and `book` must outlive the transport.
  static kadoro::result<std::unique_ptr<stream_transport>> open(kadoro::io::context& context,
                                                                kadoro::transport::peer_book& book,
                                                                kadoro::transport::peer_id const& self,
                                                                options const& how);
  ~stream_transport() override;

  kadoro::coro::task<kadoro::result<message>> request(peer_ref to, message const& what) override;
  void set_handler(kadoro::transport::handler* to) noexcept override { handler_ = to; }
  std::vector<kadoro::transport::multiaddr> listen_addresses() const override;
  kadoro::result<std::size_t> check_record_fits(kadoro::bytes_view key,
                                                kadoro::wire::record const& what) const override;
  int first_contact_round_trips() const noexcept override { return 3; }
  std::string counters_text() const override;
  kadoro::coro::task<void> close() override;

  kadoro::io::endpoint local() const noexcept { return port_->local(); }
  stream_counters const& counts() const noexcept { return counts_; }
  std::size_t connections() const noexcept { return connections_.size(); }
  std::size_t requests_under_way() const noexcept { return requests_.size(); }

 private:
  struct pending;
  using connection_map = std::map<std::uint64_t, std::unique_ptr<stream_connection>>;

  stream_transport(kadoro::io::context& context, kadoro::transport::peer_book& book,
                   kadoro::transport::peer_id const& self, options const& how,
                   std::unique_ptr<kadoro::io::udp_port> port);

  // Requests of ours.
  std::optional<kadoro::error> begin(pending& p);
  bool send_on(stream_connection& c, pending& p);
  void send_waiting(stream_connection& c);
  void complete(pending& p, kadoro::result<message> outcome);
  void on_exchange_silence(pending& p);
  kadoro::result<message> read_answer(pending const& p, kadoro::bytes_view body);

  // Connections.
  stream_connection* usable(peer_ref const& to) const;
  stream_connection* dialling(peer_ref const& to) const;
  std::vector<kadoro::io::endpoint> targets_of(kadoro::transport::peer const& to) const;
  std::optional<kadoro::error> dial(peer_ref const& to);
  bool make_room();
  bool has_requests(stream_connection const& c) const;
  std::uint64_t fresh_number();
  void open_up(stream_connection& c, kadoro::bytes_view hello);
  void confirm(stream_connection& c);
  void send_hello(stream_connection& c);
  void drop(stream_connection& c, kadoro::error const& why);
  void start_over(stream_connection& c, kadoro::error const& why);
  void lose(stream_connection& c, kadoro::error const& why);
  void say_reset(kadoro::io::endpoint const& to, std::uint64_t theirs, std::uint64_t ours, stream_packet::reason why);

  // What comes in.
  void on_datagrams(std::span<kadoro::io::datagram> batch) override;
  void on_unreachable(kadoro::io::endpoint const&) override {}
  void on_packet(kadoro::io::endpoint const& from, stream_packet const& p);
  void on_open(kadoro::io::endpoint const& from, stream_packet const& p);
  void on_reset(stream_connection& c, stream_packet::reason why);
  void on_request(stream_connection& c, std::uint32_t id, kadoro::bytes_view body);
  void on_answer(stream_connection& c, std::uint32_t id, std::optional<kadoro::bytes_view> body);
  void complete_acknowledged(stream_connection& c);

  // stream_connection::owner
  void send(kadoro::io::endpoint const& to, stream_packet const& p) override;
  void on_message(stream_connection& c, kadoro::bytes_view whole) override;
  void on_oversized(stream_connection& c, kadoro::bytes_view begin) override;
  void on_silence(stream_connection& c) override;
  void on_idle(stream_connection& c) override;

  kadoro::io::context& context_;
  kadoro::transport::peer_book& book_;
  kadoro::transport::peer_id id_;
  options options_;
  stream_sealer sealer_;
  std::unique_ptr<kadoro::io::udp_port> port_;
  kadoro::transport::handler* handler_ = nullptr;
  bool closed_ = false;

  connection_map connections_;                             // by our number
  std::vector<std::unique_ptr<stream_connection>> ended_;  // until nothing of them runs any more
  std::map<std::uint32_t, pending*> requests_;             // by the number of the exchange
  std::uint32_t next_exchange_ = 1;
  kadoro::coro::event drained_;  // set while no request is under way
  kadoro::transport::datagram::token_bucket resets_{100, 200};
  stream_counters counts_;
};

/// For `kad::node_options::transport`.
kadoro::result<std::unique_ptr<kadoro::transport::transport>> open_stream(kadoro::io::context& context,
                                                                          kadoro::transport::peer_book& book,
                                                                          kadoro::crypto::identity const& self,
                                                                          kadoro::kad::node_options const& options);

}  // namespace kadoro_sim
