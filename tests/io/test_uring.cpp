#include "backends.hpp"

#if defined(KADORO_WITH_URING)

#include <linux/sockios.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"
#include "kadoro/io/tcp_listener.hpp"
#include "udp_peer.hpp"

using namespace io_test;

// What is io_uring's alone. What it has in common with the others is in test_backends.cpp.

namespace {

std::unique_ptr<io::uring::context> open_or_skip(io::uring::options const& wanted = {}) {
  auto made = io::uring::context::open(wanted);
  if (made) return std::move(*made);
  pass_over("uring", made.error().message());
  return nullptr;
}

/// For what is about a receive of many shots.
std::unique_ptr<io::uring::context> multishot_or_skip(io::uring::options const& wanted = {}) {
  auto made = open_or_skip(wanted);
  if (!made || made->has().multishot) return made;
  MESSAGE("skipped: no receive of many shots here: ", made->has().why_no_multishot);
  return nullptr;
}

std::unique_ptr<io::uring::ring> ring_or_skip(io::uring::options const& wanted = {}) {
  auto made = io::uring::ring::open(wanted);
  if (made) return std::move(*made);
  pass_over("uring", made.error().message());
  return nullptr;
}

bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

/// A descriptor that becomes readable when the test says so.
class switch_descriptor {
 public:
  switch_descriptor() : number_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { REQUIRE(number_ >= 0); }
  switch_descriptor(switch_descriptor const&) = delete;
  switch_descriptor& operator=(switch_descriptor const&) = delete;
  ~switch_descriptor() { ::close(number_); }
  int number() const { return number_; }
  void on() {
    std::uint64_t const one = 1;
    REQUIRE(::write(number_, &one, sizeof one) == sizeof one);
  }

 private:
  int number_;
};

/// Notes what became of it, and when it was destroyed.
class noted final : public io::uring::operation {
 public:
  noted(int descriptor, std::vector<int>& results, int& destroyed)
      : descriptor_(descriptor), results_(results), destroyed_(destroyed) {}
  ~noted() override { ++destroyed_; }

 private:
  void prepare(io_uring_sqe& entry) noexcept override { ::io_uring_prep_poll_add(&entry, descriptor_, POLLIN); }
  void complete(int result, std::uint32_t) noexcept override { results_.push_back(result); }

  int descriptor_;
  std::vector<int>& results_;
  int& destroyed_;
};

void turn(io::uring::ring& on) {
  on.enter(duration(1ms));
  on.complete();
}

/// A burst that is in the socket before the loop looks; all of it must arrive. Each datagram is longer than the one
/// before, so that none are joined: each takes a buffer and a completion.
void check_burst(io::uring::context& context, std::uint64_t count) {
  peer server, client;
  listen(server, context, at("127.0.0.1:0"));
  listen(client, context, at("127.0.0.1:0"));
  for (std::uint64_t i = 0; i < count; ++i) client.port->send(server.port->local(), bytes(1 + i));
  auto const arrived = context.run(coro::with_deadline(until_received(server, count), duration(patience)));
  CHECK(arrived.has_value());
  CHECK(server.received == count);
  CHECK(server.port->counters().dropped_unread == 0);
}

}  // namespace

TEST_CASE("uring: it says what it took, and why not more") {
  auto const context = open_or_skip();
  if (!context) return;
  CHECK(context->backend() == "io_uring");
  CHECK(context->backend_details() == context->has().text());
  if (context->has().multishot) CHECK(has(context->backend_details(), "io_uring: multishot recvmsg, buffer ring"));
  io::uring::options old;
  old.multishot = false;
  old.defer_taskrun = false;
  auto const like_old = open_or_skip(old);
  REQUIRE(like_old != nullptr);
  CHECK(has(like_old->backend_details(), "poll and recvmmsg (multishot recvmsg into a buffer ring: not wanted)"));
  CHECK_FALSE(has(like_old->backend_details(), "defer taskrun"));
  CHECK(has(like_old->backend_details(), " taskrun (deferred: not wanted), " + io::posix::udp_joining::probe().text()));
}

