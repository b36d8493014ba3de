#pragma once

#include <algorithm>

#include "kadoro/transport/datagram/codec.hpp"
#include "kadoro/transport/datagram/fragment.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

namespace detail {

inline constexpr std::size_t cursor_field_bytes = 12;  // a two-byte tag and a 64-bit varint

/// Why a peer refused, as a number that never changes: its place in this list, counted from 1.
inline constexpr errc refusals[] = {
    errc::refused,           errc::refused_client_mode, errc::refused_stale,     errc::refused_publisher,
    errc::refused_signature, errc::refused_full,        errc::refused_too_large, errc::refused_rate,
    errc::refused_unknown,   errc::refused_unsupported, errc::refused_validator, errc::refused_hash};

inline std::uint32_t refusal_number(std::optional<errc> why) noexcept {
  if (!why) return 0;
  auto const at = std::find(std::begin(refusals), std::end(refusals), *why);
  return at == std::end(refusals) ? 1 : static_cast<std::uint32_t>(at - std::begin(refusals)) + 1;
}

inline std::optional<errc> refusal_of(std::uint32_t number) noexcept {
  if (number == 0) return {};
  return number <= std::size(refusals) ? refusals[number - 1] : errc::refused;
}

/// Into one that is as new.
inline void copy_without_lists(message const& m, wire::message& out) {
  out.type = m.type;
  out.key = m.key;
  out.record = m.record;
  out.refusal = refusal_number(m.refusal);
  out.sequence = m.sequence;
  out.since = m.since;
  out.head = m.head;
  out.brief = m.brief;
  out.refusal_text = m.refusal_text.first(std::min(m.refusal_text.size(), wire::message::max_refusal_text_bytes));
  out.durability = m.durability;
  out.retry_after_ms = m.retry_after_ms;
}

inline message without_contacts(wire::message const& w) {
  message m;
  m.type = w.type;
  m.key = w.key;
  m.record = w.record;
  m.records = w.records;
  m.refusal = refusal_of(w.refusal);
  m.records_cursor = w.records_cursor;
  m.contacts_cursor = w.contacts_cursor;
  m.sequence = w.sequence;
  m.since = w.since;
  m.head = w.head;
  m.brief = w.brief;
  m.providers = w.providers;
  m.refusal_text = w.refusal_text;
  m.durability = w.durability;
  m.retry_after_ms = w.retry_after_ms;
  return m;
}

/// Appends the peer; nothing, and false, for one without a confirmed address: it is not handed on.
inline bool add_to(pooled_vector<wire::peer>& list, peer const& p) {
  wire::peer& out = list.emplace_back();
  for (peer::address const& a : p.addresses())
    if (a.confirmed) out.addresses.push_back(a.where.bytes());
  out.id = p.id().bytes();
  if (!out.addresses.empty()) return true;
  list.pop_back();
  return false;
}

inline peer_list contacts_of(wire::message const& w, peer_book& book, peer_id const& self) {
  peer_list out;
  out.reserve(w.closer.size());
  for (wire::peer const& entry : w.closer) {
    auto const id = peer_id::from_bytes(entry.id);
    if (!id || *id == self) continue;
    peer_ref const contact = book.intern(*id);
    for (bytes_view const raw : entry.addresses) {
      if (contact->has_address(raw)) continue;  // as nearly always: hearsay adds nothing to it
      if (auto const where = multiaddr::from_bytes(raw)) contact->add_address(where->without_peer(), false);
    }
    out.push_back(contact);
  }
  return out;
}

}  // namespace detail

KADORO_DECL result<std::size_t> check_record_fits(bytes_view key, wire::record what) {
  what.remaining_ms = ~std::uint32_t{0};  // the longest that it can get
  wire::message handed_on;
  handed_on.type = message_type::replicate;
  handed_on.key = key;
  handed_on.record = what;
  wire::message answer;
  answer.type = message_type::get_value;
  answer.records.push_back(what);
  wire::message pushed;
  pushed.type = message_type::push;
  pushed.key = key;
  pushed.records.push_back(what);
  pushed.sequence = pushed.since = pushed.head = ~std::uint64_t{0};
  std::size_t const size = std::max({wire::encoded_size(handed_on), wire::encoded_size(pushed),
                                     wire::encoded_size(answer) + 2 * detail::cursor_field_bytes});
  if (size > max_large_message_bytes)
    return fail(errc::too_large, "the record needs " + std::to_string(size) + " bytes, one message holds " +
                                     std::to_string(max_large_message_bytes));
  return size;
}

