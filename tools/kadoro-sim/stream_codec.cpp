#include "stream_codec.hpp"

#include <algorithm>
#include <string>

namespace kadoro_sim {

using namespace kadoro;
using transport::message;
using transport::message_type;

namespace {

constexpr std::uint32_t tombstone_flag = 1;

/// What libp2p's schema has of a record.
wire::record plain(wire::record const& r, bytes_view key) {
  wire::record out;
  out.key = r.key.empty() ? key : r.key;
  out.value = r.value;
  out.publisher = r.publisher;
  out.ttl_s = r.ttl_s;
  std::uint32_t const stated_ms = r.remaining_ms != 0 ? r.remaining_ms : r.lifetime_ms;
  if (out.ttl_s == 0 && stated_ms != 0) out.ttl_s = std::max(1u, stated_ms / 1000);
  return out;
}

bytes encode(wire::message const& w) {
  bytes out(wire::encoded_size(w));
  auto const written = wire::encode(w, out);
  return written ? out : bytes();
}

wire::message put_of(bytes_view key, wire::record const& what) {
  wire::message w;
  w.type = message_type::put_value;
  w.key = key;
  w.record = plain(what, key);
  return w;
}

}  // namespace

std::size_t stream_put_bytes(bytes_view key, wire::record const& what) {
  wire::message w = put_of(key, what);
  w.type = message_type::get_value;  // the answer to a get needs a little more
  w.record->ttl_s = ~std::uint32_t{0};
  return wire::encoded_size(w);
}

result<bytes> encode_stream_request(message const& m) {
  wire::message w;
  w.type = m.type;
  w.key = m.key;
  if (m.record) w.record = plain(*m.record, m.key);
  std::size_t const size = wire::encoded_size(w);
  if (size > max_stream_message_bytes)
    return fail(errc::too_large, "the request needs " + std::to_string(size) + " bytes, a stream's message holds " +
                                     std::to_string(max_stream_message_bytes));
  return encode(w);
}

bytes encode_stream_answer(message const& request, message const& answer) {
  wire::message w;
  w.type = request.type;
  w.key = request.key;
  if (request.type == message_type::put_value && request.record) {
    w.record.emplace();
    w.record->key = request.record->key.empty() ? request.key : request.record->key;
    w.record->value = request.record->value;
  } else {
    auto const first = std::find_if(answer.records.begin(), answer.records.end(),
                                    [](wire::record const& r) { return (r.flags & tombstone_flag) == 0; });
    if (first != answer.records.end()) w.record = plain(*first, request.key);
  }
  if (wire::encoded_size(w) > max_stream_message_bytes) w.record.reset();
  std::size_t size = wire::encoded_size(w);
  for (transport::peer_ref const& contact : answer.contacts) {
    wire::peer entry;
    entry.id = contact->id().bytes();
    for (transport::peer::address const& a : contact->addresses())
      if (a.confirmed) entry.addresses.push_back(a.where.bytes());
    if (entry.addresses.empty()) continue;
    size += wire::encoded_size(entry);
    if (size > max_stream_message_bytes || w.closer.size() == wire::message::max_peers) break;
    w.closer.push_back(std::move(entry));
  }
  return encode(w);
}

result<message> decode_stream_request(bytes_view data) {
  auto const w = wire::decode(data);
  if (!w) return fail(w.error());
  message m;
  m.type = w->type;
  m.key = w->key;
  if (w->record) {
    wire::record r = *w->record;
    r.remaining_ms = r.lifetime_ms = 0;  // fields that its readers skip
    m.record = plain(r, w->key);
  }
  return m;
}

result<message> decode_stream_answer(bytes_view data, transport::peer_book& book, transport::peer_id const& self) {
  auto const w = wire::decode(data);
  if (!w) return fail(w.error());
  message m;
  m.type = w->type;
  m.key = w->key;
  if (w->record) {
    wire::record r = *w->record;
    r.remaining_ms = r.lifetime_ms = 0;
    if (w->type == message_type::get_value)
      m.records.push_back(plain(r, w->key));
    else
      m.record = plain(r, w->key);
  }
  for (wire::peer const& entry : w->closer) {
    auto const id = transport::peer_id::from_bytes(entry.id);
    if (!id || *id == self) continue;
    transport::peer_ref const contact = book.intern(*id);
    for (bytes_view const raw : entry.addresses)
      if (auto const where = transport::multiaddr::from_bytes(raw)) contact->add_address(*where, false);
    m.contacts.push_back(contact);
  }
  return m;
}

}  // namespace kadoro_sim
