#pragma once

#include <algorithm>

#include "kadoro/transport/datagram/fragment.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

namespace detail {

inline std::size_t write_header(frame_kind kind, std::uint32_t id, std::uint8_t transmission, frame_kind of,
                                bytes_span out) noexcept {
  frame header;
  header.kind = kind;
  header.id = id;
  header.transmission = transmission;
  std::size_t const size = write_frame(header, out);
  out[size] = static_cast<std::uint8_t>(of);
  return size + 1;
}

inline std::optional<frame_kind> kind_of_message(std::uint8_t value) noexcept {
  auto const kind = static_cast<frame_kind>(value);
  return kind == frame_kind::request || kind == frame_kind::answer ? std::optional(kind) : std::nullopt;
}

}  // namespace detail

KADORO_DECL std::size_t write_fragment(fragment const& f, bytes_span out) noexcept {
  std::size_t const at = detail::write_header(frame_kind::fragment, f.id, f.transmission, f.of, out);
  out[at] = f.index;
  out[at + 1] = f.count;
  store_be(out.data() + at + 2, f.number);
  std::copy(f.data.begin(), f.data.end(), out.begin() + fragment_header_bytes);
  return fragment_header_bytes + f.data.size();
}

KADORO_DECL std::size_t write_arrived(fragments_arrived const& a, bytes_span out) noexcept {
  std::size_t const at = detail::write_header(frame_kind::fragments_arrived, a.id, a.transmission, a.of, out);
  store_be(out.data() + at, a.bitmap);
  store_be(out.data() + at + 8, a.newest);
  return arrived_frame_bytes;
}

KADORO_DECL std::optional<fragment> read_fragment(frame const& f) noexcept {
  static constexpr std::size_t header_bytes = fragment_header_bytes - frame_header_bytes;
  if (f.kind != frame_kind::fragment || f.message.size() <= header_bytes) return {};
  auto const of = detail::kind_of_message(f.message[0]);
  if (!of) return {};
  fragment out;
  out.of = *of;
  out.id = f.id;
  out.transmission = f.transmission;
  out.index = f.message[1];
  out.count = f.message[2];
  out.number = load_be<std::uint16_t>(f.message.data() + 3);
  out.data = f.message.subspan(header_bytes);
  bool const last = out.index + 1 == out.count;
  bool const whole = out.data.size() == fragment_data_bytes;
  if (out.count < 2 || out.count > max_fragments || out.index >= out.count) return {};
  if (out.data.size() > fragment_data_bytes || (!last && !whole)) return {};
  return out;
}

KADORO_DECL std::optional<fragments_arrived> read_arrived(frame const& f) noexcept {
  if (f.kind != frame_kind::fragments_arrived || f.message.size() != arrived_frame_bytes - frame_header_bytes)
    return {};
  auto const of = detail::kind_of_message(f.message[0]);
  if (!of) return {};
  fragments_arrived out;
  out.of = *of;
  out.id = f.id;
  out.transmission = f.transmission;
  out.bitmap = load_be<std::uint64_t>(f.message.data() + 1);
  out.newest = load_be<std::uint16_t>(f.message.data() + 9);
  return out;
}

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