TEST_CASE("uring: an operation completes exactly once, whoever is faster") {
  auto const ring = ring_or_skip();
  if (!ring) return;
  std::vector<int> results;
  int destroyed = 0;
  switch_descriptor ready;
  noted what(ready.number(), results, destroyed);

  ring->start(what);
  CHECK(ring->busy() == 1);
  turn(*ring);
  CHECK(results.empty());
  ready.on();
  turn(*ring);
  CHECK(results == std::vector<int>{POLLIN});
  CHECK(what.idle());
  CHECK(ring->busy() == 0);
  ring->cancel(what);  // too late
  turn(*ring);
  CHECK(results.size() == 1);

  // Asked to end before the kernel has seen it: in the next turn, not inline.
  ring->start(what);
  ring->cancel(what);
  ring->cancel(what);
  CHECK(results.size() == 1);
  turn(*ring);
  CHECK(results == std::vector<int>{POLLIN, -ECANCELED});

  // In one breath: ready and cancelled. Either is right, both is not.
  ring->start(what);
  ring->enter(duration::zero());
  ring->cancel(what);
  turn(*ring);
  turn(*ring);
  CHECK(results.size() == 3);
  CHECK(what.idle());
}

TEST_CASE("uring: cancel asks the kernel, and the end comes as a completion") {
  auto const ring = ring_or_skip();
  if (!ring) return;
  std::vector<int> results;
  int destroyed = 0;
  switch_descriptor never;
  noted what(never.number(), results, destroyed);
  ring->start(what);
  turn(*ring);
  ring->cancel(what);
  CHECK(results.empty());
  turn(*ring);
  turn(*ring);
  CHECK(results == std::vector<int>{-ECANCELED});
}

TEST_CASE("uring: what is disposed of while the kernel has it is destroyed after its last completion") {
  auto const ring = ring_or_skip();
  if (!ring) return;
  std::vector<int> results;
  int destroyed = 0;
  switch_descriptor never;
  auto parked = std::make_unique<noted>(never.number(), results, destroyed);
  ring->start(*parked);
  turn(*ring);
  ring->dispose(std::move(parked));
  CHECK(destroyed == 0);
  CHECK(ring->busy() == 0);
  turn(*ring);
  CHECK(destroyed == 1);
  CHECK(results.size() == 1);  // it hears of it: it might have a buffer to give back

  // The kernel has not seen this one.
  auto fresh = std::make_unique<noted>(never.number(), results, destroyed);
  ring->start(*fresh);
  ring->dispose(std::move(fresh));
  CHECK(destroyed == 2);
  turn(*ring);
  CHECK(results.size() == 1);
}

TEST_CASE("uring: a ring that dies waits until the kernel has let go") {
  std::vector<int> results;
  int destroyed = 0;
  switch_descriptor never;
  {
    auto const ring = ring_or_skip();
    if (!ring) return;
    auto parked = std::make_unique<noted>(never.number(), results, destroyed);
    ring->start(*parked);
    turn(*ring);
    ring->dispose(std::move(parked));
  }
  CHECK(destroyed == 1);
}

TEST_CASE("uring: more operations than the queue has room for") {
  io::uring::options small;
  small.entries = 4;
  small.completion_entries = 8;
  auto const made = ring_or_skip(small);
  if (!made) return;
  io::uring::ring& ring = *made;
  std::vector<int> results;
  int destroyed = 0;
  switch_descriptor ready;
  std::vector<std::unique_ptr<noted>> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back(std::make_unique<noted>(ready.number(), results, destroyed));
    ring.start(*many.back());
  }
  CHECK(ring.busy() == 100);
  turn(ring);
  ready.on();
  for (int i = 0; i < 100 && ring.busy() > 0; ++i) turn(ring);
  CHECK(results.size() == 100);
  CHECK(ring.busy() == 0);
  CHECK(ring.counters().completion_overflows > 0);
}

TEST_CASE("uring: out of buffers, datagrams wait in the socket, and none is lost") {
  io::uring::options few;
  few.receive_buffers = 2;
  auto const context = multishot_or_skip(few);
  if (!context) return;
  check_burst(*context, 150);
  CHECK(context->counters().out_of_buffers > 0);
}

TEST_CASE("uring: a port that is flooded leaves buffers to the others") {
  /// Whatever comes, more of it is there already.
  class flooded final : public io::udp_port::receiver {
   public:
    void on_datagrams(std::span<io::datagram>) override { flood(); }
    void on_unreachable(endpoint const&) override {}
    void flood() {
      for (std::size_t i = 0; i < 8; ++i) other->send(port->local(), bytes(1 + i));
    }
    std::unique_ptr<io::udp_port> port;
    io::udp_port* other = nullptr;
  };
  io::uring::options few;
  few.receive_buffers = 2;
  auto const context = multishot_or_skip(few);
  if (!context) return;
  peer source;
  listen(source, *context, at("127.0.0.1:0"));
  std::array<flooded, 2> floods;
  for (flooded& each : floods) {
    each.port = std::move(*context->open_udp(at("127.0.0.1:0")));
    each.port->set_receiver(&each);
    each.other = source.port.get();
    each.flood();
  }
  std::array<peer, 2> quiet;
  for (peer& each : quiet) listen(each, *context, at("127.0.0.1:0"));
  context->run(run_for(10ms));
  for (peer const& each : quiet) source.port->send(each.port->local(), as_bytes("here I am"));
  for (peer& each : quiet) {
    auto const arrived = context->run(coro::with_deadline(until_received(each, 1), duration(patience)));
    CHECK(arrived.has_value());
  }
  CHECK(has(context->counters_text(), " out_of_buffers="));
}

