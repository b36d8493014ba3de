#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/coro/deadline.hpp"
#include "kadoro/coro/event.hpp"
#include "kadoro/coro/race.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/tcp_listener.hpp"
#include "tcp_places.hpp"

using namespace kadoro;
using namespace std::chrono_literals;
using io::endpoint;
using io::tcp_listener;
using io::tcp_stream;

namespace {

// Never reached, but by what hangs.
constexpr auto patience = duration(20s);

/// A byte for every position, so that a lost, doubled or displaced one shows.
std::uint8_t byte_at(std::uint64_t position) { return static_cast<std::uint8_t>(position * 167 + (position >> 8)); }

bytes pattern(std::size_t size_bytes, std::uint64_t from = 0) {
  bytes out(size_bytes);
  std::size_t const period = std::min<std::size_t>(size_bytes, 1u << 16);
  for (std::size_t i = 0; i < period; ++i) out[i] = byte_at(from + i);
  for (std::size_t i = period; i < size_bytes; i += period)
    std::memcpy(out.data() + i, out.data(), std::min(period, size_bytes - i));
  return out;
}

/// More than any buffer of a system: Linux grows those of a connection to about 10 MB. Made once: sanitizers take their
/// time.
bytes_view more_than_buffers() {
  static bytes const all = pattern(64u << 20);
  return all;
}

/// The two ends of one connection.
struct ends {
  tcp_stream called;
  tcp_stream caller;
};

coro::task<result<tcp_stream>> accept_soon(tcp_listener& listener) {
  co_return co_await coro::with_deadline(listener.accept(), patience);
}

coro::task<void> accept_into(tcp_listener& listener, std::optional<tcp_stream>& into, coro::event& done) {
  auto taken = co_await accept_soon(listener);
  if (taken) into.emplace(std::move(*taken));
  done.set();
}

coro::task<result<tcp_stream>> connect_and_wait(io::context& from, endpoint to, coro::event& accepted) {
  auto stream = co_await coro::with_deadline(tcp_stream::connect(from, to), patience);
  if (!stream) co_return fail(stream.error());
  auto const woken = co_await accepted.wait();
  if (!woken) co_return fail(woken.error());
  co_return std::move(*stream);
}

tcp_listener listen(tcp_place& place, std::size_t backlog = io::default_tcp_backlog) {
  auto listener = tcp_listener::open(place.server(), place.any(), backlog);
  REQUIRE_MESSAGE(listener.has_value(), listener.error().message());
  return std::move(*listener);
}

ends connect(tcp_place& place, tcp_listener& listener) {
  std::optional<tcp_stream> called;
  coro::event accepted;
  place.server().spawn(accept_into(listener, called, accepted));
  auto caller = place.client().run(connect_and_wait(place.client(), listener.local(), accepted));
  REQUIRE_MESSAGE(caller.has_value(), caller.error().message());
  REQUIRE(called.has_value());
  return ends{std::move(*called), std::move(*caller)};
}

ends connect(tcp_place& place) {
  auto listener = listen(place);
  return connect(place, listener);
}

/// Reads to the end.
coro::task<result<bytes>> read_to_end(tcp_stream& from) {
  bytes all;
  bytes part(4096);
  for (;;) {
    auto const got = co_await coro::with_deadline(from.read_some(part), patience);
    if (!got) co_return fail(got.error());
    if (*got == 0) break;
    all.append(bytes_view(part).first(*got));
  }
  co_return std::move(all);
}

coro::task<void> echo_to_end(tcp_stream& stream) {
  bytes part(16 * 1024);
  for (;;) {
    auto const got = co_await stream.read_some(part);
    if (!got || *got == 0) break;
    auto const sent = co_await stream.write(bytes_view(part).first(*got));
    if (!sent) co_return;
  }
  static_cast<void>(stream.shutdown_send());
}

coro::task<void> write_then_end(tcp_stream& to, bytes_view data, result<void>& outcome) {
  outcome = co_await coro::with_deadline(to.write(data), patience);
  if (outcome) outcome = to.shutdown_send();
}

coro::task<result<bytes>> send_and_read(tcp_stream& stream, bytes_view data) {
  result<void> written;
  auto const talk = [](coro::scope& children, tcp_stream& with, bytes_view what,
                       result<void>& outcome) -> coro::task<result<bytes>> {
    children.spawn(write_then_end(with, what, outcome));
    co_return co_await read_to_end(with);
  };
  auto talking = coro::with_scope(talk, std::ref(stream), data, std::ref(written));
  auto back = co_await std::move(talking);
  if (!written) co_return fail(written.error());
  co_return std::move(back);
}

coro::task<void> let_pass(duration length) { co_await coro::sleep_for(length); }

template <class T>
coro::task<T> within_patience(coro::task<T> work) {
  co_return co_await coro::with_deadline(std::move(work), patience);
}

}  // namespace

