#pragma once

#include <algorithm>
#include <bit>
#include <cassert>
#include <protozero/basic_pbf_writer.hpp>
#include <protozero/buffer_fixed.hpp>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <utility>

#include "kadoro/wire/message.hpp"

namespace kadoro::inline KADORO_ABI::wire {

namespace detail {

using output = protozero::fixed_size_buffer_adaptor;
using writer = protozero::basic_pbf_writer<output>;

/// Field numbers, each in one place.
namespace message_field {
inline constexpr std::uint32_t type = 1, key = 2, record = 3, closer = 8, providers = 9, records = 1010, refusal = 1011,
                               records_cursor = 1012, contacts_cursor = 1013, sequence = 1014, since = 1015,
                               head = 1016, brief = 1017, durability = 1020, refusal_text = 1030, retry_after_ms = 1080;
}
namespace record_field {
inline constexpr std::uint32_t key = 1, value = 2, time_received = 5, publisher = 666, ttl_s = 777, sequence = 1000,
                               lifetime_ms = 1001, flags = 1002, signature = 1003, remaining_ms = 1004,
                               value_hash = 1005;
}
namespace peer_field {
inline constexpr std::uint32_t id = 1, address = 2, connection = 3;
}

/// Counts what a writer would write. It offers the same calls, so that one list of fields serves size and encoding.
class size_counter {
 public:
  void add_number(std::uint32_t field, std::uint64_t value) noexcept { size_ += tag_size(field) + varint_size(value); }
  void add_bytes(std::uint32_t field, bytes_view value) noexcept { add_length_delimited(field, value.size()); }
  template <class Part>
  void add_part(std::uint32_t field, Part const& part);

  std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t varint_size(std::uint64_t value) noexcept {  // seven bits a byte
    return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
  }
  static constexpr std::size_t tag_size(std::uint32_t field) noexcept { return varint_size(std::uint64_t{field} << 3); }
  void add_length_delimited(std::uint32_t field, std::size_t length) noexcept {
    size_ += tag_size(field) + varint_size(length) + length;
  }

  std::size_t size_ = 0;
};

/// Writes into a fixed buffer, which must be large enough.
class field_writer {
 public:
  explicit field_writer(output& out) noexcept : out_(out) {}

  void add_number(std::uint32_t field, std::uint64_t value) { writer(out_).add_uint64(field, value); }
  void add_bytes(std::uint32_t field, bytes_view value) {
    writer(out_).add_bytes(field, reinterpret_cast<char const*>(value.data()), value.size());
  }
  template <class Part>
  void add_part(std::uint32_t field, Part const& part);

