#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/base/error.hpp"
#include "kadoro/transport/peer.hpp"
#include "kadoro/wire/message.hpp"

namespace kadoro::inline KADORO_ABI::transport {

using wire::message_type;

/// Whether a request changes nothing at the peer. Only such a one may ride in a first flight, which can be replayed.
constexpr bool is_read(message_type type) noexcept {
  return type == message_type::ping || type == message_type::find_node || type == message_type::get_value ||
         type == message_type::get_providers;
}

/// One request or answer as Kademlia sees it, without its lists.
struct message_fields {
  message_type type = message_type::ping;
  bytes_view key;
  std::optional<wire::record> record;
  std::optional<errc> refusal;        ///< in an answer: why the peer did not do it
  std::uint64_t records_cursor = 0;   ///< request: go on from here; answer: 0 = that was all, else where to go on
  std::uint32_t contacts_cursor = 0;  ///< likewise, for `contacts`
  std::uint64_t sequence = 0;
  std::uint64_t since = 0;  ///< of a push, and of the answer to a watch: see `wire::message`
  std::uint64_t head = 0;   ///< likewise
  bytes_view refusal_text;  ///< with `refused_validator`: its reason; of a peer, so not to be printed as it is
  wire::durability durability = wire::durability::not_said;
  bool brief = false;  ///< of a get_value: whoever has a record sends no contacts
  /// Set by the transport: a request in a first flight, from an address to which this end has not sent anything lately.
  bool unsolicited = false;
  std::uint32_t retry_after_ms = 0;  ///< with `refused_rate`: when the same may be asked again; 0: not said
  std::shared_ptr<bytes const> storage;
};

/// One request or answer: peers are references, bytes are views, encoding happens below.
///
/// Whoever builds a message keeps the viewed bytes alive until the operation that takes it completes. A received
/// message keeps its own bytes alive in `storage`, as long as a copy of it exists.
struct message : message_fields {
  /// As new, but the lists keep their memory.
  void reset() {
    static_cast<message_fields&>(*this) = {};
    records.clear();
    contacts.clear();
    providers.clear();
  }

  /// In an answer: publishers in the order of `cursor_of`, as `providers` are; the transport sends what fits. In a
  /// request (a push): all of them, or `too_large`.
  pooled_vector<wire::record> records;
  /// Only those with a confirmed address are sent, and only that. In an answer: what fits. In a request (a push): all.
  peer_list contacts;
  pooled_vector<wire::peer> providers;  ///< of add_provider and get_providers; the transport sends what fits
};

/// Why a peer refused, in words; for an answer that is a refusal.
inline std::string why_refused(message const& answer) {
  std::string text = make_error_code(*answer.refusal).message();
  if (answer.retry_after_ms > 0) text += "; may be asked again in " + std::to_string(answer.retry_after_ms) + " ms";
  return text;
}

/// The position of a publisher in a list of records, never 0: pages are read in this order, so that a publisher that
/// comes or goes between two pages hides no other one. 63 bits of its key: nobody finds a key that shares a victim's.
inline std::uint64_t cursor_of(bytes_view publisher) noexcept {
  return 1 + (publisher.size() < 8 ? 0 : load_be<std::uint64_t>(publisher.data() + publisher.size() - 8) >> 1);
}

}  // namespace kadoro::inline KADORO_ABI::transport
