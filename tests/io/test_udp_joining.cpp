#include "backends.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/coro/frame_pool.hpp"
#include "kadoro/io/posix/send_queue.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"
#include "kadoro/io/posix/udp_joining.hpp"
#include "udp_peer.hpp"

using namespace io_test;

// Messages of the system that are several datagrams: whatever takes them in, a port hands out each for itself.

namespace {

/// A socket that sends messages which the system may leave together up to the receiver.
class train_sender {
 public:
  train_sender() : descriptor_(*io::posix::open_udp_descriptor(at("127.0.0.1:0"))) {}
  train_sender(train_sender const&) = delete;
  train_sender& operator=(train_sender const&) = delete;
  ~train_sender() { ::close(descriptor_); }

  /// `data` in datagrams of `segment_bytes`, of which the last may be shorter. 0: as one.
  void send(endpoint const& to, bytes_view data, std::uint16_t segment_bytes = 0) {
    auto address = io::posix::socket_address::from(to);
    iovec part{const_cast<std::uint8_t*>(data.data()), data.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof segment_bytes)> control{};
    msghdr message{};
    message.msg_name = address.get();
    message.msg_namelen = address.size;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (segment_bytes > 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* const cut = CMSG_FIRSTHDR(&message);
      cut->cmsg_level = IPPROTO_UDP;
      cut->cmsg_type = io::posix::udp_segment_option;
      cut->cmsg_len = CMSG_LEN(sizeof segment_bytes);
      std::memcpy(CMSG_DATA(cut), &segment_bytes, sizeof segment_bytes);
    }
    REQUIRE(::sendmsg(descriptor_, &message, 0) == static_cast<ssize_t>(data.size()));
  }

 private:
  int descriptor_;
};

/// Keeps what came, and writes over it, as who decrypts in place does.
class keeper final : public io::udp_port::receiver {
 public:
  void on_datagrams(std::span<io::datagram> batch) override {
    for (io::datagram const& one : batch) {
      all.emplace_back(one.data.begin(), one.data.end());
      std::fill(one.data.begin(), one.data.end(), std::uint8_t{0xee});
    }
    changed.set();
  }
  void on_unreachable(endpoint const&) override {}

  std::vector<bytes> all;
  coro::event changed;
  std::unique_ptr<io::udp_port> port;
};

coro::task<result<void>> until_kept(keeper& on, std::size_t count) {
  while (on.all.size() < count) {
    on.changed.reset();
    auto const woken = co_await on.changed.wait();
    if (!woken) co_return fail(woken.error());
  }
  co_return result<void>();
}

bool wait_for(io::context& context, keeper& on, std::size_t count) {
  auto const all = context.run(coro::with_deadline(until_kept(on, count), duration(patience)));
  return all.has_value();
}

void open(keeper& on, io::context& context) {
  auto opened = context.open_udp(at("127.0.0.1:0"));
  REQUIRE(opened.has_value());
  on.port = std::move(*opened);
  on.port->set_receiver(&on);
}

/// Datagrams of `size`, each of its own content from `first` on, one behind the other.
bytes train(std::size_t count, std::size_t size, std::size_t first = 0) {
  bytes out;
  for (std::size_t i = 0; i < count; ++i) out.insert(out.end(), size, static_cast<std::uint8_t>(first + i));
  return out;
}

/// As many as every kernel that cuts messages takes in one.
constexpr std::size_t together = 64;

template <class Test>
void where_messages_are_cut(Test test) {
  if (io::posix::udp_joining::probe().no_segment != 0) {
    MESSAGE("skipped: this system does not cut messages");
    return;
  }
  on_each(real_backends(), test);
}

bool gives_joined() { return io::posix::udp_joining::probe().no_gro == 0; }

}  // namespace

TEST_CASE("udp joining: the probe says what is missing, and why") {
  using io::posix::udp_joining;
  CHECK(udp_joining{}.text() == "UDP_SEGMENT, UDP_GRO");
  CHECK(udp_joining{0, ENOPROTOOPT}.text() == "UDP_SEGMENT, no UDP_GRO (Protocol not available)");
  CHECK(udp_joining{ENOPROTOOPT, 0}.text() == "no UDP_SEGMENT (Protocol not available), UDP_GRO");
}