TEST_CASE("tcp: what is written comes back, and both ends know each other") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    CHECK(both.called.remote() == both.caller.local());
    CHECK(both.caller.remote() == both.called.local());
    place.server().spawn(echo_to_end(both.called));
    bytes const data = pattern(300'000);
    auto const back = place.client().run(send_and_read(both.caller, data));
    REQUIRE_MESSAGE(back.has_value(), back.error().message());
    CHECK(*back == data);
    CHECK(both.caller.counters().sent_bytes == data.size());
    CHECK(both.caller.counters().received_bytes == data.size());
    CHECK(both.called.counters().received_bytes == data.size());
  });
}

TEST_CASE("tcp: a reader that does not read stops the writer at a bound, and gets everything when it does") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    bytes_view const data = more_than_buffers();
    auto const stopped = place.client().run(coro::with_deadline(both.caller.write(data), duration(300ms)));
    REQUIRE_FALSE(stopped.has_value());
    CHECK(stopped.error() == errc::timed_out);
    std::size_t const sent = both.caller.counters().sent_bytes;
    CHECK(sent > 0);
    CHECK(sent < 32u << 20);
    // Goes on where it stopped.
    result<void> rest;
    std::size_t const total = sent + (1u << 20);
    bytes_view const more = data.subspan(sent, total - sent);
    place.client().spawn(write_then_end(both.caller, more, rest));
    auto const got = place.server().run(read_to_end(both.called));
    REQUIRE_MESSAGE(got.has_value(), got.error().message());
    CHECK(rest.has_value());
    REQUIRE(got->size() == total);
    CHECK(equal(*got, data.first(total)));
  });
}

TEST_CASE("tcp: each end may finish first, and the other goes on") {
  on_every_backend([](tcp_place& place) {
    for (bool const caller_first : {true, false}) {
      auto both = connect(place);
      tcp_stream& first = caller_first ? both.caller : both.called;
      tcp_stream& second = caller_first ? both.called : both.caller;
      io::context& at_first = caller_first ? place.client() : place.server();
      io::context& at_second = caller_first ? place.server() : place.client();
      bytes const question = pattern(1000), answer = pattern(2000, 7);
      auto const asked = at_first.run(first.write(question));
      REQUIRE(asked.has_value());
      REQUIRE(first.shutdown_send().has_value());
      CHECK(first.shutdown_send().has_value());  // again: no effect
      auto const late = at_first.run(first.write(question));
      REQUIRE_FALSE(late.has_value());
      CHECK(late.error() == errc::closed);

      auto const heard = at_second.run(read_to_end(second));
      REQUIRE(heard.has_value());
      CHECK(*heard == question);
      auto const again = at_second.run(read_to_end(second));  // the end stays the end
      REQUIRE(again.has_value());
      CHECK(again->empty());
      auto const answered = at_second.run(second.write(answer));
      CHECK(answered.has_value());
      second.close();
      auto const back = at_first.run(read_to_end(first));
      REQUIRE_MESSAGE(back.has_value(), back.error().message());
      CHECK(*back == answer);
    }
  });
}