TEST_CASE("uring: with a full completion queue, completions wait in the kernel, and none is lost") {
  io::uring::options few;
  few.entries = 2;
  few.completion_entries = 4;
  auto const context = multishot_or_skip(few);
  if (!context) return;
  check_burst(*context, 150);
  CHECK(context->counters().receives > 2);  // the kernel ended it, and it was started again
}

TEST_CASE("uring: more completions in one turn than their queue has room for: the turn counts it, none is lost") {
  io::uring::options few;
  few.entries = 2;
  few.completion_entries = 4;
  for (bool const multishot : {true, false}) {
    CAPTURE(multishot);
    few.multishot = multishot;
    auto const context = open_or_skip(few);
    if (!context) return;
    peer client;
    listen(client, *context, at("127.0.0.1:0"));
    std::array<peer, 40> servers;
    for (peer& each : servers) listen(each, *context, at("127.0.0.1:0"));
    context->run(run_for(1us));  // the receives of all are under way
    for (peer const& each : servers) client.port->send(each.port->local(), as_bytes("all at once"));
    for (peer& each : servers) {
      auto const arrived = context->run(coro::with_deadline(until_received(each, 1), duration(patience)));
      CHECK(arrived.has_value());
    }
    CHECK(context->counters().completion_overflows > 0);
    CHECK(client.port->counters().sent == servers.size());
  }
}

TEST_CASE("uring: one receive brings many datagrams") {
  auto const context = multishot_or_skip();
  if (!context) return;
  check_burst(*context, 150);
  CHECK(context->counters().receives < 20);
}

TEST_CASE("uring: the buffers of a port come back, though another port's receiver closed it before it was served") {
  class closer final : public io::udp_port::receiver {
   public:
    void on_datagrams(std::span<io::datagram>) override { victim->port.reset(); }
    void on_unreachable(endpoint const&) override {}
    peer* victim = nullptr;
    std::unique_ptr<io::udp_port> port;
  };
  io::uring::options few;
  few.receive_buffers = 8;
  auto const context = multishot_or_skip(few);
  if (!context) return;
  peer client;
  listen(client, *context, at("127.0.0.1:0"));
  for (int i = 0; i < 20; ++i) {
    closer closing;
    peer victim;
    closing.victim = &victim;
    closing.port = std::move(*context->open_udp(at("127.0.0.1:0")));
    closing.port->set_receiver(&closing);
    listen(victim, *context, at("127.0.0.1:0"));
    context->run(run_for(1us));
    client.port->send(closing.port->local(), as_bytes("close it"));
    for (int k = 0; k < 4; ++k) client.port->send(victim.port->local(), as_bytes("too late"));
    while (victim.port != nullptr) context->run(run_for(1us));
  }
  auto const before = context->counters().out_of_buffers;
  check_burst(*context, 5);  // fewer than there are buffers
  CHECK(context->counters().out_of_buffers == before);
}

TEST_CASE("uring: a second thread is refused") {
  auto const context = open_or_skip();
  if (!context) return;
  context->run(run_for(1us));
  std::string why;
  std::thread other([&] {
    try {
      context->run(run_for(1us));
    } catch (std::logic_error const& e) {
      why = e.what();
    }
  });
  other.join();
  CHECK(why == "kadoro: a context belongs to one thread, but is run by several");
}

TEST_CASE("uring: made on one thread, run and destroyed on another") {
  auto context = open_or_skip();
  if (!context) return;
  std::uint64_t echoed = 0;
  std::thread other([&] {
    {
      peer server, client;
      server.echoes = true;
      listen(server, *context, at("127.0.0.1:0"));
      listen(client, *context, at("127.0.0.1:0"));
      auto const back = context->run(ask(client, server.port->local(), 100, 10));
      echoed = back ? client.received : 0;
    }
    context.reset();
  });
  other.join();
  CHECK(echoed == 100);
}

// The thread sanitizer's: the system gives the memory of a ring that has ended to the next one.
TEST_CASE("uring: threads that make and destroy contexts at once") {
  if (!open_or_skip()) return;
  std::atomic<int> turns = 0;
  auto const work = [&] {
    for (int i = 0; i < 20; ++i) {
      io::uring::context::open().value()->run(run_for(1us));
      ++turns;
    }
  };
  std::thread one(work);
  std::thread other(work);
  one.join();
  other.join();
  CHECK(turns == 40);
}