TEST_CASE("udp joining: what one address is sent is one message, up to what the kernel cuts") {
  endpoint const one = at("127.0.0.1:1");
  endpoint const other = at("127.0.0.1:2");
  auto const counts = [&](std::vector<endpoint> const& to, std::size_t size) {
    io::posix::send_pool pool;
    io::posix::send_queue queue(pool);
    for (endpoint const& each : to) REQUIRE(queue.push(each, bytes(size)));
    io::posix::send_batch& front = queue.front(true);
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < front.messages().size(); ++i) out.push_back(front.datagrams(i));
    queue.clear();
    return out;
  };
  using list = std::vector<std::size_t>;
  CHECK(counts(std::vector(together, one), 500) == list{together});
  CHECK(counts(std::vector(together + 3, one), 100) == list{together, 3});
  CHECK(counts(std::vector(20, one), io::max_datagram_bytes) == list{16, 4});
  CHECK(counts({one, one, other, one, one, one}, 100) == list{2, 1, 3});
}

TEST_CASE("udp joining: what goes on with a run waits for the end of the turn, for sixteen, or for 50 us") {
  /// Answers with a run: what is sent from here leaves together at the end of the turn.
  class runner final : public io::udp_port::receiver {
   public:
    void on_datagrams(std::span<io::datagram> batch) override {
      for (std::size_t i = 0; i < 10; ++i) port->send(batch.front().from, bytes(100));
    }
    void on_unreachable(endpoint const&) override {}
    std::unique_ptr<io::udp_port> port;
  };
  where_messages_are_cut([](io::context& context, backend const&) {
    keeper server;
    open(server, context);
    runner client;
    client.port = std::move(*context.open_udp(at("127.0.0.1:0")));
    client.port->set_receiver(&client);
    io::udp_counters const& counters = client.port->counters();
    endpoint const to = server.port->local();
    bytes const something(100);
    auto const send = [&](std::size_t count) {
      std::uint64_t const before = counters.sent;
      for (std::size_t i = 0; i < count; ++i) client.port->send(to, something);
      return counters.sent - before;
    };
    auto const wait_a_little = [&] {
      for (time_point const later = context.now() + 60us; context.now() < later;) continue;
    };
    auto const make_a_run = [&] {
      std::uint64_t const sent = counters.sent;
      server.port->send(client.port->local(), bytes(1));
      REQUIRE(wait_for(context, server, sent + 10));
      CHECK(counters.sent_joined > 0);
    };
    CHECK(send(1) == 1);
    wait_a_little();
    CHECK(send(1) == 1);  // one by one is no run

    make_a_run();
    CHECK(send(1) == 0);
    wait_a_little();
    CHECK(send(1) == 2);
    bool in_time = false;
    for (int attempt = 0; attempt < 100 && !in_time; ++attempt) {  // this thread may have to wait for a core
      make_a_run();
      time_point const began = context.now();
      std::uint64_t const at_fifteen = send(15);
      in_time = context.now() - began < 50us;
      std::uint64_t const at_sixteen = send(1);
      if (in_time) {
        CHECK(at_fifteen == 0);
        CHECK(at_sixteen == 16);
      }
      REQUIRE(wait_for(context, server, counters.sent));
    }
    if (coro::frame_pool::enabled)
      CHECK(in_time);
    else if (!in_time)
      MESSAGE("not checked: with a sanitizer fifteen take longer than that");

    make_a_run();
    std::size_t const before = server.all.size();
    send(3);
    REQUIRE(wait_for(context, server, before + 3));  // at the end of the turn at the latest
    CHECK(server.all.size() == counters.sent);
  });
}

TEST_CASE("udp joining: every datagram of a message arrives for itself, in order, and the last may be shorter") {
  where_messages_are_cut([](io::context& context, backend const&) {
    keeper server;
    open(server, context);
    endpoint const to = server.port->local();
    train_sender raw;
    std::vector<bytes> sent;
    auto const send = [&](std::size_t count, std::uint16_t size, std::size_t rest) {
      bytes message = train(count, size, sent.size());
      message.insert(message.end(), rest, std::uint8_t{0xff});
      for (std::size_t i = 0; i < count; ++i) sent.emplace_back(size, static_cast<std::uint8_t>(sent.size()));
      if (rest > 0) sent.emplace_back(rest, std::uint8_t{0xff});
      raw.send(to, message, count > 1 || rest > 0 ? size : std::uint16_t{0});
    };
    // More than one batch of them, beside single ones, also such without content.
    send(3, 1200, 7);
    send(1, 100, 0);
    send(together, 10, 0);
    raw.send(to, {});
    sent.emplace_back();
    send(together - 1, 1, 0);
    send(2, io::max_datagram_bytes, 1);
    for (int i = 0; i < 6; ++i) send(together - 1, 300, 299);
    REQUIRE(wait_for(context, server, sent.size()));
    CHECK(server.all == sent);
    io::udp_counters const& counters = server.port->counters();
    CHECK(counters.received == sent.size());
    std::size_t bytes_in_all = 0;
    for (bytes const& each : sent) bytes_in_all += each.size();
    CHECK(counters.received_bytes == bytes_in_all);
    CHECK(counters.received_joined == (gives_joined() ? sent.size() - 2 : 0));
    CHECK(counters.truncated + counters.dropped_unread == 0);
  });
}

