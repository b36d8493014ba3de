#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kadoro/io/context.hpp"
#include "kadoro/io/udp_socket.hpp"

/// @file
/// What the tests of the simulated world share.

inline kadoro::io::endpoint at(std::string_view text) { return *kadoro::io::endpoint::parse(text); }

/// Keeps what comes in, with its time.
class sink : public kadoro::io::udp_port::receiver {
 public:
  explicit sink(kadoro::io::context& host) : host_(host) {}
  void on_datagrams(std::span<kadoro::io::datagram> batch) override {
    batches.push_back(batch.size());
    for (kadoro::io::datagram const& one : batch) {
      texts.emplace_back(kadoro::as_text(one.data));
      senders.push_back(one.from);
      times.push_back(host_.now());
    }
  }
  void on_unreachable(kadoro::io::endpoint const& to) override { unreachable.push_back(to); }

  std::vector<std::size_t> batches;
  std::vector<std::string> texts;
  std::vector<kadoro::io::endpoint> senders;
  std::vector<kadoro::time_point> times;
  std::vector<kadoro::io::endpoint> unreachable;

 private:
  kadoro::io::context& host_;
};

inline std::unique_ptr<kadoro::io::udp_port> open(kadoro::io::context& host, std::string_view local,
                                                  kadoro::io::udp_port::receiver* to = nullptr) {
  auto opened = host.open_udp(at(local));
  REQUIRE(opened.has_value());
  (*opened)->set_receiver(to);
  return std::move(*opened);
}

/// Sends back whatever comes in.
inline kadoro::coro::task<void> echo(kadoro::io::udp_socket& socket) {
  kadoro::byte_array<kadoro::io::max_datagram_bytes> buffer{};
  for (;;) {
    auto const got = co_await socket.receive(buffer);
    if (!got) co_return;
    socket.send(got->from, kadoro::bytes_view(buffer.data(), got->size_bytes));
  }
}
