#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>

#include "kadoro/multiformats/multiaddr.hpp"
#include "kadoro/multiformats/multibase.hpp"
#include "kadoro/multiformats/varint.hpp"

namespace kadoro::inline KADORO_ABI::multiformats {

namespace detail {

/// How the value of a component looks, in bytes and in text.
enum class value_kind : std::uint8_t {
  none,
  ip4,
  ip6,
  port,    ///< 2 bytes, decimal
  prefix,  ///< 1 byte, decimal
  number,  ///< 8 bytes, decimal
  text,    ///< printable ASCII without a slash: names of hosts and zones (IDNs come as Punycode)
  path,    ///< likewise, but begins with a slash, may hold more, and goes to the end of the address
  peer,
  hash  ///< a multihash, base64url
};

struct protocol_spec {
  std::uint32_t code;
  std::string_view name;
  value_kind kind;
};

inline constexpr std::array protocols{
    protocol_spec{protocol::ip4, "ip4", value_kind::ip4},
    protocol_spec{protocol::tcp, "tcp", value_kind::port},
    protocol_spec{protocol::ip6, "ip6", value_kind::ip6},
    protocol_spec{protocol::ip6zone, "ip6zone", value_kind::text},
    protocol_spec{43, "ipcidr", value_kind::prefix},
    protocol_spec{53, "dns", value_kind::text},
    protocol_spec{54, "dns4", value_kind::text},
    protocol_spec{55, "dns6", value_kind::text},
    protocol_spec{56, "dnsaddr", value_kind::text},
    protocol_spec{protocol::udp, "udp", value_kind::port},
    protocol_spec{280, "webrtc-direct", value_kind::none},
    protocol_spec{281, "webrtc", value_kind::none},
    protocol_spec{290, "p2p-circuit", value_kind::none},
    protocol_spec{400, "unix", value_kind::path},
    protocol_spec{protocol::p2p, "p2p", value_kind::peer},
    protocol_spec{448, "tls", value_kind::none},
    protocol_spec{449, "sni", value_kind::text},
    protocol_spec{454, "noise", value_kind::none},
    protocol_spec{460, "quic", value_kind::none},
    protocol_spec{461, "quic-v1", value_kind::none},
    protocol_spec{465, "webtransport", value_kind::none},
    protocol_spec{466, "certhash", value_kind::hash},
    protocol_spec{477, "ws", value_kind::none},
    protocol_spec{478, "wss", value_kind::none},
    protocol_spec{777, "memory", value_kind::number},
    protocol_spec{protocol::kadoro, "kadoro", value_kind::none},
};

inline protocol_spec const* find_protocol(std::uint64_t code) noexcept {
  auto const found = std::find_if(protocols.begin(), protocols.end(), [code](auto const& p) { return p.code == code; });
  return found == protocols.end() ? nullptr : &*found;
}

inline protocol_spec const* find_protocol(std::string_view name) noexcept {
  if (name == "ipfs") name = "p2p";  // its older name
  auto const found = std::find_if(protocols.begin(), protocols.end(), [name](auto const& p) { return p.name == name; });
  return found == protocols.end() ? nullptr : &*found;
}

/// The size of every value of that kind, or nothing if each value says its own.
inline std::optional<std::size_t> fixed_size(value_kind kind) noexcept {
  switch (kind) {
    case value_kind::none: return 0;
    case value_kind::prefix: return 1;
    case value_kind::port: return 2;
    case value_kind::ip4: return 4;
    case value_kind::number: return 8;
    case value_kind::ip6: return 16;
    default: return std::nullopt;
  }
}

inline bool is_printable(bytes_view value) noexcept {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](std::uint8_t c) { return c > 0x20 && c < 0x7f; });
}

inline bool is_multihash(bytes_view value) {
  auto const code = decode_varint(value);
  if (!code) return false;
  auto const length = decode_varint(value.subspan(code->size));
  return length && length->value > 0 && length->value == value.size() - code->size - length->size;
}

