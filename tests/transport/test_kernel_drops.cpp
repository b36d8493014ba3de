#include <doctest/doctest.h>

#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "io/backends.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/posix/socket_address.hpp"
#include "kadoro/io/posix/udp_descriptor.hpp"
#include "kadoro/transport/datagram/datagram_transport.hpp"

using namespace kadoro;
using namespace kadoro::transport;
using namespace std::chrono_literals;

namespace {

coro::task<void> pause(duration length) {
  auto const passed = co_await coro::sleep_for(length);
  static_cast<void>(passed);
}

}  // namespace

TEST_CASE("kernel drops: what came while nobody read is told among what was dropped") {
  io_test::on_each(io_test::real_backends(), [](io::context& context, io_test::backend const&) {
    peer_book book;
    datagram::options how;
    how.listen = io::endpoint::parse("127.0.0.1:0").value();
    auto const made =
        datagram::datagram_transport::open(context, book, crypto::identity::generate(context.random()), how);
    REQUIRE(made.has_value());
    datagram::datagram_transport& end = **made;
    auto const unread = [&end] { return end.port_counts().dropped_unread; };

    auto const stranger = io::posix::open_udp_descriptor(how.listen);
    REQUIRE(stranger.has_value());
    auto const to = io::posix::socket_address::from(end.local());
    bytes const junk(io::max_datagram_bytes);
    auto const send = [&](std::size_t size_bytes) {
      return ::sendto(*stranger, junk.data(), size_bytes, 0, to.get(), to.size) > 0;
    };
    for (std::size_t i = 0; i < 6000; ++i) REQUIRE(send(junk.size()));
    CHECK(end.counters_text().find("dropped_unread=") == std::string::npos);
    // The kernel tells the number with what is queued after the loss.
    for (std::size_t i = 0; i < 1000 && unread() == 0; ++i) {
      context.run(pause(1ms));
      REQUIRE(send(1));
    }
    ::close(*stranger);
    REQUIRE(unread() > 0);
    std::string const text = end.counters_text();
    CHECK(text.find(" dropped_unread=" + std::to_string(unread())) != std::string::npos);
    CHECK(text.find("dropped_queue_full=") == std::string::npos);
    context.run(end.close());
  });
}
