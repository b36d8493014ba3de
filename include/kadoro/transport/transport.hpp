#pragma once

#include <string>

#include "kadoro/base/result.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/transport/message.hpp"
#include "kadoro/transport/observed_addresses.hpp"

namespace kadoro::inline KADORO_ABI::transport {

/// Who serves the requests that come in. Called on the context's thread, never from inside a call of the user's.
class handler {
 public:
  enum class reply {
    send,    ///< send `answer` (a refusal is an answer whose `refusal` is set)
    silence  ///< send nothing
  };

  /// `answer` comes in empty but for its type and key; what does not fit into one message is cut by the transport and
  /// marked by a cursor. Views in `answer` must stay valid until this returns to the transport's send, that is: they
  /// may point into the handler's own data or into `request`.
  virtual reply on_request(peer_ref const& from, message const& request, message& answer) = 0;

  /// A session with `who` is confirmed in both directions: it is alive, it is who it says, its address works.
  virtual void on_peer_confirmed(peer_ref const& who) = 0;

  /// `who` said goodbye, or went unanswered through a whole retransmission schedule.
  virtual void on_peer_lost(peer_ref const& who, error const& why) = 0;

 protected:
  ~handler() = default;
};

/// The seam below Kademlia: requests to a peer and from it. Implementations: `datagram::transport`.
class transport {
 public:
  /// Feature bits of a handshake.
  static constexpr std::uint32_t feature_signed_records = 1;  ///< signed records, renew, replicate
  static constexpr std::uint32_t feature_fragments = 2;       ///< messages in fragments, up to 64 of them
  static constexpr std::uint32_t feature_watch = 4;           ///< watch and push
  static constexpr std::uint32_t feature_content = 8;         ///< content-addressed records, renew_content

  virtual ~transport() = default;

  /// Sends `what` to `to` and completes with the answer. Opens a session if there is none; one that the peer opened
  /// serves too. Sent again as the peer's round-trip time demands; requests are idempotent, so an answer that was lost
  /// does no harm.
  ///
  /// Errors: `no_answer` (a whole schedule unanswered; the detail names the addresses tried, and both causes),
  /// `unreachable` (no address), `wrong_identity`, `too_large` (more than one message holds, or than the peer takes),
  /// `queue_full`, `cancelled`, `closed`. A refusal is an answer; so is `refused_unsupported` for what the peer's
  /// protocol has no words for, which is not even sent. A request that the protocol does not answer (libp2p's
  /// add_provider; what the handler there answers to it is not sent) completes when it has arrived. Any number may run
  /// at once. `what` and the bytes that it views must outlive the operation. Cancellation stops sending.
  virtual coro::task<result<message>> request(peer_ref to, message const& what) = 0;

  /// Serves what comes in from now on; null stops that. Must outlive the transport, or a call with null.
  virtual void set_handler(handler* to) noexcept = 0;

  /// The addresses at which this end can be dialled, with its own peer id, the most promising first: never one that
  /// says "anywhere". Empty only if this machine has no address of the family that it listens on.
  virtual std::vector<multiaddr> listen_addresses() const = 0;

  /// Whether a record fits wherever it may have to go: into a put, into a hand-on, and alone into an answer or a push.
  /// Gives the bytes of the longest of these; fails with `too_large`, naming both sizes.
  virtual result<std::size_t> check_record_fits(bytes_view key, wire::record const& what) const = 0;

  /// Where peers see this end, the latest word of each source. Empty where the protocol has no words for it.
  virtual std::vector<observation> observations() const { return {}; }

  /// Where the other end of the session with `who` is; nothing without one.
  virtual std::optional<io::endpoint> session_address(peer_ref const& who) const {
    static_cast<void>(who);
    return std::nullopt;
  }

  /// Whether a part of an answer by `who` is here, and the rest is under way.
  virtual bool receiving(peer_ref const& who) const {
    static_cast<void>(who);
    return false;
  }

  /// Calls `who` at `where` once, with a ping whose key is `nonce`, and waits for nothing. False, and nothing is sent,
  /// if this end has had to do with that peer or that address lately, or cannot do it.
  virtual bool knock(peer_ref const& who, io::endpoint const& where, bytes_view nonce) {
    static_cast<void>(who);
    static_cast<void>(where);
    static_cast<void>(nonce);
    return false;
  }

  /// Round trips from the first packet to a stranger until its answer to a request: a lookup is that patient.
  virtual int first_contact_round_trips() const noexcept { return 1; }

  /// What was counted, one `name=value` a word.
  virtual std::string counters_text() const = 0;

  /// Says goodbye to every peer, fails what is under way with `closed`, and completes when nothing is left.
  virtual coro::task<void> close() = 0;
};

}  // namespace kadoro::inline KADORO_ABI::transport
