// libFuzzer: what an authentic but hostile peer may send as fragments and as words of what has arrived. Every input is
// a list of frames, each with its length before it; those with the highest bit of that set are padded to a full packet.
#include <cstdlib>

#include "kadoro/transport/datagram/outgoing_message.hpp"
#include "kadoro/transport/datagram/reassembly.hpp"

using namespace kadoro;
using namespace kadoro::transport::datagram;

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

bytes next_frame(bytes_view& input) {
  if (input.size() < 2) return {};
  std::size_t const size = std::min<std::size_t>(input[1], input.size() - 2);
  bytes out = to_bytes(input.subspan(2, size));
  if (input[0] >= 128) out.resize(max_frame_bytes);
  input = input.subspan(2 + size);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static bytes const message(max_large_message_bytes - 1, 1);
  bytes_view input(data, size);
  time_point now(std::chrono::seconds(1));
  byte_budget budget(3 * max_large_message_bytes);
  reassembly incoming;
  outgoing_message out(message);
  while (out.in_flight() < 40 && out.next(now)) {
  }
  for (bytes raw = next_frame(input); !raw.empty(); raw = next_frame(input)) {
    now += std::chrono::milliseconds(raw.size());
    auto const f = read_frame(raw);
    if (!f) continue;
    if (auto const part = read_fragment(*f)) {
      byte_array<max_frame_bytes> again{};
      must(write_fragment(*part, again) == raw.size() && equal(bytes_view(again).first(raw.size()), raw));
      if (incoming.add(*part, budget, now) == reassembly::outcome::whole) {
        std::size_t const whole = incoming.take(*part).size();
        must(whole > fragment_data_bytes && whole <= max_large_message_bytes);
      }
    }
    if (auto const word = read_arrived(*f)) {
      auto const news = out.on_arrived(word->bitmap, word->newest, now);
      if (news.forgotten) out.start_over(word->bitmap);
      must(news.arrived + news.lost <= max_fragments && out.in_flight() <= max_fragments);
      must(!out.there() || out.in_flight() == 0);
      if (out.there()) out.presume_lost();
      static_cast<void>(out.next(now));
    }
    must(budget.used() <= budget.limit());
    static_cast<void>(incoming.expire(now));
  }
  return 0;
}