/// Whether a value of the right size is one that `value_text` can write.
inline bool is_valid(value_kind kind, bytes_view value) {
  switch (kind) {
    case value_kind::prefix: return value[0] <= 128;
    case value_kind::text: return is_printable(value) && std::find(value.begin(), value.end(), '/') == value.end();
    case value_kind::path: return is_printable(value) && value.size() > 1 && value[0] == '/';
    case value_kind::peer: return peer_id::from_bytes(value).has_value();
    case value_kind::hash: return is_multihash(value);
    default: return true;
  }
}

template <class Unsigned>
std::optional<bytes> parse_decimal(std::string_view text) {
  Unsigned value = 0;
  auto const [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || (text.size() > 1 && text[0] == '0'))
    return std::nullopt;
  bytes out(sizeof value);
  store_be(out.data(), value);
  return out;
}

inline std::optional<bytes> parse_ip(std::string_view text, bool v6) {
  if (text.find('%') != std::string_view::npos) return std::nullopt;  // a zone is a component of its own
  auto const parsed = io::endpoint::parse(v6 ? "[" + std::string(text) + "]:0" : std::string(text) + ":0");
  if (!parsed || parsed->is_v6() != v6) return std::nullopt;
  return to_bytes(parsed->address());
}

/// The value that `text` stands for; nothing if it stands for none. The result still needs `is_valid`.
inline std::optional<bytes> parse_value(value_kind kind, std::string_view text) {
  switch (kind) {
    case value_kind::none: return bytes{};
    case value_kind::ip4: return parse_ip(text, false);
    case value_kind::ip6: return parse_ip(text, true);
    case value_kind::port: return parse_decimal<std::uint16_t>(text);
    case value_kind::prefix: return parse_decimal<std::uint8_t>(text);
    case value_kind::number: return parse_decimal<std::uint64_t>(text);
    case value_kind::text:
    case value_kind::path: return to_bytes(as_bytes(text));
    case value_kind::peer: {
      auto const id = peer_id::parse(text);
      if (!id) return std::nullopt;
      return to_bytes(id->bytes());
    }
    case value_kind::hash: {
      auto decoded = decode_multibase(text);
      if (!decoded) return std::nullopt;
      return std::move(*decoded);
    }
  }
  return std::nullopt;
}

/// Of the value of an ip4 or ip6 component.
inline io::endpoint endpoint_of(bytes_view address, std::uint16_t port, std::uint32_t scope = 0) noexcept {
  if (address.size() == 4) {
    byte_array<4> v4;
    std::copy_n(address.begin(), v4.size(), v4.begin());
    return io::endpoint::v4(v4, port);
  }
  byte_array<16> v6;
  std::copy_n(address.begin(), v6.size(), v6.begin());
  return io::endpoint::v6(v6, port, scope);
}

/// The reverse of `parse_value`, for a valid value.
inline std::string value_text(value_kind kind, bytes_view value) {
  switch (kind) {
    case value_kind::none: return {};
    case value_kind::ip4: {
      std::string const text = endpoint_of(value, 0).to_string();
      return text.substr(0, text.rfind(':'));
    }
    case value_kind::ip6: {
      std::string const text = endpoint_of(value, 0).to_string();
      return text.substr(1, text.rfind(']') - 1);
    }
    case value_kind::port: return std::to_string(load_be<std::uint16_t>(value.data()));
    case value_kind::prefix: return std::to_string(value[0]);
    case value_kind::number: return std::to_string(load_be<std::uint64_t>(value.data()));
    case value_kind::text:
    case value_kind::path: return std::string(as_text(value));
    case value_kind::peer: return peer_id::from_bytes(value).value().to_string();
    case value_kind::hash: return encode_multibase_base64url(value);
  }
  return {};
}

struct split_component {
  protocol_spec const* spec = nullptr;
  bytes_view value;
  std::size_t size = 0;  ///< of the whole component
};

