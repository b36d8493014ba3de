#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

/// @file
/// Kademlia messages as protobuf: the `/ipfs/kad/1.0.0` schema (libp2p specs, kad-dht), with extension fields that
/// foreign peers skip. Everything here is a view: the bytes belong to the buffer that was decoded or to the caller.

namespace kadoro::inline KADORO_ABI::wire {

/// Values 0 to 5 are libp2p's, in its order; the others are kadoro's own and go only to peers that speak them.
enum class message_type : std::uint32_t {
  put_value = 0,
  get_value = 1,
  add_provider = 2,
  get_providers = 3,
  find_node = 4,
  ping = 5,
  renew = 64,      ///< extend the life of (key, sequence) of the sender's own record: no value, no signature
  replicate = 65,  ///< a holder hands a record on, with what remains of its life
  watch = 66,      ///< tell me what changes under this key from now on; answered with what has changed since `sequence`
  push = 67,       ///< a holder tells a watcher what has changed
  view = 68,       ///< a server tells another whom it knows, as a digest in `sequence`; answered with the same
  dial_back_please = 72,  ///< have somebody dial me whom I have not called; `key` is a nonce; answered with the address
  dial_back = 73,         ///< dial the one in `providers`, once, with the nonce
  dial_back_done = 74,    ///< `sequence` says whether somebody has: 1 or 0
  introduce = 76,         ///< a server tells another of some, as `providers`, whom it should know
  offer = 77,             ///< a holder that leaves asks whether a record that it names by its header is held here
  renew_content = 78      ///< extend the life of a content-addressed record to that of `record`, which has nothing else
};

enum class connection_type : std::uint32_t { not_connected = 0, connected = 1, can_connect = 2, cannot_connect = 3 };

/// Whether a record that was put is on disk at the peer. Said to those who ask.
enum class durability : std::uint32_t {
  not_said = 0,
  wanted = 1,   ///< request: say whether it is on disk, and see that it soon is
  pending = 2,  ///< answer: not yet, but it will be; ask again
  on_disk = 3   ///< answer: neither a crash of the process nor of the machine loses it
};

/// A record on the wire. A signed record has a publisher, a sequence and a signature; a header is a signed record whose
/// value is replaced by its SHA-256 (`value_hash`), which can still be verified.
struct record {
  bytes_view key;                  ///< field 1
  bytes_view value;                ///< field 2
  bytes_view time_received;        ///< field 5, RFC 3339 text, foreign peers only
  bytes_view publisher;            ///< field 666: peer id bytes
  std::uint32_t ttl_s = 0;         ///< field 777: remaining seconds, for foreign peers; 0 = not stated
  std::uint64_t sequence = 0;      ///< field 1000
  std::uint32_t lifetime_ms = 0;   ///< field 1001: lifetime_max, signed
  std::uint32_t flags = 0;         ///< field 1002, signed
  bytes_view signature;            ///< field 1003: 64 bytes Ed25519, empty in foreign records
  std::uint32_t remaining_ms = 0;  ///< field 1004: what is left, unsigned; 0 = nothing stated
  bytes_view value_hash;           ///< field 1005: in headers only
};

/// A few views in place: answers are mostly contacts, and none of these should need memory of its own.
class address_list {
 public:
  static constexpr std::size_t capacity = 8;

  address_list() noexcept {}
  /// The first `capacity` of them.
  address_list(std::initializer_list<bytes_view> all) noexcept { assign(all); }

  template <class Range>
  void assign(Range const& all) noexcept {
    size_ = 0;
    for (bytes_view const each : all) push_back(each);
  }
  /// No effect on a full one.
  void push_back(bytes_view address) noexcept {
    if (size_ < capacity) std::construct_at(all_ + size_++, address);
  }
  void clear() noexcept { size_ = 0; }

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  bytes_view operator[](std::size_t index) const noexcept { return all_[index]; }
  bytes_view const* begin() const noexcept { return all_; }
  bytes_view const* end() const noexcept { return all_ + size_; }

