#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kadoro/coro/event.hpp"
#include "kadoro/crypto/identity.hpp"
#include "kadoro/crypto/noise.hpp"
#include "kadoro/io/context.hpp"
#include "kadoro/transport/address_range.hpp"
#include "kadoro/transport/datagram/codec.hpp"
#include "kadoro/transport/datagram/contact_memory.hpp"
#include "kadoro/transport/datagram/cookie.hpp"
#include "kadoro/transport/datagram/counters.hpp"
#include "kadoro/transport/datagram/first_flight_cache.hpp"
#include "kadoro/transport/datagram/packet.hpp"
#include "kadoro/transport/datagram/rate_limiter.hpp"
#include "kadoro/transport/datagram/reassembly.hpp"
#include "kadoro/transport/datagram/session.hpp"
#include "kadoro/transport/transport.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// What a datagram transport is opened with.
struct options {
  io::endpoint listen;                           ///< port 0: any free one
  std::optional<io::endpoint> also_listen = {};  ///< of the other family: the same end on IPv4 and on IPv6
  /// Shared: the same identity may listen there on other threads, too, with a transport each. A peer always comes to
  /// one of them, which alone has its session; a dial from here may be answered there, so such an end only answers.
  io::udp_sharing sharing = io::udp_sharing::alone;
  peer_mode mode = peer_mode::server;            ///< told to every peer in the handshake
  std::optional<byte_array<32>> swarm_key = {};  ///< strangers without it get no answer
  duration patience = std::chrono::seconds(3);   ///< how long an unanswered request is sent again
  /// Told to every peer in the handshake; without `feature_fragments` this end neither sends nor takes large messages.
  std::uint32_t features = transport::feature_signed_records | transport::feature_fragments | transport::feature_watch |
                           transport::feature_content;
  /// A session that is so old, or has carried so many packets in one direction, is due for another handshake; at twice
  /// that it is not used any more. The default of packets is far below any limit of the cipher.
  duration session_age = std::chrono::hours(2);
  std::uint64_t session_packets = std::uint64_t{1} << 32;
};

/// Requests over encrypted UDP: Noise IK sessions between Ed25519 identities, one round trip on first contact, one
/// afterwards; one datagram a message, or up to 64 fragments. docs/datagram.md describes every byte and every rule.
///
/// A request to a peer without a session starts a dial: the first flight, with the request inside if that is a read;
/// unless the peer is dialling us at this moment. The answer makes a session; whatever waits goes out on it. A request
/// that went out on a session and is not answered goes out again when the peer's retransmission timeout says so; from
/// the second silence on, or after a second, a dial runs beside it, in case the peer has restarted and lost the
/// session.
class datagram_transport final : public transport, private io::udp_port::receiver {
 public:
  static constexpr std::size_t max_sessions = 4096;
  static constexpr std::size_t max_unconfirmed_sessions = 512;
  static constexpr std::size_t max_sessions_per_peer = 4;
  static constexpr std::size_t max_sessions_per_range = 512;  ///< private ranges are not limited, here and below
  static constexpr std::size_t max_unconfirmed_sessions_per_range = 64;
  static constexpr std::size_t max_requests = 16384;          ///< under way at once
  static constexpr std::size_t max_requests_per_peer = 4096;  ///< to one peer
  static constexpr std::size_t max_requests_per_range = 8192;
  static constexpr std::size_t max_dialled_addresses = 3;
  static constexpr std::size_t max_request_fragment_bytes = std::size_t{4} << 20;  ///< open requests of all peers
  static constexpr std::size_t max_answer_fragment_bytes = std::size_t{16} << 20;  ///< open answers to requests of ours
  static constexpr std::size_t max_large_answer_bytes = std::size_t{16} << 20;     ///< answers on their way to peers
  /// However much a peer shows that it is at work on a request: after so many times the patience that fails.
  static constexpr int long_patience = 10;