/// The component at the front of `data`, of which only the sizes are checked.
inline result<split_component> split_front(bytes_view data) {
  auto const code = decode_varint(data);
  if (!code) return fail(errc::malformed, "a multiaddr with " + code.error().message());
  split_component out;
  out.spec = find_protocol(code->value);
  if (out.spec == nullptr)
    return fail(errc::malformed, "a multiaddr with unknown protocol code " + std::to_string(code->value));
  bytes_view rest = data.subspan(code->size);
  auto length = fixed_size(out.spec->kind);
  if (!length) {
    auto const prefix = decode_varint(rest);
    if (!prefix) return fail(errc::malformed, "a multiaddr with " + prefix.error().message());
    rest = rest.subspan(prefix->size);
    length = static_cast<std::size_t>(std::min<std::uint64_t>(prefix->value, data.size() + 1));
  }
  if (*length > rest.size())
    return fail(errc::malformed, "a multiaddr whose /" + std::string(out.spec->name) + " is cut short");
  out.value = rest.first(*length);
  out.size = data.size() - rest.size() + *length;
  return out;
}

inline tl::unexpected<error> bad_multiaddr(std::string_view text, std::string const& why) {
  static constexpr std::size_t max_shown = 200;
  std::string sentence("'");
  sentence.append(text.substr(0, max_shown)).append("' is no multiaddr: ").append(why);
  return fail(errc::malformed, std::move(sentence));
}

}  // namespace detail

KADORO_DECL void multiaddr::iterator::load() noexcept {
  current_ = {};
  size_ = 0;
  if (rest_.empty()) return;
  auto const front = detail::split_front(rest_);
  assert(front);  // the owner has checked all of it
  current_ = {front->spec->code, front->value};
  size_ = front->size;
}

KADORO_DECL void multiaddr::append(std::uint32_t code, bytes_view value) {
  append_varint(data_, code);
  detail::protocol_spec const* spec = detail::find_protocol(code);
  assert(spec != nullptr);
  auto const fixed = detail::fixed_size(spec->kind);
  assert(!fixed || *fixed == value.size());
  if (!fixed) append_varint(data_, value.size());
  data_.append(value);
}

KADORO_DECL result<multiaddr> multiaddr::from_bytes(bytes_view data) {
  if (data.empty()) return fail(errc::malformed, "an empty multiaddr");
  if (data.size() > max_bytes) return fail(errc::too_large, "a multiaddr of " + std::to_string(data.size()) + " bytes");
  std::size_t count = 0;
  for (bytes_view rest = data; !rest.empty();) {
    if (++count > max_components)
      return fail(errc::too_large, "a multiaddr of more than " + std::to_string(max_components) + " components");
    auto const front = detail::split_front(rest);
    if (!front) return fail(front.error());
    rest = rest.subspan(front->size);
    bool const path_inside = front->spec->kind == detail::value_kind::path && !rest.empty();
    if (path_inside || !detail::is_valid(front->spec->kind, front->value))
      return fail(errc::malformed, "a multiaddr with a bad value of /" + std::string(front->spec->name));
  }
  multiaddr out;
  out.data_ = to_bytes(data);
  return out;
}

KADORO_DECL result<multiaddr> multiaddr::parse(std::string_view text) {
  if (text.size() > 4 * max_bytes)
    return fail(errc::too_large, "a multiaddr of " + std::to_string(text.size()) + " characters");
  multiaddr out;
  std::size_t count = 0;
  std::string_view rest = text;
  do {
    if (!rest.starts_with('/')) return detail::bad_multiaddr(text, "it does not begin with a slash");
    rest.remove_prefix(1);
    std::string const name(rest.substr(0, rest.find('/')));
    rest.remove_prefix(name.size());
    detail::protocol_spec const* spec = detail::find_protocol(std::string_view(name));
    if (spec == nullptr) return detail::bad_multiaddr(text, "'" + name + "' is no protocol we know");
    std::string_view value_text;
    if (spec->kind == detail::value_kind::path) {
      value_text = rest;
      rest = {};
    } else if (spec->kind != detail::value_kind::none) {
      if (rest.empty()) return detail::bad_multiaddr(text, "/" + name + " needs a value");
      rest.remove_prefix(1);
      value_text = rest.substr(0, rest.find('/'));
      rest.remove_prefix(value_text.size());
    }
    auto const value = detail::parse_value(spec->kind, value_text);
    if (!value || !detail::is_valid(spec->kind, *value))
      return detail::bad_multiaddr(text, "'" + std::string(value_text) + "' is no value of /" + name);
    if (++count > max_components) return fail(errc::too_large, "a multiaddr with too many components");
    out.append(spec->code, *value);
    if (out.data_.size() > max_bytes) return fail(errc::too_large, "a multiaddr that is too long");
  } while (!rest.empty());
  return out;
}

