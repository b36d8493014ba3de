#include <memory>
#include <vector>

#include "manual_scheduler.hpp"

using namespace coro_test;

namespace {

using boxes = channel<std::unique_ptr<int>>;

task<void> send_numbers(channel<int>& to, int first, int count, std::vector<int>& log) {
  for (int i = first; i < first + count; ++i) {
    result<void> const sent = co_await to.send(i);
    log.push_back(sent.has_value() ? i : -i);
  }
}

task<void> receive_numbers(channel<int>& from, int count, std::vector<int>& log) {
  for (int i = 0; i < count; ++i) {
    result<int> const got = co_await from.receive();
    if (!got) {
      log.push_back(got.error() == errc::closed ? -1 : -2);
      co_return;
    }
    log.push_back(*got);
  }
}

task<int> unbox(boxes& from) {
  result<std::unique_ptr<int>> got = co_await from.receive();
  if (!got) co_return -1;
  co_return **got;
}

task<void> ping(channel<std::uint64_t>& out, channel<std::uint64_t>& in, std::uint64_t rounds) {
  for (std::uint64_t i = 0; i < rounds; ++i) {
    result<void> const sent = co_await out.send(i);
    if (!sent) co_return;
    result<std::uint64_t> const back = co_await in.receive();
    if (!back || *back != i + 1) co_return;
  }
  out.close();
}

task<std::uint64_t> pong(channel<std::uint64_t>& in, channel<std::uint64_t>& out) {
  std::uint64_t rounds = 0;
  for (;;) {
    result<std::uint64_t> const got = co_await in.receive();
    if (!got) co_return rounds;
    result<void> const sent = co_await out.send(*got + 1);
    if (!sent) co_return rounds;
    ++rounds;
  }
}

}  // namespace

