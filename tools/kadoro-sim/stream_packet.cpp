#include "stream_packet.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>

#include "kadoro/crypto/sha256.hpp"

namespace kadoro_sim {

using namespace kadoro;

namespace {

constexpr std::size_t header_bytes = 1 + 8 + 8;
constexpr std::size_t open_padding_bytes = 32;

void put_number(bytes& out, std::uint64_t value, std::size_t size_bytes) {
  for (std::size_t i = size_bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

}  // namespace

stream_sealer::stream_sealer(std::optional<byte_array<32>> const& swarm_key) noexcept
    : key_(crypto::hmac_sha256(swarm_key.value_or(byte_array<32>{}), as_bytes("kadoro-sim stream"))) {}

bytes stream_sealer::write(stream_packet const& p) const {
  assert(p.body.size() <= stream_packet::max_body_bytes);
  bytes out;
  out.reserve(header_bytes + 16 + p.body.size() + stream_packet::mac_bytes);
  out.push_back(static_cast<std::uint8_t>(p.what));
  put_number(out, p.to, 8);
  put_number(out, p.from, 8);
  switch (p.what) {
    case stream_packet::kind::open: out.resize(out.size() + open_padding_bytes); break;
    case stream_packet::kind::accept: break;
    case stream_packet::kind::data:
      put_number(out, p.number, 4);
      out.push_back(p.last ? 1 : 0);
      out.append(p.body);
      break;
    case stream_packet::kind::ack:
      put_number(out, p.number, 4);
      put_number(out, p.beyond, 8);
      break;
    case stream_packet::kind::reset: out.push_back(static_cast<std::uint8_t>(p.why)); break;
  }
  crypto::digest const mac = crypto::hmac_sha256(key_, out);
  out.append(bytes_view(mac).first(stream_packet::mac_bytes));
  return out;
}

bool stream_sealer::authentic(bytes_view datagram) const noexcept {
  if (datagram.size() < header_bytes + stream_packet::mac_bytes) return false;
  std::size_t const covered = datagram.size() - stream_packet::mac_bytes;
  crypto::digest const mac = crypto::hmac_sha256(key_, datagram.first(covered));
  return sodium_memcmp(mac.data(), datagram.data() + covered, stream_packet::mac_bytes) == 0;
}

std::optional<stream_packet> stream_sealer::read(bytes_view datagram) noexcept {
  if (datagram.size() < header_bytes + stream_packet::mac_bytes) return std::nullopt;
  bytes_view const rest = datagram.subspan(header_bytes, datagram.size() - header_bytes - stream_packet::mac_bytes);
  stream_packet p;
  p.what = static_cast<stream_packet::kind>(datagram[0]);
  p.to = load_be<std::uint64_t>(datagram.data() + 1);
  p.from = load_be<std::uint64_t>(datagram.data() + 9);
  switch (p.what) {
    case stream_packet::kind::open: return rest.size() == open_padding_bytes ? std::optional(p) : std::nullopt;
    case stream_packet::kind::accept: return rest.empty() ? std::optional(p) : std::nullopt;
    case stream_packet::kind::data:
      if (rest.size() < 5 || rest.size() - 5 > stream_packet::max_body_bytes || rest[4] > 1) return std::nullopt;
      p.number = load_be<std::uint32_t>(rest.data());
      p.last = rest[4] == 1;
      p.body = rest.subspan(5);
      return p;
    case stream_packet::kind::ack:
      if (rest.size() != 12) return std::nullopt;
      p.number = load_be<std::uint32_t>(rest.data());
      p.beyond = load_be<std::uint64_t>(rest.data() + 4);
      return p;
    case stream_packet::kind::reset:
      if (rest.size() != 1 || rest[0] > static_cast<std::uint8_t>(stream_packet::reason::idle)) return std::nullopt;
      p.why = static_cast<stream_packet::reason>(rest[0]);
      return p;
  }
  return std::nullopt;
}

}  // namespace kadoro_sim