TEST_CASE("udp joining: what is too long for a datagram is dropped and counted, each for itself") {
  where_messages_are_cut([](io::context& context, backend const&) {
    keeper server;
    open(server, context);
    endpoint const to = server.port->local();
    train_sender raw;
    raw.send(to, train(4, 3000), 3000);
    raw.send(to, train(3, 3000), 3000);
    bytes with_rest = train(2, 3000);
    with_rest.insert(with_rest.end(), 500, std::uint8_t{1});
    raw.send(to, with_rest, 3000);
    raw.send(to, bytes(60'000));
    raw.send(to, bytes(io::max_datagram_bytes + 1));
    raw.send(to, train(2, 5), 5);
    REQUIRE(wait_for(context, server, 3));
    CHECK(server.all == std::vector<bytes>{bytes(500, 1), bytes(5, 0), bytes(5, 1)});
    CHECK(server.port->counters().received == 3);
    CHECK(server.port->counters().truncated == 11);
  });
}

TEST_CASE("udp joining: answers to more than the queue holds all leave") {
  where_messages_are_cut([](io::context& context, backend const&) {
    peer server;
    server.echoes = true;
    listen(server, context, at("127.0.0.1:0"));
    train_sender raw;
    constexpr std::size_t messages = 100;
    static_assert(messages * together > io::max_queued_datagrams);
    for (std::size_t i = 0; i < messages; ++i) raw.send(server.port->local(), train(together, 3), 3);
    auto const all = context.run(coro::with_deadline(until_received(server, messages * together), duration(patience)));
    REQUIRE(all.has_value());
    context.run(run_for(1us));
    io::udp_counters const& counters = server.port->counters();
    CHECK(counters.sent + counters.dropped_by_system == messages * together);
    CHECK(counters.dropped_queue_full == 0);
  });
}

TEST_CASE("udp joining: a receiver may go, or close its port, in the middle of what has come") {
  class leaver final : public io::udp_port::receiver {
   public:
    void on_datagrams(std::span<io::datagram> batch) override {
      received += batch.size();
      if (closes)
        port.reset();
      else
        port->set_receiver(nullptr);
      for (io::datagram const& one : batch) sum += one.data[0];  // it is still there
      gone.set();
    }
    void on_unreachable(endpoint const&) override {}
    bool closes = false;
    std::uint64_t received = 0;
    std::uint64_t sum = 0;
    coro::event gone;
    std::unique_ptr<io::udp_port> port;
  };
  auto const wait = [](coro::event& what) -> coro::task<result<void>> { co_return co_await what.wait(); };
  where_messages_are_cut([&wait](io::context& context, backend const&) {
    constexpr std::size_t messages = 10;
    for (bool const closes : {false, true}) {
      CAPTURE(closes);
      leaver first;
      first.closes = closes;
      first.port = std::move(*context.open_udp(at("127.0.0.1:0")));
      first.port->set_receiver(&first);
      train_sender raw;
      for (std::size_t i = 0; i < messages; ++i) raw.send(first.port->local(), train(together, 2, 1), 2);
      auto const gone = context.run(coro::with_deadline(wait(first.gone), duration(patience)));
      REQUIRE(gone.has_value());
      if (closes) {
        CHECK(first.port == nullptr);
        continue;
      }
      context.run(run_for(1ms));
      keeper second;
      first.port->set_receiver(&second);
      raw.send(first.port->local(), bytes(7));
      while (second.all.empty() || second.all.back().size() != 7)
        REQUIRE(wait_for(context, second, second.all.size() + 1));
      io::udp_counters const& counters = first.port->counters();
      CHECK(counters.received == first.received + second.all.size());
      CHECK(counters.received + counters.dropped_unread == messages * together + 1);
      first.port->set_receiver(nullptr);
    }
    // What served that port serves others.
    keeper later;
    open(later, context);
    train_sender raw;
    raw.send(later.port->local(), train(3, 2), 2);
    REQUIRE(wait_for(context, later, 3));
    CHECK(later.all == std::vector<bytes>{bytes(2, 0), bytes(2, 1), bytes(2, 2)});
  });
}
