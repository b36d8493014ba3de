#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/sim/context.hpp"
#include "kadoro/io/tcp_listener.hpp"

/// @file
/// Where the tests of TCP run: every test on every backend. A new backend is one more class and one more line.

/// Two programs that can reach each other by TCP.
class tcp_place {
 public:
  virtual ~tcp_place() = default;
  virtual kadoro::io::context& server() = 0;
  virtual kadoro::io::context& client() = 0;
  /// Where the server may listen, port 0.
  virtual kadoro::io::endpoint any() const = 0;
  /// No more descriptors: for the next attempts, or until `feed`.
  virtual void starve() = 0;
  virtual void feed() = 0;
};

/// One loop, real sockets on loopback.
class asio_place final : public tcp_place {
 public:
  ~asio_place() override { asio_place::feed(); }
  kadoro::io::context& server() override { return context_; }
  kadoro::io::context& client() override { return context_; }
  kadoro::io::endpoint any() const override { return *kadoro::io::endpoint::parse("127.0.0.1:0"); }
  void starve() override {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    starved_ = true;
    int const next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // the lowest that is free
    REQUIRE(next >= 0);
    ::close(next);
    rlimit lower = before_;
    lower.rlim_cur = static_cast<rlim_t>(next);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &lower) == 0);
  }
  void feed() override {
    if (std::exchange(starved_, false)) ::setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  kadoro::io::asio::context context_;
  rlimit before_{};
  bool starved_ = false;
};

/// Two hosts, 10 ms apart.
class sim_place final : public tcp_place {
 public:
  kadoro::io::context& server() override { return server_; }
  kadoro::io::context& client() override { return client_; }
  kadoro::io::endpoint any() const override { return *kadoro::io::endpoint::parse("0.0.0.0:0"); }
  void starve() override {
    server_.fail_opens(3);
    client_.fail_opens(1);
  }
  void feed() override {}

 private:
  kadoro::io::sim::world world_{1};
  kadoro::io::sim::context& server_ = world_.add_host(*kadoro::io::endpoint::parse("10.0.0.1:0"));
  kadoro::io::sim::context& client_ = world_.add_host(*kadoro::io::endpoint::parse("10.0.0.2:0"));
};

struct tcp_backend {
  char const* name;
  std::unique_ptr<tcp_place> (*make)();
};

template <class Place>
std::unique_ptr<tcp_place> make_tcp_place() {
  return std::make_unique<Place>();
}

inline std::vector<tcp_backend> tcp_backends() {
  return {{"asio", &make_tcp_place<asio_place>}, {"sim", &make_tcp_place<sim_place>}};
}

/// `test(place)` on each.
template <class Test>
void on_every_backend(Test test) {
  for (tcp_backend const& each : tcp_backends()) {
    INFO("backend ", each.name);
    auto const place = each.make();
    test(*place);
  }
}
