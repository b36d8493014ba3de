// libFuzzer: binary and text forms of an address, and of the peer ids in it, survive every round trip.
#include <cstdlib>

#include "kadoro/multiformats/key_protobuf.hpp"
#include "kadoro/multiformats/multiaddr.hpp"

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

void round_trip(kadoro::multiformats::multiaddr const& address) {
  using kadoro::multiformats::multiaddr;
  auto const from_text = multiaddr::parse(address.to_string());
  must(from_text && *from_text == address);
  auto const from_bytes = multiaddr::from_bytes(address.bytes());
  must(from_bytes && *from_bytes == address);
  auto const endpoint = address.udp_endpoint();
  if (address.is_datagram()) must(endpoint && multiaddr::datagram(*endpoint, address.peer()) == address);
  auto const bare = address.without_peer();
  must(!bare.peer());
  if (auto const peer = address.peer()) {
    auto const named = bare.with_peer(*peer);
    must(named.peer() == peer && named.without_peer() == bare && address.with_peer(*peer) == named);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace kadoro;
  bytes_view const input(data, size);
  if (auto const address = multiformats::multiaddr::from_bytes(input)) round_trip(*address);
  if (auto const address = multiformats::multiaddr::parse(as_text(input))) round_trip(*address);
  if (auto const id = multiformats::peer_id::parse(as_text(input))) {
    auto const again = multiformats::peer_id::parse(id->to_string());
    must(again && *again == *id);
  }
  if (auto const key = multiformats::decode_key(input))
    must(multiformats::encode_key(key->type, key->data) == to_bytes(input));
  return 0;
}