TEST_CASE("tcp: read_exactly fills its buffer, or says that the end came before") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    bytes const data = pattern(5000);
    auto const send = [](tcp_stream& to, bytes_view all) -> coro::task<void> {
      for (; !all.empty(); all = all.subspan(std::min<std::size_t>(all.size(), 700))) {
        auto const sent = co_await to.write(all.first(std::min<std::size_t>(all.size(), 700)));
        if (!sent) co_return;
        co_await coro::sleep_for(1us);
      }
      to.close();
    };
    place.client().spawn(send(both.caller, data));
    bytes got(4000);
    auto const full = place.server().run(within_patience(both.called.read_exactly(got)));
    REQUIRE(full.has_value());
    CHECK(equal(got, bytes_view(data).first(4000)));
    auto const early = place.server().run(within_patience(both.called.read_exactly(got)));
    REQUIRE_FALSE(early.has_value());
    CHECK(early.error() == errc::closed);
    CHECK(early.error().message().find(both.called.remote().to_string()) != std::string::npos);
    auto const nothing = place.server().run(both.called.read_some({}));
    REQUIRE(nothing.has_value());
    CHECK(*nothing == 0);
  });
}

TEST_CASE("tcp: a deadline ends a read, which takes nothing, and the stream goes on") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    byte_array<16> buffer{};
    auto const nothing = place.server().run(coro::with_deadline(both.called.read_some(buffer), duration(5ms)));
    REQUIRE_FALSE(nothing.has_value());
    CHECK(nothing.error() == errc::timed_out);
    auto const sent = place.client().run(both.caller.write(as_bytes("late")));
    REQUIRE(sent.has_value());
    auto const got = place.server().run(within_patience(both.called.read_some(buffer)));
    REQUIRE(got.has_value());
    CHECK(as_text(bytes_view(buffer).first(*got)) == "late");
  });
}

TEST_CASE("tcp: a deadline ends a connect that nobody takes up, and the backlog is bounded") {
  on_every_backend([](tcp_place& place) {
    auto listener = listen(place, 1);
    std::vector<tcp_stream> connected;
    std::optional<error> why;
    for (int i = 0; i < 8 && !why; ++i) {
      auto stream = place.client().run(
          coro::with_deadline(tcp_stream::connect(place.client(), listener.local()), duration(200ms)));
      if (stream)
        connected.push_back(std::move(*stream));
      else
        why = stream.error();
    }
    REQUIRE(why.has_value());
    CHECK(*why == errc::timed_out);
    CHECK(connected.size() >= 1);
    CHECK(connected.size() <= 2);  // Linux lets one more wait than it is told
    auto const taken = place.server().run(accept_soon(listener));
    CHECK(taken.has_value());
  });
}

TEST_CASE("tcp: a race cancels what loses it, and the stream goes on") {
  on_every_backend([](tcp_place& place) {
    auto listener = listen(place);
    auto both = connect(place, listener);
    auto const race = [](tcp_stream& stream, tcp_listener& on) -> coro::task<std::size_t> {
      byte_array<16> buffer{};
      auto const pause = []() -> coro::task<void> { co_await coro::sleep_for(1ms); };
      auto const first = co_await coro::race(stream.read_some(buffer), on.accept(), pause());
      co_return first.index();
    };
    auto const winner = place.server().run(race(both.called, listener));
    CHECK(winner == 2);
    byte_array<4> buffer{};
    auto const sent = place.client().run(both.caller.write(as_bytes("more")));
    CHECK(sent.has_value());
    auto const got = place.server().run(within_patience(both.called.read_exactly(buffer)));
    CHECK(got.has_value());
    auto const another = connect(place, listener);
    CHECK(another.called.is_open());
  });
}