KADORO_DECL result<bytes> encode_request(message const& m, std::size_t limit, wire::message& room) {
  wire::message& w = room;
  w.reset();
  detail::copy_without_lists(m, w);
  w.records = m.records;
  w.records_cursor = m.records_cursor;
  w.contacts_cursor = m.contacts_cursor;
  w.providers = m.providers;
  for (peer_ref const& contact : m.contacts) detail::add_to(w.closer, *contact);
  std::size_t const size = wire::encoded_size(w);
  if (size > limit)
    return fail(errc::too_large,
                "the request needs " + std::to_string(size) + " bytes, one message holds " + std::to_string(limit));
  bytes out(size);
  auto const written = wire::encode(w, out);
  if (!written) return fail(written.error());
  return out;
}

KADORO_DECL void cut_answer(message const& m, std::size_t room, oversized large, answer_page& out) {
  out.passed_over = 0;
  wire::message& w = out.what;
  w.reset();
  detail::copy_without_lists(m, w);
  std::size_t size = wire::encoded_size(w) + 2 * detail::cursor_field_bytes;
  w.records_cursor = m.records_cursor;  // of those that are there but not in `m`; nearer, if not all of it fits
  std::uint64_t last = 0;               // where the last one that fits stands
  auto record = m.records.begin();
  auto provider = m.providers.begin();
  while (record != m.records.end() || provider != m.providers.end()) {
    bool const is_record = provider == m.providers.end() ||
                           (record != m.records.end() && cursor_of(record->publisher) <= cursor_of(provider->id));
    std::uint64_t const here = cursor_of(is_record ? record->publisher : provider->id);
    std::size_t const more = is_record ? wire::encoded_size(*record) : wire::encoded_size(*provider);
    bool const has_place =
        is_record ? w.records.size() < wire::message::max_records : w.providers.size() < wire::message::max_peers;
    bool const fits = has_place && size + more <= room;
    if (!fits && last != 0) {  // never the same place again, or a page would never end
      w.records_cursor = std::max(here, last + 1);
      break;
    }
    if (!fits && large == oversized::ask_again) {
      w.records_cursor = here;
      break;
    }
    if (fits) {
      size += more;
      last = here;
      is_record ? w.records.push_back(*record) : w.providers.push_back(*provider);
    } else {
      ++out.passed_over;
    }
    is_record ? static_cast<void>(++record) : static_cast<void>(++provider);
  }
  std::uint32_t passed = 0;
  for (peer_ref const& contact : m.contacts) {
    if (detail::add_to(w.closer, *contact)) {
      std::size_t const more = wire::encoded_size(w.closer.back());
      if (size + more > room || w.closer.size() > wire::message::max_peers) {
        w.closer.pop_back();
        w.contacts_cursor = m.contacts_cursor + passed + 1;
        break;
      }
      size += more;
    }
    ++passed;
  }
  out.bytes_at_most = size;
}

KADORO_DECL result<message> decode_request(bytes_view data, wire::message& room) {
  auto const read = wire::decode(data, room);
  if (!read) return fail(read.error());
  return detail::without_contacts(room);
}

KADORO_DECL result<message> decode_answer(bytes_view data, peer_book& book, peer_id const& self, wire::message& room) {
  auto const read = wire::decode(data, room);
  if (!read) return fail(read.error());
  message m = detail::without_contacts(room);
  m.contacts = detail::contacts_of(room, book, self);
  return m;
}

KADORO_DECL result<message> decode_request(bytes_view data, peer_book& book, peer_id const& self, wire::message& room) {
  auto const read = wire::decode(data, room);
  if (!read) return fail(read.error());
  message m = detail::without_contacts(room);
  if (m.type == message_type::push) m.contacts = detail::contacts_of(room, book, self);
  return m;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