 private:
  output& out_;
};

template <class Sink>
void put(Sink& sink, record const& r) {
  if (!r.key.empty()) sink.add_bytes(record_field::key, r.key);
  if (!r.value.empty()) sink.add_bytes(record_field::value, r.value);
  if (!r.time_received.empty()) sink.add_bytes(record_field::time_received, r.time_received);
  if (!r.publisher.empty()) sink.add_bytes(record_field::publisher, r.publisher);
  if (r.ttl_s != 0) sink.add_number(record_field::ttl_s, r.ttl_s);
  if (r.sequence != 0) sink.add_number(record_field::sequence, r.sequence);
  if (r.lifetime_ms != 0) sink.add_number(record_field::lifetime_ms, r.lifetime_ms);
  if (r.flags != 0) sink.add_number(record_field::flags, r.flags);
  if (!r.signature.empty()) sink.add_bytes(record_field::signature, r.signature);
  if (r.remaining_ms != 0) sink.add_number(record_field::remaining_ms, r.remaining_ms);
  if (!r.value_hash.empty()) sink.add_bytes(record_field::value_hash, r.value_hash);
}

template <class Sink>
void put(Sink& sink, peer const& p) {
  assert(!p.id.empty());
  sink.add_bytes(peer_field::id, p.id);
  for (bytes_view const address : p.addresses) sink.add_bytes(peer_field::address, address);
  if (p.connection != connection_type::not_connected)
    sink.add_number(peer_field::connection, static_cast<std::uint32_t>(p.connection));
}

template <class Sink>
void put(Sink& sink, message const& m) {
  if (m.type != message_type::put_value) sink.add_number(message_field::type, static_cast<std::uint32_t>(m.type));
  if (!m.key.empty()) sink.add_bytes(message_field::key, m.key);
  if (m.record) sink.add_part(message_field::record, *m.record);
  for (peer const& p : m.closer) sink.add_part(message_field::closer, p);
  for (peer const& p : m.providers) sink.add_part(message_field::providers, p);
  for (record const& r : m.records) sink.add_part(message_field::records, r);
  if (m.refusal != 0) sink.add_number(message_field::refusal, m.refusal);
  if (m.records_cursor != 0) sink.add_number(message_field::records_cursor, m.records_cursor);
  if (m.contacts_cursor != 0) sink.add_number(message_field::contacts_cursor, m.contacts_cursor);
  if (m.sequence != 0) sink.add_number(message_field::sequence, m.sequence);
  if (m.since != 0) sink.add_number(message_field::since, m.since);
  if (m.head != 0) sink.add_number(message_field::head, m.head);
  if (m.brief) sink.add_number(message_field::brief, 1);
  if (!m.refusal_text.empty()) sink.add_bytes(message_field::refusal_text, m.refusal_text);
  if (m.durability != durability::not_said)
    sink.add_number(message_field::durability, static_cast<std::uint32_t>(m.durability));
  if (m.retry_after_ms != 0) sink.add_number(message_field::retry_after_ms, m.retry_after_ms);
}

template <class Part>
std::size_t body_size(Part const& part) {
  size_counter counter;
  put(counter, part);
  return counter.size();
}

template <class Part>
void size_counter::add_part(std::uint32_t field, Part const& part) {
  add_length_delimited(field, body_size(part));
}

template <class Part>
void field_writer::add_part(std::uint32_t field, Part const& part) {
  std::size_t const size = body_size(part);
  if (size == 0) return add_bytes(field, {});  // protozero takes a size of 0 for "not known yet"
  writer parent(out_);
  writer header(parent, field, size);  // tag and length; nothing is left to do when it ends
  put(*this, part);
}

/// A protobuf that is well formed, but not what we take. Thrown and caught in this file only, beside protozero's own.
struct refused {
  errc code;
  char const* why;
};

inline void expect(protozero::pbf_reader const& reader, protozero::pbf_wire_type type) {
  if (reader.wire_type() != type) throw refused{errc::malformed, "a field of the wrong wire type"};
}

inline std::uint64_t number(protozero::pbf_reader& reader) {
  expect(reader, protozero::pbf_wire_type::varint);
  return reader.get_uint64();
}

inline std::uint32_t number32(protozero::pbf_reader& reader) { return static_cast<std::uint32_t>(number(reader)); }

inline bytes_view view(protozero::pbf_reader& reader) {
  expect(reader, protozero::pbf_wire_type::length_delimited);
  auto const data = reader.get_view();
  return as_bytes({data.data(), data.size()});
}

inline bytes_view view_of_size(protozero::pbf_reader& reader, std::size_t size, char const* why) {
  bytes_view const data = view(reader);
  if (!data.empty() && data.size() != size) throw refused{errc::malformed, why};
  return data;
}

inline bytes_view view_of_text(protozero::pbf_reader& reader) {
  bytes_view const text = view(reader);
  return text.first(std::min(text.size(), message::max_refusal_text_bytes));
}

inline protozero::pbf_reader reader_of(bytes_view data) {
  return {reinterpret_cast<char const*>(data.data()), data.size()};
}

inline record read_record(bytes_view data) {
  record r;
  for (auto reader = reader_of(data); reader.next();) {
    switch (reader.tag()) {
      case record_field::key: r.key = view(reader); break;
      case record_field::value: r.value = view(reader); break;
      case record_field::time_received: r.time_received = view(reader); break;
      case record_field::publisher: r.publisher = view(reader); break;
      case record_field::ttl_s: r.ttl_s = number32(reader); break;
      case record_field::sequence: r.sequence = number(reader); break;
      case record_field::lifetime_ms: r.lifetime_ms = number32(reader); break;
      case record_field::flags: r.flags = number32(reader); break;
      case record_field::signature: r.signature = view_of_size(reader, 64, "a signature not of 64 bytes"); break;
      case record_field::remaining_ms: r.remaining_ms = number32(reader); break;
      case record_field::value_hash: r.value_hash = view_of_size(reader, 32, "a value hash not of 32 bytes"); break;
      default: reader.skip();
    }
  }
  return r;
}

inline peer read_peer(bytes_view data) {
  peer p;
  for (auto reader = reader_of(data); reader.next();) {
    switch (reader.tag()) {
      case peer_field::id: p.id = view(reader); break;
      case peer_field::address: {
        p.addresses.push_back(view(reader));
        break;
      }
      case peer_field::connection: {
        std::uint64_t const value = number(reader);
        bool const known = value <= static_cast<std::uint32_t>(connection_type::cannot_connect);
        p.connection = known ? static_cast<connection_type>(value) : connection_type::not_connected;
        break;
      }
      default: reader.skip();
    }
  }
  if (p.id.empty()) throw refused{errc::malformed, "a peer without id"};
  return p;
}

template <class Element>
void push_bounded(pooled_vector<Element>& list, Element const& element, std::size_t limit) {
  if (list.size() >= limit) throw refused{errc::too_large, "a list in a message is too long"};
  list.push_back(element);
}

inline void read_message(bytes_view data, message& m) {
  for (auto reader = reader_of(data); reader.next();) {
    switch (reader.tag()) {
      case message_field::type: m.type = static_cast<message_type>(number32(reader)); break;
      case message_field::key: m.key = view(reader); break;
      case message_field::record: m.record = read_record(view(reader)); break;
      case message_field::closer: push_bounded(m.closer, read_peer(view(reader)), message::max_peers); break;
      case message_field::providers: push_bounded(m.providers, read_peer(view(reader)), message::max_peers); break;
      case message_field::records: push_bounded(m.records, read_record(view(reader)), message::max_records); break;
      case message_field::refusal: m.refusal = number32(reader); break;
      case message_field::records_cursor: m.records_cursor = number(reader); break;
      case message_field::contacts_cursor: m.contacts_cursor = number32(reader); break;
      case message_field::sequence: m.sequence = number(reader); break;
      case message_field::since: m.since = number(reader); break;
      case message_field::head: m.head = number(reader); break;
      case message_field::brief: m.brief = number(reader) != 0; break;
      case message_field::retry_after_ms: m.retry_after_ms = number32(reader); break;
      case message_field::refusal_text: m.refusal_text = view_of_text(reader); break;
      case message_field::durability: {
        std::uint64_t const value = number(reader);
        bool const known = value <= static_cast<std::uint32_t>(durability::on_disk);
        m.durability = known ? static_cast<durability>(value) : durability::not_said;
        break;
      }
      default: reader.skip();
    }
  }
}

}  // namespace detail

KADORO_DECL void message::reset() {
  static_cast<message_fields&>(*this) = {};
  closer.clear();
  providers.clear();
  records.clear();
}

KADORO_DECL std::size_t encoded_size(message const& m) { return detail::body_size(m); }

KADORO_DECL std::size_t encoded_size(record const& r) {
  detail::size_counter counter;
  counter.add_part(detail::message_field::records, r);
  return counter.size();
}

KADORO_DECL std::size_t encoded_size(peer const& p) {
  detail::size_counter counter;
  counter.add_part(detail::message_field::closer, p);
  return counter.size();
}

KADORO_DECL result<std::size_t> encode(message const& m, bytes_span out) {
  std::size_t const size = encoded_size(m);
  if (size > out.size())
    return fail(errc::too_large,
                "a message of " + std::to_string(size) + " bytes does not fit into " + std::to_string(out.size()));
  std::size_t const written = encode_fitting(m, out);
  assert(written == size);
  return written;
}

KADORO_DECL std::size_t encode_fitting(message const& m, bytes_span out) {
  detail::output buffer(reinterpret_cast<char*>(out.data()), out.size());
  detail::field_writer sink(buffer);
  detail::put(sink, m);
  return buffer.size();
}

KADORO_DECL result<message> decode(bytes_view data) {
  message m;
  auto const read = decode(data, m);
  if (!read) return fail(read.error());
  return m;
}

KADORO_DECL result<void> decode(bytes_view data, message& into) {
  into.reset();
  try {
    detail::read_message(data, into);
    return {};
  } catch (detail::refused const& e) {
    return fail(e.code, e.why);
  } catch (protozero::exception const&) {
    return fail(errc::malformed, "a message that is no protobuf");
  }
}

}  // namespace kadoro::inline KADORO_ABI::wire