 private:
  union {  // the first `size_` are alive: to clear all of them took longer than to write a contact
    bytes_view all_[capacity];
  };
  std::size_t size_ = 0;
};

/// A contact on the wire.
struct peer {
  static constexpr std::size_t max_addresses = address_list::capacity;

  peer() noexcept {}  // `= default` would let `peer()` clear the list

  bytes_view id;           ///< field 1: peer id bytes
  address_list addresses;  ///< field 2: binary multiaddrs, at most `max_addresses` are kept
  connection_type connection = connection_type::not_connected;  ///< field 3
};

/// One request or answer, without its lists.
struct message_fields {
  message_type type = message_type::put_value;  ///< field 1
  bytes_view key;                               ///< field 2
  std::optional<wire::record> record;           ///< field 3
  std::uint32_t refusal = 0;          ///< field 1011: 0 = no refusal, else a reason (docs/datagram.md lists them)
  std::uint64_t records_cursor = 0;   ///< field 1012: in a request, where to go on; in an answer, 0 or the next value
  std::uint32_t contacts_cursor = 0;  ///< field 1013: likewise, for `closer`
  std::uint64_t sequence = 0;         ///< field 1014: of a renew; of a watch, the last change that the watcher knows of
  std::uint64_t since = 0;            ///< field 1015: of a push: the changes behind this one, up to `sequence`; 0: all
  std::uint64_t head = 0;  ///< field 1016: of a push: the last change that there is; more than `sequence`: more follows
  std::uint32_t retry_after_ms = 0;  ///< field 1080: with a refusal, when the same may be asked again
  bytes_view refusal_text;           ///< field 1030: what a validator said, at most `message::max_refusal_text_bytes`
  wire::durability durability = wire::durability::not_said;  ///< field 1020: of a put and of a renew
  bool brief = false;  ///< field 1017: of a get_value: no contacts where there is a record
};

/// One request or answer.
struct message : message_fields {
  /// As new, but the lists keep their memory.
  KADORO_DECL void reset();

  /// Decoding refuses more; no list from the network grows without bound.
  static constexpr std::size_t max_peers = 64;
  static constexpr std::size_t max_records = 64;
  static constexpr std::size_t max_refusal_text_bytes = 200;

  pooled_vector<peer> closer;           ///< field 8
  pooled_vector<peer> providers;        ///< field 9
  pooled_vector<wire::record> records;  ///< field 1010: all publishers of the key
};

/// The exact size that `encode` will produce.
KADORO_DECL std::size_t encoded_size(message const& m);
KADORO_DECL std::size_t encoded_size(record const& r);  ///< as an element of `records`, tag and length included
KADORO_DECL std::size_t encoded_size(peer const& p);    ///< as an element of a list, tag and length included

/// Writes `m` into `out`: fields in tag order, defaults omitted. Returns the bytes written, or `too_large` if `out` is
/// too small (then its content is unspecified).
KADORO_DECL result<std::size_t> encode(message const& m, bytes_span out);

/// Likewise for a message that is known to fit, whose size need not be counted. Returns the bytes written.
KADORO_DECL std::size_t encode_fitting(message const& m, bytes_span out);

/// Reads a message whose fields may come in any order; repeated singular fields: the last wins; unknown fields are
/// skipped. The result views `data`. Errors: `malformed` for bytes that are no protobuf, wrong wire types, a missing
/// peer id, a signature that is not 64 bytes or a hash that is not 32; `too_large` beyond the limits above.
KADORO_DECL result<message> decode(bytes_view data);
/// The same, into a message whose lists keep their memory. After a failure its content is unspecified.
KADORO_DECL result<void> decode(bytes_view data, message& into);

}  // namespace kadoro::inline KADORO_ABI::wire

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/wire/impl/message.ipp"
#endif