KADORO_DECL multiaddr multiaddr::datagram(io::endpoint const& at, std::optional<peer_id> const& peer) {
  multiaddr out;
  if (at.scope() != 0) out.append(protocol::ip6zone, as_bytes(std::to_string(at.scope())));
  out.append(at.is_v6() ? protocol::ip6 : protocol::ip4, at.address());
  byte_array<2> port;
  store_be(port.data(), at.port());
  out.append(protocol::udp, port);
  out.append(protocol::kadoro, {});
  if (peer && !peer->empty()) out.append(protocol::p2p, peer->bytes());
  return out;
}

KADORO_DECL std::string multiaddr::to_string() const {
  std::string out;
  for (component const& part : *this) {
    detail::protocol_spec const* spec = detail::find_protocol(part.code);
    out += '/';
    out += spec->name;
    if (spec->kind == detail::value_kind::none) continue;
    if (spec->kind != detail::value_kind::path) out += '/';
    out += detail::value_text(spec->kind, part.value);
  }
  return out;
}

KADORO_DECL std::optional<peer_id> multiaddr::peer() const {
  std::optional<peer_id> found;
  for (component const& part : *this) {
    found.reset();
    if (part.code == protocol::p2p) found = peer_id::from_bytes(part.value).value();
  }
  return found;
}

KADORO_DECL multiaddr multiaddr::without_peer() const {
  std::size_t kept_bytes = 0;
  for (iterator at = begin(); at != end();) {
    bool const names_peer = at->code == protocol::p2p;
    ++at;
    if (!names_peer) kept_bytes = data_.size() - at.rest().size();
  }
  multiaddr out = *this;
  out.data_.resize(kept_bytes);
  return out;
}

KADORO_DECL multiaddr multiaddr::with_peer(peer_id const& id) const {
  assert(!id.empty());
  multiaddr out = without_peer();
  out.append(protocol::p2p, id.bytes());
  assert(from_bytes(out.data_));
  return out;
}

KADORO_DECL std::optional<io::endpoint> multiaddr::udp_endpoint() const {
  // What nearly all look like, ip4 and udp, is asked for with every request.
  static constexpr byte_array<2> udp_code{0x91, 0x02};
  if (data_.size() >= 9 && data_[0] == protocol::ip4 && equal(bytes_view(data_).subspan(5, 2), udp_code))
    return detail::endpoint_of(bytes_view(data_).subspan(1, 4), load_be<std::uint16_t>(data_.data() + 7));
  iterator at = begin();
  std::uint32_t scope = 0;
  bool const zoned = at->code == protocol::ip6zone;
  if (zoned) {
    std::string_view const zone = as_text(at->value);
    auto const [end, code] = std::from_chars(zone.data(), zone.data() + zone.size(), scope);
    if (code != std::errc{} || end != zone.data() + zone.size()) return std::nullopt;
    ++at;
  }
  component const ip = *at;
  if (ip.code != protocol::ip6 && (zoned || ip.code != protocol::ip4)) return std::nullopt;
  ++at;
  if (at->code != protocol::udp) return std::nullopt;
  return detail::endpoint_of(ip.value, load_be<std::uint16_t>(at->value.data()), scope);
}

KADORO_DECL bool multiaddr::is_datagram() const {
  auto const endpoint = udp_endpoint();
  if (!endpoint) return false;
  return *this == datagram(*endpoint, peer());
}

}  // namespace kadoro::inline KADORO_ABI::multiformats