TEST_CASE("tcp: nobody listens there") {
  on_every_backend([](tcp_place& place) {
    auto listener = listen(place);
    endpoint const nobody = listener.local();
    listener.close();
    auto const refused = place.client().run(within_patience(tcp_stream::connect(place.client(), nobody)));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::connection_refused);
    CHECK(refused.error() == condition::unreachable);
    CHECK(refused.error().message().find(nobody.to_string()) != std::string::npos);
    CHECK(refused.error().message().find("nobody listens there") != std::string::npos);
    for (char const* const senseless : {"10.0.0.1:0", "0.0.0.0:80"}) {
      auto const wrong = place.client().run(tcp_stream::connect(place.client(), endpoint::parse(senseless).value()));
      REQUIRE_FALSE(wrong.has_value());
      CHECK(wrong.error() == errc::invalid_argument);
    }
  });
}

TEST_CASE("tcp: a port that is in use is named, and free once its listener is gone") {
  on_every_backend([](tcp_place& place) {
    auto first = listen(place);
    endpoint const local = first.local();
    CHECK(local.port() != 0);
    auto const second = tcp_listener::open(place.server(), local);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error() == errc::address_in_use);
    CHECK(second.error().message().find(local.to_string()) != std::string::npos);
    auto const both = connect(place, first);  // a connection of that port does not keep it
    first.close();
    auto const third = tcp_listener::open(place.server(), local);
    CHECK(third.has_value());
    auto const foreign = tcp_listener::open(place.server(), *endpoint::parse("192.0.2.1:0"));
    REQUIRE_FALSE(foreign.has_value());
    CHECK(foreign.error() == errc::io_failure);
    auto const senseless = tcp_listener::open(place.server(), place.any(), 0);
    REQUIRE_FALSE(senseless.has_value());
    CHECK(senseless.error() == errc::invalid_argument);
  });
}

TEST_CASE("tcp: a reset is heard by who reads and who writes, and stays") {
  on_every_backend([](tcp_place& place) {
    for (bool const by_unread : {false, true}) {
      auto both = connect(place);
      if (by_unread) {  // closing with something unread is a reset, too
        auto const sent = place.client().run(both.caller.write(as_bytes("unread")));
        REQUIRE(sent.has_value());
        auto const wait = []() -> coro::task<void> { co_await coro::sleep_for(30ms); };
        place.server().run(wait());
        both.called.close();
      } else {
        both.called.abort();
      }
      CHECK_FALSE(both.called.is_open());
      auto const read = place.client().run(read_to_end(both.caller));
      REQUIRE_FALSE(read.has_value());
      CHECK(read.error() == errc::reset);
      CHECK(read.error() == condition::closed);
      CHECK(read.error().message().find(both.caller.remote().to_string()) != std::string::npos);
      auto const again = place.client().run(read_to_end(both.caller));
      REQUIRE_FALSE(again.has_value());
      CHECK(again.error() == errc::reset);
      auto const write = place.client().run(both.caller.write(as_bytes("x")));
      REQUIRE_FALSE(write.has_value());
      CHECK(write.error() == errc::reset);
    }
  });
}

TEST_CASE("tcp: what was taken from a writer arrives, though it has closed, and the reader took its time") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    bytes_view const data = more_than_buffers();
    auto const stopped = place.client().run(coro::with_deadline(both.caller.write(data), duration(100ms)));
    REQUIRE_FALSE(stopped.has_value());
    both.caller.close();
    place.client().run(let_pass(20ms));
    std::size_t const sent = both.caller.counters().sent_bytes;
    auto const got = place.server().run(read_to_end(both.called));
    REQUIRE_MESSAGE(got.has_value(), got.error().message());
    REQUIRE(got->size() == sent);
    CHECK(equal(*got, data.first(sent)));
  });
}

TEST_CASE("tcp: who closes with the rest of a message unread resets, wherever the rest is kept") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    auto const sent = place.client().run(both.caller.write(as_bytes("a part of this")));
    REQUIRE(sent.has_value());
    byte_array<4> part{};
    auto const read = place.server().run(within_patience(both.called.read_exactly(part)));
    REQUIRE(read.has_value());
    both.called.close();
    auto const heard = place.client().run(read_to_end(both.caller));
    REQUIRE_FALSE(heard.has_value());
    CHECK(heard.error() == errc::reset);
  });
}

