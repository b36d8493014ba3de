#pragma once

#include <algorithm>
#include <cassert>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <utility>

#include "kadoro/kad/content.hpp"
#include "kadoro/kad/kept_slot.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

/// Field numbers of what is kept; each record is a message of the wire's schema with nothing else in it.
namespace kept_field {
inline constexpr std::uint32_t valid = 1, pending = 2, dormant = 3, remembered = 4, own = 5, range = 6, brought_by = 7;
}

inline bytes kept_bytes(std::string const& written) { return to_bytes(as_bytes(written)); }

inline std::string kept_record(wire::record const& what) {
  wire::message m;
  m.record = what;
  std::string out(wire::encoded_size(m), '\0');
  auto const written = wire::encode(m, bytes_span(reinterpret_cast<std::uint8_t*>(out.data()), out.size()));
  assert(written.has_value());
  static_cast<void>(written);
  return out;
}

inline std::string kept_record(record const& what) {
  if (what.is_signed() || what.is_content()) return kept_record(to_wire(what, 0, false));
  wire::record w;  // what it says remains of it is its whole life
  w.value = what.value;
  w.publisher = what.publisher.bytes();
  w.remaining_ms = std::max(1u, to_wire_ms(what.lifetime_max));
  return kept_record(w);
}

inline auto damaged(char const* why) { return fail(errc::corrupt, why); }

inline bytes_view view_of(protozero::data_view const& data) { return as_bytes({data.data(), data.size()}); }

inline result<record> read_kept_record(bytes_view data, bytes_view key) {
  auto const m = wire::decode(data);
  if (!m || !m->record) return damaged("a record that cannot be read");
  wire::record const& w = *m->record;
  auto what = is_content(w)         ? content_from_wire(w, key)
              : w.signature.empty() ? unsigned_from_wire(w, key)
                                    : from_wire(w, key);
  if (!what) return damaged("a record that is not well formed");
  return what;
}

}  // namespace detail

// 's', the length of the record's key, that key, 0 or 1 for relayed, the owner, 0 or 1 for the part.
KADORO_DECL kadoro::bytes kept_slot::entry_key(bytes_view key, peer_id const& owner, bool relayed, part which) {
  kadoro::bytes out;
  out.reserve(key.size() + owner.bytes().size() + 4);
  out.push_back('s');
  out.push_back(static_cast<std::uint8_t>(key.size()));
  out.append(key);
  out.push_back(relayed ? 1 : 0);
  out.append(owner.bytes());
  out.push_back(static_cast<std::uint8_t>(which));
  return out;
}

KADORO_DECL std::uint64_t kept_slot::boot_scale::to_ms(time_point when) const noexcept {
  duration const since_boot = std::max(elapsed + (when - now), duration::zero());
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since_boot).count());
}

KADORO_DECL time_point kept_slot::boot_scale::from_ms(std::uint64_t ms) const noexcept {
  static constexpr std::uint64_t furthest = 1ull << 40;  // 34 years: nothing is kept that long, and nothing overflows
  return now + (std::chrono::milliseconds(std::min(ms, furthest)) - elapsed);
}

KADORO_DECL kadoro::bytes kept_slot::encode_records() const {
  namespace field = detail::kept_field;
  std::string out;
  protozero::pbf_writer writer(out);
  if (valid) writer.add_bytes(field::valid, detail::kept_record(valid->what));
  if (pending) writer.add_bytes(field::pending, detail::kept_record(pending->what));
  if (dormant) writer.add_bytes(field::dormant, detail::kept_record(dormant->what));
  if (remembered) writer.add_bytes(field::remembered, detail::kept_record(to_wire(*remembered, false)));
  if (!brought_by.empty()) writer.add_bytes(field::brought_by, std::string(as_text(brought_by.bytes())));
  return detail::kept_bytes(out);
}

KADORO_DECL kadoro::bytes kept_slot::encode_times(boot_scale const& scale) const {
  namespace field = detail::kept_field;
  std::string out;
  protozero::pbf_writer writer(out);
  if (valid) writer.add_uint64(field::valid, scale.to_ms(valid->expires));
  if (pending) writer.add_uint64(field::pending, scale.to_ms(pending->expires));
  if (dormant) writer.add_uint64(field::dormant, scale.to_ms(dormant->expires));
  writer.add_uint64(field::remembered, scale.to_ms(remember_until));
  if (own) writer.add_uint64(field::own, 1);
  if (range) writer.add_uint64(field::range, *range);
  return detail::kept_bytes(out);
}