  /// Binds the port. Errors: those of `io::context::open_udp`. `context` and `book` must outlive the transport.
  KADORO_DECL static result<std::unique_ptr<datagram_transport>> open(io::context& context, peer_book& book,
                                                                      crypto::identity const& self, options const& how);
  KADORO_DECL ~datagram_transport() override;

  KADORO_DECL coro::task<result<message>> request(peer_ref to, message const& what) override;
  void set_handler(handler* to) noexcept override { handler_ = to; }
  KADORO_DECL std::vector<multiaddr> listen_addresses() const override;
  KADORO_DECL result<std::size_t> check_record_fits(bytes_view key, wire::record const& what) const override;
  KADORO_DECL std::string counters_text() const override;
  KADORO_DECL std::vector<observation> observations() const override;
  KADORO_DECL std::optional<io::endpoint> session_address(peer_ref const& who) const override;
  KADORO_DECL bool receiving(peer_ref const& who) const override;
  KADORO_DECL bool knock(peer_ref const& who, io::endpoint const& where, bytes_view nonce) override;
  KADORO_DECL coro::task<void> close() override;

  io::endpoint local() const noexcept { return port_->local(); }
  /// Of the port of the other family, if there is one.
  std::optional<io::endpoint> also_local() const {
    return also_port_ ? std::optional<io::endpoint>(also_port_->local()) : std::nullopt;
  }
  /// Our address as the peer that answered a handshake last saw it.
  std::optional<io::endpoint> const& observed() const noexcept { return observed_; }
  counters const& counts() const noexcept { return counts_; }
  /// Of both ports, if there are two.
  KADORO_DECL io::udp_counters port_counts() const noexcept;
  std::size_t sessions() const noexcept { return sessions_.size(); }
  /// Bytes in use for large messages that are not whole yet, and for those that are on their way as answers.
  std::size_t fragment_bytes() const noexcept { return request_memory_.used() + answer_memory_.used(); }
  std::size_t large_answer_bytes() const noexcept { return sending_memory_.used(); }

 private:
  struct link;
  struct dial;
  struct pending;
  struct outgoing;
  struct large_traffic;

  datagram_transport(io::context& context, peer_book& book, crypto::identity const& self, options const& how,
                     std::unique_ptr<io::udp_port> port, std::unique_ptr<io::udp_port> also);

  // Ports.
  KADORO_DECL io::udp_port* port_to(io::endpoint const& to) const noexcept;
  KADORO_DECL void send(io::endpoint const& to, bytes_view data);
  KADORO_DECL std::vector<io::endpoint> dial_targets(peer const& who) const;
  KADORO_DECL std::string_view families() const noexcept;
  KADORO_DECL bool is_own(io::endpoint const& where) const;
  KADORO_DECL bool has_sent_to(io::endpoint const& where) const;

  // Requests of ours.
  KADORO_DECL void prepare(pending& p, message const& what);
  KADORO_DECL std::optional<error> begin(pending& p);
  KADORO_DECL std::optional<error> too_many_requests_to(peer const& who) const;
  KADORO_DECL void count_request(pending& p);
  KADORO_DECL std::optional<message> still_paused(peer const& who, message const& what);
  KADORO_DECL std::optional<error> await_session(link& l, pending& p);
  KADORO_DECL void send_on(session& s, link& l, pending& p);
  KADORO_DECL time_point next_look(time_point since, duration timeout) const;
  KADORO_DECL void on_silence(pending& p);
  KADORO_DECL void complete(pending& p, result<message> outcome);
  KADORO_DECL void lose(peer_ref const& who, error const& why);
  KADORO_DECL void send_waiting(session& s, link& l);
  KADORO_DECL void send_again(session& s, link& l);
  KADORO_DECL error no_answer(peer const& to, std::size_t transmissions) const;

