#include <doctest/doctest.h>

#include "kadoro/base/random.hpp"
#include "kadoro/transport/datagram/outgoing_message.hpp"
#include "kadoro/transport/datagram/reassembly.hpp"
#include "kadoro/transport/datagram/send_window.hpp"

using namespace kadoro;
using namespace kadoro::transport::datagram;
using namespace std::chrono_literals;
using outcome = reassembly::outcome;

namespace {

bytes some_bytes(std::size_t size) {
  bytes out(size);
  chacha20_random random(size);
  random.fill(out);
  return out;
}

fragment to_fragment(outgoing_message::piece const& piece, std::uint32_t id = 7, std::uint8_t transmission = 0) {
  fragment f;
  f.id = id;
  f.transmission = transmission;
  f.index = piece.index;
  f.count = piece.count;
  f.number = piece.number;
  f.data = piece.data;
  return f;
}

}  // namespace

TEST_CASE("fragment: what is written is read, and nothing else") {
  bytes const data = some_bytes(fragment_data_bytes);
  fragment f;
  f.of = frame_kind::answer;
  f.id = 0x01020304;
  f.transmission = 5;
  f.index = 62;
  f.count = 64;
  f.number = 0xabcd;
  f.data = data;
  byte_array<max_frame_bytes> out{};
  REQUIRE(write_fragment(f, out) == max_frame_bytes);
  auto const raw = read_frame(out);
  REQUIRE(raw);
  CHECK(raw->kind == frame_kind::fragment);
  auto const back = read_fragment(*raw);
  REQUIRE(back);
  CHECK(back->of == f.of);
  CHECK(back->id == f.id);
  CHECK(back->transmission == f.transmission);
  CHECK(back->index == f.index);
  CHECK(back->count == f.count);
  CHECK(back->number == f.number);
  CHECK(equal(back->data, f.data));
  CHECK_FALSE(read_arrived(*raw));

  auto const refuses = [&raw](std::size_t at, std::uint8_t value) {
    bytes bent = to_bytes(raw->message);
    bent[at] = value;
    frame changed = *raw;
    changed.message = bent;
    return !read_fragment(changed);
  };
  CHECK(refuses(0, 0));   // of what
  CHECK(refuses(0, 4));   // a fragment of a fragment
  CHECK(refuses(1, 64));  // index beyond the count
  CHECK(refuses(2, 65));  // too many
  CHECK(refuses(2, 1));   // one is not a fragment
  CHECK(refuses(2, 62));  // index beyond the count
  for (std::size_t const cut : {std::size_t{1}, fragment_data_bytes}) {
    frame changed = *raw;  // only the last one may be short, and none is empty
    changed.message = raw->message.first(raw->message.size() - cut);
    CHECK_FALSE(read_fragment(changed));
  }

  fragments_arrived const word{frame_kind::request, 9, 1, 0x8000000000000001u, 77};
  REQUIRE(write_arrived(word, out) == arrived_frame_bytes);
  auto const raw_word = read_frame(bytes_view(out).first(arrived_frame_bytes));
  REQUIRE(raw_word);
  auto const heard = read_arrived(*raw_word);
  REQUIRE(heard);
  CHECK(heard->bitmap == word.bitmap);
  CHECK(heard->newest == word.newest);
  CHECK(heard->id == 9);
  CHECK_FALSE(read_fragment(*raw_word));
}

TEST_CASE("outgoing message: only what is missing is sent again") {
  bytes const message = some_bytes(5 * fragment_data_bytes + 1);
  outgoing_message out(message);
  time_point now(1s);
  CHECK_FALSE(out.begun());
  CHECK(out.waits());
  std::vector<outgoing_message::piece> sent;
  while (auto const piece = out.next(now)) sent.push_back(*piece);
  REQUIRE(sent.size() == 6);
  CHECK(sent[5].data.size() == 1);
  CHECK(out.in_flight() == 6);

  now += 10ms;
  auto news = out.on_arrived(0b000010, 1, now);  // the second; the first is only late
  CHECK(news.arrived == 1);
  CHECK(news.lost == 0);
  CHECK(news.round_trip == duration(10ms));
  CHECK_FALSE(out.next(now));
  news = out.on_arrived(0b011010, 4, now);  // three newer ones are there: it is lost, the third is not yet
  CHECK(news.arrived == 2);
  CHECK(news.lost == 1);
  auto const again = out.next(now);
  REQUIRE(again);
  CHECK(again->index == 0);
  CHECK(again->again);
  CHECK(again->number == 6);
  CHECK_FALSE(out.next(now));

  news = out.on_arrived(0b000010, 1, now);  // an older word, that came late, takes nothing back
  CHECK(news.arrived == 0);
  CHECK_FALSE(news.forgotten);
  CHECK(out.presume_lost() == 3);
  CHECK(out.waits());
  std::vector<int> missing;
  while (auto const piece = out.next(now)) missing.push_back(piece->index);
  CHECK(missing == std::vector<int>{0, 2, 5});
  news = out.on_arrived(fragments_arrived::all, 9, now);
  CHECK(news.arrived == 3);
  CHECK(out.there());

  CHECK_FALSE(out.next(now));  // all there, but nobody answers: one is enough to ask
  CHECK(out.presume_lost() == 0);
  auto const probe = out.next(now);
  REQUIRE(probe);
  CHECK(probe->index == 5);
  CHECK_FALSE(out.next(now));
  news = out.on_arrived(0b100000, probe->number, now);  // the receiver has begun again
  CHECK(news.forgotten);
  out.start_over(0);
  CHECK_FALSE(out.there());
  int rest = 0;
  while (out.next(now)) ++rest;
  CHECK(rest == 6);
  CHECK(out.on_arrived(1, 5000, now).arrived == 0);  // of what was never sent
}