KADORO_DECL result<kept_slot> kept_slot::decode(bytes_view records_key, bytes_view records, bytes_view times,
                                                boot_scale const& scale) try {
  namespace field = detail::kept_field;
  kept_slot out;
  if (records_key.size() < 4 || records_key.size() < std::size_t{4} + records_key[1])
    return detail::damaged("the name of a slot that cannot be read");
  std::size_t const key_bytes = records_key[1];
  bytes_view const rest = records_key.subspan(2 + key_bytes);
  bytes_view const owner_bytes = rest.subspan(1, rest.size() - 2);
  auto const owner = owner_bytes.empty() ? peer_id() : peer_id::from_bytes(owner_bytes);  // content has none
  if (!owner) return detail::damaged("the name of a slot without a peer id");
  out.key = to_bytes(records_key.subspan(2, key_bytes));
  out.relayed = rest.front() == 1;
  out.owner = *owner;

  for (protozero::pbf_reader reader(reinterpret_cast<char const*>(records.data()), records.size()); reader.next();) {
    std::uint32_t const tag = reader.tag();
    if (tag == field::brought_by) {
      auto const who = peer_id::from_bytes(detail::view_of(reader.get_view()));
      if (!who) return detail::damaged("content that nobody has brought");
      out.brought_by = *who;
      continue;
    }
    if (tag < field::valid || tag > field::remembered) {
      reader.skip();
      continue;
    }
    bytes_view const data = detail::view_of(reader.get_view());
    if (tag == field::remembered) {
      auto const m = wire::decode(data);
      if (!m || !m->record) return detail::damaged("a header that cannot be read");
      auto header = header_from_wire(*m->record, out.key);
      if (!header) return detail::damaged("a header that is not well formed");
      out.remembered = std::move(*header);
      continue;
    }
    auto what = detail::read_kept_record(data, out.key);
    if (!what) return fail(what.error());
    (tag == field::valid     ? out.valid
     : tag == field::pending ? out.pending
                             : out.dormant) = kept_copy{std::move(*what), {}};
  }

  bool complete = false;
  std::size_t timed = 0;
  for (protozero::pbf_reader reader(reinterpret_cast<char const*>(times.data()), times.size()); reader.next();) {
    std::uint32_t const tag = reader.tag();
    if (tag < field::valid || tag > field::range) {
      reader.skip();
      continue;
    }
    std::uint64_t const number = reader.get_uint64();
    if (tag == field::remembered) {
      complete = true;
      out.remember_until = scale.from_ms(number);
    } else if (tag == field::own) {
      out.own = true;
    } else if (tag == field::range) {
      out.range = number;
    } else {
      auto& of = tag == field::valid ? out.valid : tag == field::pending ? out.pending : out.dormant;
      if (!of) return detail::damaged("times of a record that is not there");
      of->expires = scale.from_ms(number);
      ++timed;
    }
  }
  std::size_t const copies = (out.valid ? 1u : 0u) + (out.pending ? 1u : 0u) + (out.dormant ? 1u : 0u);
  if (!complete || timed != copies || (copies == 0 && !out.remembered))
    return detail::damaged("a slot that is not complete");
  return out;
} catch (protozero::exception const&) {
  return detail::damaged("an entry that is no protobuf");
}

KADORO_DECL bool kept_slot::put_to_sleep(time_point last_known, time_point now) {
  if (pending && pending->what.verify()) valid = std::move(pending);
  pending.reset();
  duration const passed = now - last_known;
  if (valid && valid->what.is_content()) {  // it cannot be out of date: it goes on with what was left
    valid->expires += passed;
    return valid->expires > now;
  }
  if (valid && valid->what.is_signed()) {
    remembered = valid->what.header();
    remember_until = std::max(remember_until, valid->expires + memory_of(valid->what.lifetime_max));
    dormant = std::move(valid);
  }
  valid.reset();
  if (!remembered) return false;
  // Nobody knows how much time has passed: what was left when the times were last right counts from now.
  remember_until += passed;
  if (dormant) dormant->expires += passed;
  return remember_until > now;
}

}  // namespace kadoro::inline KADORO_ABI::kad
