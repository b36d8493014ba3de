#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "backends.hpp"
#include "kadoro/io/tcp_listener.hpp"

/// @file
/// Where the tests of TCP run: every test on every backend of backends.hpp.

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
class loopback_place final : public tcp_place {
 public:
  explicit loopback_place(io_test::opened on) : on_(std::move(on)) {}
  ~loopback_place() override { loopback_place::feed(); }
  kadoro::io::context& server() override { return *on_.context; }
  kadoro::io::context& client() override { return *on_.context; }
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
  io_test::opened on_;
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

/// Null where this machine denies the backend; said.
inline std::unique_ptr<tcp_place> make_tcp_place(io_test::backend const& on) {
  if (on.is_simulated()) return std::make_unique<sim_place>();
  auto made = io_test::open_or_pass_over(on);
  return made ? std::make_unique<loopback_place>(std::move(*made)) : nullptr;
}

/// `test(std::unique_ptr<tcp_place>)` as a subcase a backend.
template <class Test>
void with_every_place(Test test) {
  for (io_test::backend const& each : io_test::all_backends()) {
    SUBCASE(each.name.c_str()) {
      if (auto place = make_tcp_place(each)) test(std::move(place));
    }
  }
}

/// `test(tcp_place&)` as a subcase a backend.
template <class Test>
void on_every_backend(Test test) {
  with_every_place([&](std::unique_ptr<tcp_place> place) { test(*place); });
}