TEST_CASE("tcp: a program that reads while it closes ends the connection as one that does not") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    place.server().run(let_pass(30ms));
    byte_array<4> part{};
    auto const nothing = place.server().run(coro::with_deadline(both.called.read_some(part), duration(5ms)));
    CHECK_FALSE(nothing.has_value());
    both.called.close();
    auto const heard = place.client().run(read_to_end(both.caller));
    REQUIRE_MESSAGE(heard.has_value(), heard.error().message());
    CHECK(heard->empty());
  });
}

TEST_CASE("tcp: a writer that waits for room hears the reset") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    bytes_view const data = more_than_buffers();
    auto const break_it = [](tcp_stream& stream) -> coro::task<void> {
      co_await coro::sleep_for(50ms);
      stream.abort();
    };
    place.server().spawn(break_it(both.called));
    auto const written = place.client().run(within_patience(both.caller.write(data)));
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error() == errc::reset);
  });
}

TEST_CASE("tcp: one read and one write at a time, and a second one harms nothing") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    byte_array<16> buffer{};
    bytes_view const large = more_than_buffers();
    auto const keep = [](tcp_stream& stream, bytes_span into, result<std::size_t>& got,
                         coro::event& done) -> coro::task<void> {
      got = co_await stream.read_some(into);
      done.set();
    };
    auto const push = [](tcp_stream& stream, bytes_view data) -> coro::task<void> {
      auto const sent = co_await stream.write(data);
      CHECK(sent.error() == errc::closed);
    };
    result<std::size_t> first;
    coro::event done;
    place.server().spawn(keep(both.called, buffer, first, done));
    place.server().spawn(push(both.called, large));
    auto const second = [](tcp_stream& stream) -> coro::task<void> {
      co_await coro::sleep_for(1ms);
      byte_array<16> other{};
      auto const read = co_await stream.read_some(other);
      REQUIRE_FALSE(read.has_value());
      CHECK(read.error() == errc::invalid_argument);
      auto const written = co_await stream.write(other);
      REQUIRE_FALSE(written.has_value());
      CHECK(written.error() == errc::invalid_argument);
      auto const ended = stream.shutdown_send();
      REQUIRE_FALSE(ended.has_value());
      CHECK(ended.error() == errc::invalid_argument);
    };
    place.server().run(second(both.called));
    auto const sent = place.client().run(both.caller.write(as_bytes("fine")));
    CHECK(sent.has_value());
    auto const wait = [](coro::event& what) -> coro::task<result<void>> { co_return co_await what.wait(); };
    auto const woken = place.server().run(within_patience(wait(done)));
    CHECK(woken.has_value());
    REQUIRE(first.has_value());
    CHECK(*first == 4);
    both.called.close();
    auto const let_run = []() -> coro::task<void> { co_await coro::sleep_for(1ms); };
    place.server().run(let_run());
  });
}

namespace {

coro::task<void> serve(tcp_listener& listener, coro::scope& children) {
  auto const one = [](tcp_stream stream) -> coro::task<void> { co_await echo_to_end(stream); };
  for (;;) {
    auto taken = co_await listener.accept();
    if (!taken) co_return;
    children.spawn(one(std::move(*taken)));
  }
}

coro::task<void> call(io::context& from, endpoint server, std::size_t number, std::size_t& done) {
  auto stream = co_await coro::with_deadline(tcp_stream::connect(from, server), patience);
  if (!stream) co_return;
  bytes const data = pattern(1000 + 100 * number, number);
  auto const back = co_await send_and_read(*stream, data);
  if (back && *back == data) ++done;
}

coro::task<void> call_often(coro::scope& children, io::context& from, endpoint server, std::size_t count,
                            std::size_t& done) {
  for (std::size_t i = 0; i < count; ++i) children.spawn(call(from, server, i, done));
  co_return;
}

}  // namespace