  // Dials.
  KADORO_DECL std::optional<error> start_dial(link& l, pending* carried);
  KADORO_DECL std::optional<time_point> called_until(dial const& d) const;
  KADORO_DECL std::optional<error> call(dial& d, pending* carried);
  KADORO_DECL std::optional<crypto::noise_handshake> write_first_flight(bytes_span packet, std::uint32_t index,
                                                                        byte_array<32> const& remote_static,
                                                                        frame const* carried);
  KADORO_DECL void send_first_flight(dial& d);
  KADORO_DECL void send_first_flight_to(dial const& d, io::endpoint const& to);
  KADORO_DECL void on_dial_silence(dial& d);
  KADORO_DECL void give_up(dial const& d);
  KADORO_DECL void end_dial(link& l, std::optional<error> failure);

  // What comes in.
  KADORO_DECL void on_datagrams(std::span<io::datagram> batch) override;
  KADORO_DECL void on_unreachable(io::endpoint const& to) override;
  KADORO_DECL void on_first_flight(io::datagram const& in);
  KADORO_DECL bool belong_together(byte_array<32> const& claimed, byte_array<32> const& remote_static) const;
  KADORO_DECL void send_early(session& s, link& l);
  KADORO_DECL void on_answer(io::datagram const& in);
  KADORO_DECL void on_sealed(io::datagram const& in);
  KADORO_DECL void give_cookie(io::datagram const& in);
  KADORO_DECL void on_cookie(io::datagram const& in);
  KADORO_DECL void on_other_identity(io::datagram const& in);
  KADORO_DECL void on_request_frame(session& s, io::endpoint const& where, frame const& f, bool assembled);
  KADORO_DECL void on_answer_frame(peer_ref const& from, io::endpoint const& where, frame const& f, bool exact);
  KADORO_DECL pending* asker_of(peer_ref const& from, frame const& f);
  KADORO_DECL void take_answer(pending& p, io::endpoint const& where, bytes encoded);

  /// An answer as it goes out: in the place that was offered, or, if it is larger, by itself.
  struct served_answer {
    bytes_view frame;  ///< empty: say nothing, or it is `large`
    bytes large;
  };
  KADORO_DECL served_answer serve(peer_ref const& from, io::endpoint const& where, frame const& f, bool may_write,
                                  bytes_span place, std::size_t room, oversized large);
  KADORO_DECL static served_answer write_answer(wire::message const& answer, std::size_t bytes_at_most, frame const& f,
                                                bytes_span place, std::size_t room);
  KADORO_DECL void say_who_we_are(io::datagram const& in);

  // Large messages.
  KADORO_DECL bool speaks_fragments(std::uint32_t features) const noexcept;
  KADORO_DECL large_traffic& large_of(link& l);
  KADORO_DECL void send_in_fragments(link& l, pending& p);
  KADORO_DECL bool is_queued(link const& l, pending const& p) const;
  KADORO_DECL void note_progress(pending& p);
  KADORO_DECL void answer_in_fragments(link& l, frame const& request, bytes answer);
  KADORO_DECL bool is_being_answered(link const& l, std::uint32_t id) const;
  KADORO_DECL void on_answer_silence(outgoing& o);
  KADORO_DECL void pump(link& l);
  KADORO_DECL void on_fragment(session& s, io::endpoint const& where, frame const& f);
  KADORO_DECL void remember_served(session& s, frame const& f, served_answer const& answer);
  KADORO_DECL void on_fragments_arrived(session& s, io::endpoint const& where, frame const& f);
  KADORO_DECL void owe_word(session const& s, fragments_arrived const& word);
  KADORO_DECL void send_words();
  KADORO_DECL void expire_fragments(link& l);
  KADORO_DECL io::endpoint where_of(link const& l) const;

  // New addresses of sessions.
  KADORO_DECL void note_path(session& s, io::endpoint const& where, frame_kind kind);
  KADORO_DECL void note_home(session& s);
  KADORO_DECL void challenge(session& s, io::endpoint const& to, std::uint8_t which, path_token const& token);
  KADORO_DECL void on_path_challenge(session& s, io::endpoint const& where, frame const& f);
  KADORO_DECL void on_path_response(session& s, io::endpoint const& where, bool newest, frame const& f);
  KADORO_DECL void move_session(session& s, io::endpoint const& to);
  KADORO_DECL void send_anew(link& l, pending& p);
  KADORO_DECL static std::vector<pending*> under_way(link& l);
  KADORO_DECL void send_path_frame(session& s, io::endpoint const& to, frame_kind kind, std::uint8_t which,
                                   bytes_view token);