TEST_CASE("send window: grows on what arrives, shrinks once a round trip on loss, and forgets") {
  send_window window;
  time_point now(1s);
  window.begin(now);
  CHECK(window.size() == send_window::initial);
  window.on_arrived(10, now);
  CHECK(window.size() == 20);
  window.on_arrived(1000, now);
  CHECK(window.size() == send_window::most);
  window.on_loss(now, 50ms);
  window.on_loss(now + 49ms, 50ms);
  CHECK(window.size() == 44);
  window.on_arrived(43, now);
  CHECK(window.size() == 44);
  window.on_arrived(1, now);
  CHECK(window.size() == 45);
  window.on_silence();
  CHECK(window.size() == send_window::least);
  window.on_arrived(2, now);
  CHECK(window.size() == 4);
  window.begin(now + send_window::memory);
  CHECK(window.size() == 4);
  window.begin(now + 3 * send_window::memory);
  CHECK(window.size() == send_window::initial);
}

TEST_CASE("reassembly: any order, repeated, and exactly the bytes that went in") {
  byte_budget budget(1 << 20);
  reassembly incoming;
  time_point const now(1s);
  for (std::size_t const size :
       {fragment_data_bytes + 1, 2 * fragment_data_bytes, std::size_t{65536 + 400}, max_large_message_bytes}) {
    bytes const message = some_bytes(size);
    outgoing_message out(message);
    std::vector<fragment> parts;
    while (auto const piece = out.next(now)) parts.push_back(to_fragment(*piece));
    chacha20_random random(size);
    for (std::size_t i = parts.size(); i > 1; --i) std::swap(parts[i - 1], parts[random.below(i)]);
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      CHECK(incoming.add(parts[i], budget, now) == outcome::added);
      CHECK(incoming.add(parts[i], budget, now) == outcome::repeated);
    }
    CHECK(budget.used() == parts.size() * fragment_data_bytes);
    CHECK(incoming.add(parts.back(), budget, now) == outcome::whole);
    bytes const whole = incoming.take(parts.back());
    CHECK(whole == message);
    CHECK(budget.used() == 0);
    CHECK(incoming.empty());
  }
}

TEST_CASE("reassembly: bounded in messages, in bytes and in time") {
  byte_budget budget(6 * max_large_message_bytes);
  std::vector<reassembly> peers(3);
  time_point const start(1s);
  bytes const message = some_bytes(max_large_message_bytes);
  outgoing_message out(message);
  fragment f = to_fragment(*out.next(start));
  fragment const second = to_fragment(*out.next(start));
  for (std::uint32_t id = 0; id < 4; ++id) {
    f.id = id;
    CHECK(peers[0].add(f, budget, start) == outcome::added);
  }
  f.id = 4;
  CHECK(peers[0].add(f, budget, start) == outcome::peer_full);
  f.of = frame_kind::answer;  // has places of its own
  CHECK(peers[0].add(f, budget, start) == outcome::added);
  f.of = frame_kind::request;
  CHECK(peers[1].add(f, budget, start) == outcome::added);
  CHECK(peers[2].add(f, budget, start) == outcome::full);
  CHECK(budget.used() == budget.limit());

  fragment other = second;  // of another cut
  other.id = 0;
  other.count = 3;
  CHECK(peers[0].add(other, budget, start) == outcome::mismatch);
  other = second;
  other.id = 0;
  CHECK(peers[0].add(other, budget, start + 9s) == outcome::added);
  CHECK(peers[0].expire(start + 9s) == 0);
  CHECK(peers[0].expire(start + 10s) == 4);  // all but that one
  CHECK(peers[0].expire(start + 19s) == 1);
  CHECK(peers[0].empty());
  CHECK(budget.used() == max_large_message_bytes);

  f.id = 9;  // something new each time: ends all the same
  for (int i = 0; i < 30; ++i) {
    f.index = static_cast<std::uint8_t>(i);
    CHECK(peers[2].add(f, budget, start + i * 1s) == outcome::added);
    CHECK(peers[2].expire(start + i * 1s) == 0);
  }
  CHECK(peers[2].expire(start + 30s) == 1);
}

TEST_CASE("reassembly: transmissions do not mix") {
  byte_budget budget(1 << 20);
  reassembly incoming;
  time_point const now(1s);
  bytes const first = some_bytes(2000);
  bytes const later = some_bytes(2001);
  outgoing_message out_first(first);
  outgoing_message out_later(later);
  fragment const first_0 = to_fragment(*out_first.next(now), 7, 0);
  fragment const first_1 = to_fragment(*out_first.next(now), 7, 0);
  fragment const later_0 = to_fragment(*out_later.next(now), 7, 1);
  fragment const later_1 = to_fragment(*out_later.next(now), 7, 1);
  CHECK(incoming.add(first_0, budget, now) == outcome::added);
  CHECK(incoming.add(later_1, budget, now) == outcome::added);
  CHECK(incoming.add(first_1, budget, now) == outcome::outdated);
  CHECK(incoming.add(later_0, budget, now) == outcome::whole);
  CHECK(incoming.take(later_0) == later);
}
