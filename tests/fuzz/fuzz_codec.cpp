// Whatever an authentic but hostile peer may put into a message: decoded as a request and as an answer, its records
// taken apart as a node does, and put into a store.

#include <cstdint>

#include "kadoro/kad/record_store.hpp"
#include "kadoro/transport/datagram/codec.hpp"

using namespace kadoro;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static transport::peer_id const self = transport::peer_id::of_ed25519({});
  bytes_view const input(data, size);
  wire::message room;
  auto const request = transport::datagram::decode_request(input, room);
  if (request && !request->contacts.empty()) __builtin_trap();  // a request teaches nothing

  transport::peer_book book;
  auto answer = transport::datagram::decode_answer(input, book, self, room);
  if (!answer) return 0;
  kad::verified_cache cache;
  kad::record_store store(kad::store_limits(), cache);
  time_point const now(std::chrono::seconds(1));
  for (wire::record const& w : answer->records) {
    auto what = kad::from_wire(w, as_bytes("key"));
    if (!what) continue;
    if (!what->well_formed()) __builtin_trap();
    store.put(*what, kad::record_store::origin::publisher_session, std::nullopt, what->lifetime_max, now);
  }
  while (store.verify_some(8)) {
  }
  for (auto const large : {transport::datagram::oversized::ask_again, transport::datagram::oversized::pass_over}) {
    auto const page = transport::datagram::cut_answer(*answer, 1200, large);
    std::size_t const bytes_of_page = wire::encoded_size(page.what);
    if (bytes_of_page > page.bytes_at_most) __builtin_trap();
    std::size_t const shown = page.what.records.size() + page.what.providers.size() + page.passed_over;
    if (shown < answer->records.size() + answer->providers.size() && page.what.records_cursor == 0) __builtin_trap();
  }
  return 0;
}