TEST_CASE("uring: ports that outlive their context, with everything under way") {
  peer server, client;
  {
    auto const context = open_or_skip();
    if (!context) return;
    listen(server, *context, at("127.0.0.1:0"));
    listen(client, *context, at("127.0.0.1:0"));
    for (int i = 0; i < 50; ++i) client.port->send(server.port->local(), as_bytes("x"));
    auto const some = context->run(coro::with_deadline(until_received(server, 1), duration(patience)));
    CHECK(some.has_value());
  }
  client.port->send(server.port->local(), as_bytes("nobody takes this"));
  CHECK(client.port->counters().sent == 50);
}

namespace {

/// The two ends of a connection, one on each context.
struct tcp_pair {
  std::optional<io::tcp_stream> called;
  std::optional<io::tcp_stream> caller;
};

coro::task<void> accept_one(io::tcp_listener& listener, std::optional<io::tcp_stream>& into) {
  auto taken = co_await coro::with_deadline(listener.accept(), duration(patience));
  if (taken) into.emplace(std::move(*taken));
}

coro::task<void> connect_one(io::context& from, endpoint to, std::optional<io::tcp_stream>& into) {
  auto stream = co_await coro::with_deadline(io::tcp_stream::connect(from, to), duration(patience));
  if (stream) into.emplace(std::move(*stream));
}

tcp_pair connect_pair(io::context& caller, io::context& called, io::tcp_listener& listener) {
  tcp_pair both;
  caller.run(connect_one(caller, listener.local(), both.caller));
  called.run(accept_one(listener, both.called));
  REQUIRE(both.caller.has_value());
  REQUIRE(both.called.has_value());
  return both;
}

tcp_pair connect_pair(io::context& caller, io::context& called) {
  auto listener = io::tcp_listener::open(called, at("127.0.0.1:0"));
  REQUIRE(listener.has_value());
  return connect_pair(caller, called, *listener);
}

/// How many bytes came until the end, or until it broke.
coro::task<result<std::size_t>> count_to_end(io::tcp_stream& from, std::size_t& count) {
  bytes part(64 * 1024);
  for (;;) {
    auto const got = co_await coro::with_deadline(from.read_some(part), duration(patience));
    if (!got || *got == 0) co_return got;
    count += *got;
  }
}

}  // namespace

namespace {

/// The number of the one socket that is bound to `local`; -1: this process has none.
int descriptor_of(io::endpoint const& local) {
  for (int number = 0; number < 1024; ++number)
    if (io::posix::bound_address(number) == local) return number;
  return -1;
}

void set_buffer(int descriptor, int which, int size_bytes) {
  REQUIRE(descriptor >= 0);
  REQUIRE(::setsockopt(descriptor, SOL_SOCKET, which, &size_bytes, sizeof size_bytes) == 0);
}

}  // namespace

TEST_CASE("uring: of a send the system takes a part, and the rest follows") {
  auto const context = open_or_skip();
  if (!context) return;
  io::asio::context other;
  auto listener = io::tcp_listener::open(other, at("127.0.0.1:0"));
  REQUIRE(listener.has_value());
  set_buffer(descriptor_of(listener->local()), SO_RCVBUF, 4096);
  auto both = connect_pair(*context, other, *listener);
  int const sender = descriptor_of(both.caller->local());
  set_buffer(sender, SO_SNDBUF, 4096);

  // What one submission offers; both systems together have room for a part of it.
  bytes data(64 * 1024);
  context->random().fill(data);
  auto const write = [](io::tcp_stream& to, bytes_view what) -> coro::task<void> {
    auto const sent = co_await to.write(what);
    CHECK(sent.has_value());
  };
  context->run(write(*both.caller, data));
  context->run(run_for(5ms));
  CHECK(both.caller->counters().sent_bytes == data.size());
  int unconfirmed = 0;
  REQUIRE(::ioctl(sender, SIOCOUTQ, &unconfirmed) == 0);
  CHECK(unconfirmed > 0);
  CHECK(unconfirmed < 48 * 1024);  // and the other end has confirmed less than its buffer is large

  auto const keep_reading = [](io::tcp_stream& from, bytes& into, bool& done) -> coro::task<void> {
    auto const got = co_await coro::with_deadline(from.read_exactly(into), duration(patience));
    CHECK(got.has_value());
    done = true;
  };
  bytes got(data.size());
  bool done = false;
  other.spawn(keep_reading(*both.called, got, done));
  while (!done) {
    context->run(run_for(100us));
    other.run(run_for(100us));
  }
  CHECK(got == data);
}