TEST_CASE("tcp: many connections at once") {
  on_every_backend([](tcp_place& place) {
    constexpr std::size_t count = 200;
    auto listener = listen(place, 256);
    coro::scope children(place.server());
    children.spawn(serve(listener, children));
    std::size_t done = 0;
    auto calls =
        coro::with_scope(call_often, std::ref(place.client()), listener.local(), std::size_t{count}, std::ref(done));
    place.client().run(std::move(calls));
    CHECK(done == count);
    CHECK(listener.counters().accepted == count);
    listener.close();
    place.server().run(children.join());
  });
}

namespace {

struct outcomes {
  result<std::size_t> read;
  result<void> written;
  result<void> accepted;
  int count = 0;
  coro::event all;
};

coro::task<void> note_read(tcp_stream& stream, outcomes& into) {
  byte_array<16> buffer{};
  into.read = co_await stream.read_some(buffer);
  if (++into.count == 3) into.all.set();
}

coro::task<void> note_write(tcp_stream& stream, outcomes& into, bytes_view data) {
  into.written = co_await stream.write(data);
  if (++into.count == 3) into.all.set();
}

coro::task<void> note_accept(tcp_listener& listener, outcomes& into) {
  auto const taken = co_await listener.accept();
  if (!taken) into.accepted = fail(taken.error());
  if (++into.count == 3) into.all.set();
}

coro::task<result<void>> until(coro::event& what) { co_return co_await what.wait(); }

}  // namespace

TEST_CASE("tcp: operations under way end as closed when stream and listener are destroyed") {
  on_every_backend([](tcp_place& place) {
    bytes_view const large = more_than_buffers();
    outcomes seen;
    {
      auto listener = listen(place);
      auto both = connect(place, listener);
      place.server().spawn(note_read(both.called, seen));
      place.server().spawn(note_write(both.called, seen, large));
      place.server().spawn(note_accept(listener, seen));
      place.server().run(let_pass(20ms));
      CHECK(seen.count == 0);
    }
    auto const woken = place.server().run(within_patience(until(seen.all)));
    REQUIRE(woken.has_value());
    REQUIRE_FALSE(seen.read.has_value());
    CHECK(seen.read.error() == errc::closed);
    REQUIRE_FALSE(seen.written.has_value());
    CHECK(seen.written.error() == errc::closed);
    REQUIRE_FALSE(seen.accepted.has_value());
    CHECK(seen.accepted.error() == errc::closed);
  });
}

TEST_CASE("tcp: a stream may be destroyed between the wake-up and the reader's turn") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    auto const at_once = [](tcp_stream& stream, io::context& on, tcp_stream& other) -> coro::task<void> {
      outcomes seen;
      on.spawn(note_read(stream, seen));
      co_await coro::sleep_for(1ms);
      auto const sent = co_await other.write(as_bytes("x"));
      CHECK(sent.has_value());
      while (seen.count == 0 && stream.is_open()) {
        stream.close();  // before or after the byte came: the read ends once
        co_await coro::sleep_for(1ms);
      }
      CHECK(seen.count == 1);
    };
    place.server().run(at_once(both.called, place.server(), both.caller));
  });
}

TEST_CASE("tcp: a frame that waits may be destroyed, and the stream goes on") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    {
      coro::scope children(place.server());
      outcomes seen;
      children.spawn(note_read(both.called, seen));
      place.server().run(let_pass(1ms));
      children.abandon();
    }
    auto const sent = place.client().run(both.caller.write(as_bytes("more")));
    CHECK(sent.has_value());
    byte_array<4> buffer{};
    auto const got = place.server().run(within_patience(both.called.read_exactly(buffer)));
    CHECK(got.has_value());
  });
}