  // Sessions.
  KADORO_DECL session* open_session(link& l, io::endpoint const& remote, crypto::noise_keys const& keys,
                                    std::uint32_t local_index, std::uint32_t remote_index, bool confirmed);
  KADORO_DECL std::optional<drop> make_room_for_session(io::endpoint const& from, bool confirmed, duration idle);
  KADORO_DECL void give_way(session& s);
  KADORO_DECL void confirm(session& s, link& l);
  KADORO_DECL void close_session(session& s);
  KADORO_DECL session* usable(link const& l) const;
  KADORO_DECL void seal_and_send(session& s, frame const& f);
  KADORO_DECL void seal_packet(session& s, bytes_span packet, std::size_t plain);
  KADORO_DECL void seal_packet_to(session& s, io::endpoint const& to, bytes_span packet, std::size_t plain);
  KADORO_DECL bool is_due(session const& s) const;
  KADORO_DECL bool is_worn_out(session const& s) const;
  KADORO_DECL void rekey(session& s);
  KADORO_DECL link& link_of(peer_ref const& to);
  KADORO_DECL void drop_link_if_idle(link& l);
  KADORO_DECL std::uint32_t fresh_index();
  KADORO_DECL void clean_up();

  struct cleaner : coro::timer_node {
    explicit cleaner(datagram_transport& of) noexcept
        : timer_node([](timer_node& n) { static_cast<cleaner&>(n).owner.clean_up(); }), owner(of) {}
    datagram_transport& owner;
  };

  io::context& context_;
  peer_book& book_;
  crypto::identity self_;
  peer_id id_;
  options options_;
  swarm_keys keys_;
  std::unique_ptr<io::udp_port> port_;
  std::unique_ptr<io::udp_port> also_port_;  // of the other family; may be null
  handler* handler_ = nullptr;
  bool closed_ = false;

  byte_budget request_memory_{max_request_fragment_bytes};
  byte_budget answer_memory_{max_answer_fragment_bytes};
  byte_budget sending_memory_{max_large_answer_bytes};
  std::map<peer_ref, link, by_peer_id> links_;
  std::map<std::uint32_t, session> sessions_;     // by local index
  std::map<std::uint32_t, dial*> dials_;          // by local index
  pooled_map<std::uint32_t, pending*> requests_;  // by request id
  std::size_t unconfirmed_ = 0;
  range_tally ranges_;              // of sessions
  range_tally unconfirmed_ranges_;  // likewise, unconfirmed ones
  range_tally request_ranges_;      // of requests under way
  std::uint32_t next_request_ = 0;
  coro::event drained_;  // set while no request is under way

  first_flight_cache first_flights_;
  rate_limiter handshakes_{128, 512, 2000, 4000};
  token_bucket introductions_{20, 50};
  load_meter load_;
  cookie_maker cookie_maker_;
  token_bucket cookies_{4000, 8000};
  std::map<io::endpoint, time_point> nobody_listens_;  // ICMP hints, bounded, for texts only
  std::optional<io::endpoint> observed_;
  observed_addresses seen_as_;
  contact_memory contacted_;
  counters counts_;
  std::vector<std::pair<std::uint32_t, fragments_arrived>> words_;  // to send at the end of a batch, by session
  cleaner cleaner_{*this};
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/transport/datagram/impl/cookies.ipp"
#include "kadoro/transport/datagram/impl/datagram_transport.ipp"
#include "kadoro/transport/datagram/impl/fragments.ipp"
#include "kadoro/transport/datagram/impl/knock.ipp"
#include "kadoro/transport/datagram/impl/paths.ipp"
#include "kadoro/transport/datagram/impl/ports.ipp"
#include "kadoro/transport/datagram/impl/room.ipp"
#endif