TEST_CASE("uring: a context that goes hands over what its connections have taken") {
  auto context = open_or_skip();
  if (!context) return;
  io::asio::context other;
  auto both = connect_pair(*context, other);
  bytes const data(100'000);
  auto const write = [](io::tcp_stream& to, bytes_view what) -> coro::task<void> {
    auto const sent = co_await to.write(what);
    CHECK(sent.has_value());
  };
  context->run(write(*both.caller, data));
  context.reset();
  std::size_t count = 0;
  auto const end = other.run(count_to_end(*both.called, count));
  CHECK(end.has_value());
  CHECK(count == data.size());
}

TEST_CASE("uring: of what a context cannot hand over the other end hears a reset, and no end") {
  for (bool const closed_before : {false, true}) {
    CAPTURE(closed_before);
    auto context = open_or_skip();
    if (!context) return;
    io::asio::context other;
    auto both = connect_pair(*context, other);
    bytes const data(64u << 20);
    std::uint64_t before = 0;
    do {  // until neither the system nor the stream takes any more
      before = both.caller->counters().sent_bytes;
      auto const stopped = context->run(coro::with_deadline(both.caller->write(data), duration(100ms)));
      REQUIRE_FALSE(stopped.has_value());
    } while (both.caller->counters().sent_bytes != before);
    if (closed_before) both.caller->close();
    context.reset();
    std::size_t count = 0;
    auto const end = other.run(count_to_end(*both.called, count));
    REQUIRE_FALSE(end.has_value());
    CHECK(end.error() == errc::reset);
  }
}

TEST_CASE("uring: connections made, used and dropped in every state leave nothing under way") {
  auto const context = open_or_skip();
  if (!context) return;
  auto listener = io::tcp_listener::open(*context, at("127.0.0.1:0"));
  REQUIRE(listener.has_value());
  auto const some = [](io::context& on, io::tcp_listener& from, int how) -> coro::task<void> {
    auto connecting = on.connect_tcp(from.local());
    if (!connecting || how == 0) co_return;  // while it connects
    io::tcp_stream caller(std::move(*connecting));
    auto taken = co_await coro::with_deadline(from.accept(), duration(patience));
    if (!taken) co_return;
    byte_array<1000> buffer{};
    if (how >= 2) {
      auto const nothing = co_await coro::with_deadline(taken->read_some(buffer), duration(1ms));
      CHECK((nothing ? *nothing == 0 : true));  // it may be one that its caller has dropped
    }
    if (how >= 3) {
      auto const sent = co_await taken->write(buffer);
      if (!sent) co_return;
    }
    if (how >= 4) taken->abort();
  };
  for (int i = 0; i < 200; ++i) {
    context->run(some(*context, *listener, i % 5));
  }
  listener->close();
  context->run(run_for(50ms));
  CHECK(context->under_way() == 0);
  CHECK(context->counters().streams_cut_off == 0);
}

TEST_CASE("uring: where a process was killed, the next one binds the same addresses at once") {
  if (!open_or_skip()) return;
  io::asio::context after;
  // An address of its own, and a port that no kernel hands out by itself: other tests run at the same time.
  io::endpoint const where = at("127.0.0.77:" + std::to_string(20'000 + ::getpid() % 10'000));
  for (int i = 0; i < 10; ++i) {
    int told[2] = {-1, -1};
    REQUIRE(::pipe(told) == 0);
    ::pid_t const child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto const killed = io::uring::context::open({});
      auto const port = killed ? (*killed)->open_udp(where) : fail(killed.error());
      auto const acceptor = port ? (*killed)->listen_tcp(where, 1) : fail(port.error());
      std::string const said = acceptor ? std::string() : acceptor.error().message();
      if (::write(told[1], said.data(), said.size()) < 0 || !acceptor) ::_exit(1);
      ::close(told[1]);
      for (;;) (*killed)->run(run_for(1s));
    }
    ::close(told[1]);
    std::string said(1000, '\0');
    auto const length = ::read(told[0], said.data(), said.size());  // 0: it has both, and says nothing
    ::close(told[0]);
    CHECK_MESSAGE(length == 0, said);
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    auto const port = after.open_udp(where);
    CHECK(port.has_value());
    auto const acceptor = after.listen_tcp(where, 1);
    CHECK(acceptor.has_value());
  }
}

#else

TEST_CASE("uring: this build is without it") {
  io_test::pass_over("uring", "built without liburing (Debian: liburing-dev)");
}

#endif