TEST_CASE("tcp: a stream may move while it is read") {
  on_every_backend([](tcp_place& place) {
    auto both = connect(place);
    outcomes seen;
    seen.count = 2;
    place.server().spawn(note_read(both.called, seen));
    place.server().run(let_pass(1ms));
    tcp_stream moved = std::move(both.called);
    auto const sent = place.client().run(both.caller.write(as_bytes("moved")));
    CHECK(sent.has_value());
    auto const woken = place.server().run(within_patience(until(seen.all)));
    CHECK(woken.has_value());
    REQUIRE(seen.read.has_value());
    CHECK(*seen.read == 5);
  });
}

TEST_CASE("tcp: streams and listeners may outlive their context") {
  with_every_place([](std::unique_ptr<tcp_place> place) {
    auto listener = listen(*place);
    auto both = connect(*place, listener);
    outcomes seen;
    place->server().spawn(note_read(both.called, seen));
    place->server().run(let_pass(1ms));
    place.reset();
    CHECK(seen.count == 0);
    CHECK(both.caller.remote() == listener.local());
    both.called.close();
    both.caller.abort();
  });
}

namespace {

/// A connection of which every attempt succeeds, for a long time.
class endless final : public io::tcp_connection {
 public:
  explicit endless(std::uint64_t& attempts) : attempts_(attempts) {}
  void set_owner(owner&) noexcept override {}
  result<bool> connected() override { return true; }
  result<io::tcp_read> try_read(bytes_span) override {
    if (++attempts_ == 50'000'000) return io::tcp_read{0, true};
    return io::tcp_read{1, false};
  }
  result<std::size_t> try_write(bytes_view) override {
    if (++attempts_ == 50'000'000) return fail(errc::reset);
    return std::size_t{1};
  }
  void shutdown_send() noexcept override {}
  void abort() noexcept override {}
  endpoint local() const noexcept override { return {}; }
  endpoint remote() const noexcept override { return {}; }
  io::tcp_counters const& counters() const noexcept override { return counters_; }

 private:
  std::uint64_t& attempts_;
  io::tcp_counters counters_;
};

}  // namespace

TEST_CASE("tcp: a stream that never has to wait does not keep a deadline from its turn") {
  io::asio::context context;
  std::uint64_t attempts = 0;
  tcp_stream stream(std::make_unique<endless>(attempts));
  auto const read = context.run(coro::with_deadline(read_to_end(stream), duration(1ms)));
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error() == errc::timed_out);
  bytes const data(1u << 20);
  auto const keep_writing = [](tcp_stream& to, bytes_view what) -> coro::task<result<void>> {
    for (;;) {
      auto const sent = co_await to.write(what);
      if (!sent) co_return fail(sent.error());
    }
  };
  auto const written = context.run(coro::with_deadline(keep_writing(stream, data), duration(1ms)));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error() == errc::timed_out);
}

TEST_CASE("tcp: a listener gets over a lack of descriptors") {
  on_every_backend([](tcp_place& place) {
    auto listener = listen(place);
    auto caller = place.client().run(within_patience(tcp_stream::connect(place.client(), listener.local())));
    REQUIRE(caller.has_value());
    place.client().run(let_pass(20ms));  // the connection waits in the backlog by now
    place.starve();
    auto const refused = place.client().run(tcp_stream::connect(place.client(), listener.local()));
    auto const accept = [](tcp_place& at, tcp_listener& on) -> coro::task<bool> {
      auto const feed = [](tcp_place& where, tcp_listener& of) -> coro::task<void> {
        while (of.counters().out_of_descriptors == 0) {
          co_await coro::sleep_for(1ms);
        }
        where.feed();
      };
      at.server().spawn(feed(at, on));
      auto const taken = co_await accept_soon(on);
      co_return taken.has_value();
    };
    bool const accepted = place.server().run(accept(place, listener));
    place.feed();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::out_of_descriptors);
    CHECK(refused.error().message().find("ulimit -n") != std::string::npos);
    CHECK(accepted);
    CHECK(listener.counters().out_of_descriptors >= 1);
    CHECK(listener.counters().accepted == 1);
  });
}