TEST_CASE("channel: values come out in the order in which they went in") {
  manual_scheduler sched;
  channel<int> c(2);
  std::vector<int> sent, received;
  running<void> sender(sched, send_numbers(c, 1, 5, sent));
  sched.run_ready();
  CHECK(sent == std::vector<int>{1, 2});
  CHECK(c.size() == 2);
  running<void> receiver(sched, receive_numbers(c, 5, received));
  sched.run_ready();
  CHECK(sent == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(received == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(c.size() == 0);
}

TEST_CASE("channel: those who wait are served in the order in which they came") {
  manual_scheduler sched;
  channel<int> c(1);
  std::vector<int> first, second, sent;
  running<void> a(sched, receive_numbers(c, 1, first));
  running<void> b(sched, receive_numbers(c, 1, second));
  sched.run_ready();
  running<void> sender(sched, send_numbers(c, 1, 2, sent));
  sched.run_ready();
  CHECK(first == std::vector<int>{1});
  CHECK(second == std::vector<int>{2});

  channel<int> full(1);
  std::vector<int> s1, s2, s3, got;
  running<void> x(sched, send_numbers(full, 1, 1, s1));
  running<void> y(sched, send_numbers(full, 2, 1, s2));
  running<void> z(sched, send_numbers(full, 3, 1, s3));
  sched.run_ready();
  CHECK(s1.size() == 1);
  CHECK(s2.empty());
  running<void> receiver(sched, receive_numbers(full, 3, got));
  sched.run_ready();
  CHECK(got == std::vector<int>{1, 2, 3});
}

TEST_CASE("channel: a value for one who waits cannot be taken by one who comes later") {
  manual_scheduler sched;
  channel<int> c(1);
  std::vector<int> waited;
  running<void> receiver(sched, receive_numbers(c, 1, waited));
  sched.run_ready();
  result<void> const sent = c.try_send(7);
  CHECK(sent.has_value());
  CHECK_FALSE(c.try_receive().has_value());
  CHECK(waited.empty());
  sched.run_ready();
  CHECK(waited == std::vector<int>{7});
}

TEST_CASE("channel: try_send and try_receive, and what is refused is untouched") {
  boxes c(1);
  CHECK_FALSE(c.try_receive().has_value());
  auto box = std::make_unique<int>(1);
  result<void> const first = c.try_send(std::move(box));
  CHECK(first.has_value());
  CHECK(box == nullptr);  // NOLINT(bugprone-use-after-move)
  box = std::make_unique<int>(2);
  result<void> const full = c.try_send(std::move(box));
  REQUIRE_FALSE(full.has_value());
  CHECK(full.error() == errc::queue_full);
  REQUIRE(box != nullptr);  // NOLINT(bugprone-use-after-move)
  auto got = c.try_receive();
  REQUIRE(got.has_value());
  CHECK(**got == 1);
  c.close();
  result<void> const closed = c.try_send(std::move(box));
  REQUIRE_FALSE(closed.has_value());
  CHECK(closed.error() == errc::closed);
  CHECK(box != nullptr);  // NOLINT(bugprone-use-after-move)
}

TEST_CASE("channel: try_receive lets a waiting sender in") {
  manual_scheduler sched;
  channel<int> c(1);
  std::vector<int> sent;
  running<void> sender(sched, send_numbers(c, 1, 2, sent));
  sched.run_ready();
  CHECK(sent == std::vector<int>{1});
  CHECK(c.try_receive() == 1);
  sched.run_ready();
  CHECK(sent == std::vector<int>{1, 2});
  CHECK(c.try_receive() == 2);
}

TEST_CASE("channel: close lets receivers drain, and turns senders away") {
  manual_scheduler sched;
  channel<int> c(2);
  std::vector<int> sent, received;
  running<void> sender(sched, send_numbers(c, 1, 3, sent));
  sched.run_ready();
  c.close();
  CHECK(c.closed());
  sched.run_ready();
  CHECK(sent == std::vector<int>{1, 2, -3});
  running<void> receiver(sched, receive_numbers(c, 9, received));
  running<void> late(sched, send_numbers(c, 4, 1, sent));
  sched.run_ready();
  CHECK(received == std::vector<int>{1, 2, -1});
  CHECK(sent == std::vector<int>{1, 2, -3, -4});
}

TEST_CASE("channel: close wakes receivers that wait") {
  manual_scheduler sched;
  channel<int> c(1);
  std::vector<int> received;
  running<void> receiver(sched, receive_numbers(c, 1, received));
  sched.run_ready();
  c.close();
  CHECK(received.empty());
  sched.run_ready();
  CHECK(received == std::vector<int>{-1});
}

TEST_CASE("channel: cancellation takes one out of the queue, the others keep their places") {
  manual_scheduler sched;
  channel<int> c(1);
  cancel_source source;
  std::vector<int> cancelled, received;
  running<void> a(sched, receive_numbers(c, 1, cancelled), source.token());
  running<void> b(sched, receive_numbers(c, 1, received));
  sched.run_ready();
  source.request();
  result<void> const sent = c.try_send(5);
  CHECK(sent.has_value());
  sched.run_ready();
  CHECK(cancelled == std::vector<int>{-2});
  CHECK(received == std::vector<int>{5});

  channel<int> full(1);
  cancel_source other;
  std::vector<int> s1, s2;
  result<void> const filled = full.try_send(1);
  CHECK(filled.has_value());
  running<void> x(sched, send_numbers(full, 2, 1, s1), other.token());
  running<void> y(sched, send_numbers(full, 3, 1, s2));
  sched.run_ready();
  other.request();
  sched.run_ready();
  CHECK(s1 == std::vector<int>{-2});
  CHECK(full.try_receive() == 1);
  CHECK(full.try_receive() == 3);
  sched.run_ready();
  CHECK(s2 == std::vector<int>{3});
}

TEST_CASE("channel: a value handed over before the cancellation arrives") {
  manual_scheduler sched;
  channel<int> c(1);
  cancel_source source;
  std::vector<int> received;
  running<void> receiver(sched, receive_numbers(c, 1, received), source.token());
  sched.run_ready();
  result<void> const sent = c.try_send(5);
  source.request();
  sched.run_ready();
  CHECK(sent.has_value());
  CHECK(received == std::vector<int>{5});
}

TEST_CASE("channel: moves values that cannot be copied") {
  manual_scheduler sched;
  boxes c(1);
  auto put = [](boxes& to) -> task<bool> {
    auto box = std::make_unique<int>(9);
    result<void> const sent = co_await to.send(std::move(box));
    co_return sent.has_value();
  };
  running<int> waiting(sched, unbox(c));
  sched.run_ready();
  running<bool> sender(sched, put(c));
  sched.run_ready();
  CHECK(waiting.take() == 9);
  CHECK(sender.take());
}

TEST_CASE("channel: frames destroyed while they wait leave their places") {
  manual_scheduler sched;
  channel<int> c(1);
  std::vector<int> received, sent, later;
  {
    running<void> receiver(sched, receive_numbers(c, 1, received));
    sched.run_ready();
  }
  {
    running<void> sender(sched, send_numbers(c, 1, 2, sent));
    sched.run_ready();
    CHECK(c.size() == 1);
  }
  running<void> after(sched, receive_numbers(c, 2, later));
  sched.run_ready();
  CHECK(later == std::vector<int>{1});
  CHECK(received.empty());
}

TEST_CASE("channel: a million rounds between two coroutines run in constant stack") {
  std::uint64_t const rounds = 1'000'000;
  manual_scheduler sched;
  channel<std::uint64_t> there(1), back(1);
  running<void> a(sched, ping(there, back, rounds));
  running<std::uint64_t> b(sched, pong(there, back));
  sched.run_ready();
  CHECK(a.done());
  CHECK(b.take() == rounds);
}
