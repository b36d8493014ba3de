#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kadoro/io/sim/context.hpp"
#include "required.hpp"
#if defined(KADORO_WITH_URING)
#include "kadoro/io/uring/context.hpp"
#endif

#include "kadoro/io/asio/context.hpp"

/// @file
/// The same tests for every implementation of `io::context`: a test takes a context, and `on_each` runs it as a subcase
/// a backend. A new backend is one more line in a list below.

namespace io_test {

using namespace kadoro;

/// A context, and what it stands on.
struct opened {
  std::shared_ptr<void> below;  // goes after the context
  std::unique_ptr<io::context> owned;
  io::context* context = nullptr;
};

struct backend {
  std::string name;
  std::string address;     ///< IPv4, of the host that its contexts run on
  std::string address_v6;  ///< the same host's
  result<opened> (*open)();

  bool is_simulated() const { return name == "sim"; }
};

inline result<opened> own(result<std::unique_ptr<io::context>> made) {
  if (!made) return fail(made.error());
  opened out;
  out.owned = std::move(*made);
  out.context = out.owned.get();
  return out;
}

inline result<opened> open_asio() { return own(std::make_unique<io::asio::context>()); }

inline result<opened> open_asio_spinning() {
  return own(std::make_unique<io::asio::context>(std::chrono::microseconds(50)));
}

#if defined(KADORO_WITH_URING)
template <bool Multishot, bool Deferred, int SpinUs = 0>
result<opened> open_uring() {
  io::uring::options options;
  options.multishot = Multishot;
  options.defer_taskrun = Deferred;
  options.spin_max = std::chrono::microseconds(SpinUs);
  auto made = io::uring::context::open(options);
  if (!made) return fail(made.error());
  return own(std::unique_ptr<io::context>(std::move(*made)));
}
#endif

inline result<opened> open_sim() {
  struct simulation {
    io::sim::world world{1};
    io::sim::context context{world, io::endpoint::v4({10, 0, 0, 1}, 0)};
  };
  auto const made = std::make_shared<simulation>();
  made->context.add_address(*io::endpoint::parse("[fd00::1]:0"));
  opened out;
  out.below = made;
  out.context = &made->context;
  return out;
}

/// Those that talk to the operating system: for tests of what the system does, what it costs, or what a test can only
/// do to a real socket. io_uring also as kernels have it that lack this or that.
inline std::vector<backend> real_backends() {
  std::vector<backend> all;
  auto const add = [&all](char const* name, result<opened> (*open)()) {
    all.push_back({name, "127.0.0.1", "[::1]", open});
  };
  add("asio", &open_asio);
  add("asio, spinning", &open_asio_spinning);
#if defined(KADORO_WITH_URING)
  add("uring", &open_uring<true, true>);
  add("uring, spinning", &open_uring<true, true, 50>);
  add("uring, no deferred task runs", &open_uring<true, false>);
  add("uring, no multishot", &open_uring<false, true>);
  add("uring, as on 5.19", &open_uring<false, false>);
#endif
  return all;
}

/// For all other tests.
inline std::vector<backend> all_backends() {
  auto all = real_backends();
  all.push_back({"sim", "10.0.0.1", "[fd00::1]", &open_sim});
  return all;
}

/// What `on` makes; empty where this machine denies it, which is said. Only io_uring is ever denied.
inline std::optional<opened> open_or_pass_over(backend const& on) {
  auto made = on.open();
  if (made) return std::move(*made);
  pass_over("uring", on.name + ": " + made.error().message());
  return std::nullopt;
}

/// Calls `test(io::context&, backend const&)` for each. A backend that this machine denies is named and passed over.
template <class Test>
void on_each(std::vector<backend> const& backends, Test test) {
  for (backend const& each : backends) {
    SUBCASE(each.name.c_str()) {
      auto const made = open_or_pass_over(each);
      if (made) test(*made->context, each);
    }
  }
}

}  // namespace io_test
