#include "flood.hpp"

#include <algorithm>
#include <optional>

#include "kadoro/transport/datagram/cookie.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

namespace kadoro_sim {

using namespace kadoro;
using namespace std::chrono_literals;
namespace datagram = transport::datagram;

namespace {

constexpr duration judged_after = 1s;

/// Nothing where the transport is another one.
std::optional<std::uint64_t> decrypted_in_vain(member& of) {
  if (!of.running()) return std::nullopt;
  auto const* const own = dynamic_cast<datagram::datagram_transport*>(&of.transport()->inner());
  if (own == nullptr) return std::nullopt;
  return own->counts().of(datagram::drop::other_identity);
}

}  // namespace

void flood::next() {
  when_.after(1s + around(6s, random_), [this] {
    burst();
    if (sent_ < most) next();
  });
}

void flood::burst() {
  auto const& members = run_.members();
  member& to = *members[static_cast<std::size_t>(random_.below(members.size()))];
  if (!to.running() || to.how().nat != nullptr) return;
  std::size_t const count = 100 + static_cast<std::size_t>(random_.below(901));
  std::uint64_t const kind = random_.below(3);
  run_.note("flood", std::to_string(count) + " to " + std::to_string(to.how().index));
  flights_.clear();
  for (std::size_t i = 0; i < count && sent_ < most; ++i, ++sent_) {
    auto const port = static_cast<std::uint16_t>(1024 + random_.below(60'000));
    bytes const what = kind == 0 ? junk() : kind == 1 ? damaged() : stamped();
    run_.world().inject(address_in(realm::flooder, 1, port), to.how().address, what);
    if (kind == 2) flights_[port] = what;
  }
  auto const before = decrypted_in_vain(to);
  if (before) when_.after(judged_after, [this, &to, life = to.life(), n = *before] { judge(to, life, n); });
  if (kind != 2 || !run_.made_of().secret || run_.made_of().transport != transport_kind::datagram) return;
  // In the crowd somebody without the key, who hopes that a loaded member looks less closely.
  bytes out = stamped();
  out[datagram::first_flight_bytes - datagram::mac_bytes - 1] ^= 1;
  run_.world().inject(address_in(realm::strangers, 1, 4001), to.how().address, out);
}

void flood::on_told(io::endpoint const& from, io::endpoint const& to, bytes_view data) {
  auto const flight = flights_.find(to.port());
  bool const is_cookie = data.size() == datagram::cookie_packet_bytes &&
                         data[0] == static_cast<std::uint8_t>(datagram::packet_type::cookie);
  if (run_.made_of().seed % 2 != 0 || !is_cookie || flight == flights_.end()) return;
  auto const given = datagram::read_cookie(keys_, flight->second, data);
  if (!given) return;
  bytes again = std::move(flight->second);
  flights_.erase(flight);
  auto const mac2 = datagram::mac2_of(again, *given);
  std::copy(mac2.begin(), mac2.end(), again.end() - datagram::mac_bytes);
  when_.after(run_.made_of().delay, [this, from, to, again] { run_.world().inject(to, from, again); });
}

/// Of what one range sends, only so much is worth a decryption, which is what a flood costs.
void flood::judge(member& of, std::uint64_t life, std::uint64_t before) {
  auto const now = decrypted_in_vain(of);
  if (!of.running() || of.life() != life || !now) return;
  static constexpr std::uint64_t allowed = 512 + 130 * (judged_after / 1s);  // a clock may run fast
  static constexpr std::uint64_t others = 32;  // first flights to whoever lived there before
  run_.judge().expect(*now - before <= allowed + others, check::within_bounds, [&] {
    return of.id().short_string() + " has tried to decrypt " + std::to_string(*now - before) +
           " first flights of a flood within " + std::to_string(judged_after / 1s) + " s";
  });
}

/// Random bytes, as a rule with a first byte that means something.
bytes flood::junk() {
  bytes out(1 + static_cast<std::size_t>(random_.below(1400)));
  random_.fill(out);
  if (random_.below(4) != 0) out[0] = static_cast<std::uint8_t>(1 + random_.below(4));
  return out;
}

/// Something that a member once said: cut, extended, or with a byte changed. The flooder can make its mac1 right.
bytes flood::damaged() {
  recorded const* const one = ear_.any();
  if (one == nullptr) return junk();
  bytes out = one->data;
  switch (random_.below(3)) {
    case 0: out.resize(static_cast<std::size_t>(random_.below(out.size()))); break;
    case 1: out.resize(out.size() + 1 + static_cast<std::size_t>(random_.below(200))); break;
    default: {
      auto const at = static_cast<std::size_t>(random_.below(out.size()));
      auto const by = static_cast<std::uint8_t>(1 + random_.below(255));
      out[at] ^= by;
    }
  }
  if (out.size() > datagram::mac_bytes && random_.below(2) == 0) {
    bool const flight = out[0] == 1 && out.size() == datagram::first_flight_bytes;  // mac2 is behind mac1
    keys_.stamp(bytes_span(out).first(out.size() - (flight ? datagram::mac_bytes : 0)));
  }
  return out;
}

/// A first flight that only the decryption can tell from a true one; of a stream, one that is true.
bytes flood::stamped() {
  if (run_.made_of().transport == transport_kind::stream) {
    stream_packet open;
    open.from = random_.next();
    return sealer_.write(open);
  }
  bytes out(datagram::first_flight_bytes);
  random_.fill(out);
  out[0] = static_cast<std::uint8_t>(datagram::packet_type::first_flight);
  out[1] = datagram::protocol_version;
  keys_.stamp(bytes_span(out).first(out.size() - datagram::mac_bytes));
  return out;
}

}  // namespace kadoro_sim
