#include <doctest/doctest.h>

#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "denied.hpp"
#include "kadoro/coro/frame_pool.hpp"
#include "kadoro/io/posix/udp_joining.hpp"
#include "kadoro/io/system/open.hpp"
#include "required.hpp"
#include "udp_peer.hpp"

#if defined(KADORO_WITH_URING)
#include <liburing.h>
#endif

using namespace io_test;

namespace {

/// KADORO_IO, for the length of a test.
class environment {
 public:
  explicit environment(char const* value) {
    if (char const* const old = std::getenv("KADORO_IO")) before_ = old;
    if (value == nullptr)
      ::unsetenv("KADORO_IO");
    else
      ::setenv("KADORO_IO", value, 1);
  }
  environment(environment const&) = delete;
  environment& operator=(environment const&) = delete;
  ~environment() {
    if (before_.empty())
      ::unsetenv("KADORO_IO");
    else
      ::setenv("KADORO_IO", before_.c_str(), 1);
  }

 private:
  std::string before_;
};

io::open_options wanting(io::backend_choice what) {
  io::open_options out;
  out.backend = what;
  return out;
}

bool begins(std::string const& text, std::string const& with) { return text.rfind(with, 0) == 0; }
bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

/// Opens, and lets ten datagrams go round; `<backend>|<details>`, or what went wrong.
std::string opened_and_used(io::open_options const& wanted) {
  auto const context = io::open(wanted);
  if (!context) return "error|" + context.error().message();
  peer server, client;
  server.echoes = true;
  server.port = std::move(*(*context)->open_udp(at("127.0.0.1:0")));
  client.port = std::move(*(*context)->open_udp(at("127.0.0.1:0")));
  server.port->set_receiver(&server);
  client.port->set_receiver(&client);
  auto const back = (*context)->run(ask(client, server.port->local(), 10, 2));
  if (!back) return "error|" + back.error().message();
  return std::string((*context)->backend()) + "|" + (*context)->backend_details();
}

}  // namespace

TEST_CASE("open: the best that can be had, and it says what it took or why it is not io_uring") {
  environment const none(nullptr);
  auto const said = opened_and_used({});
  INFO(said);
  if (begins(said, "io_uring|io_uring: ")) {
    CHECK(has(said, "; the best that can be had"));
    CHECK(has(opened_and_used(wanting(io::backend_choice::uring)), "; asked for"));
    return;
  }
  REQUIRE(begins(said, "asio|asio: io_uring: "));
  pass_over("uring", said);
}

TEST_CASE("open: Asio for those who want it, and KADORO_IO is heard where the program says nothing") {
  environment const asio("asio");
  std::string const joins = "; " + io::posix::udp_joining::probe().text();
  CHECK(opened_and_used({}) == "asio|asio: asked for by KADORO_IO=asio" + joins);
  environment const uring("uring");
  CHECK(opened_and_used(wanting(io::backend_choice::asio)) == "asio|asio: asked for" + joins);
  auto const said = opened_and_used({});
  INFO(said);
  CHECK(has(said, begins(said, "io_uring|") ? "; asked for by KADORO_IO=uring" : "(asked for by KADORO_IO=uring"));
}

TEST_CASE("open: a KADORO_IO that means nothing is an error that names it") {
  environment const nonsense("fast");
  auto const refused = io::open();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == errc::invalid_argument);
  CHECK(has(refused.error().message(), "KADORO_IO=fast"));
  CHECK(io::open(wanting(io::backend_choice::automatic)).has_value());  // it is not asked
}

TEST_CASE("open: where the kernel denies io_uring, Asio is taken and the cause is told; who insists gets an error") {
  struct denial {
    long call;
    int cause;
    std::string text;
  };
  denial const denials[] = {{__NR_io_uring_setup, EPERM, "seccomp filter"},
                            {__NR_io_uring_setup, ENOSYS, "has no io_uring"},
                            {__NR_io_uring_setup, ENOMEM, "no memory"},
                            {__NR_io_uring_enter, EPERM, "cannot enter a ring"},
                            {__NR_io_uring_register, EPERM, "cannot enable a ring"}};
  environment const none(nullptr);
  [[maybe_unused]] bool const has_rings = io::open(wanting(io::backend_choice::uring)).has_value();
  for (denial const& each : denials) {
    CAPTURE(each.text);
    auto const denied = [&](io::backend_choice what) {
      return in_child([&] { return deny(each.call, each.cause) ? opened_and_used(wanting(what)) : "no filters"; });
    };
    auto const fallback = denied(io::backend_choice::automatic);
    if (fallback == "no filters") {
      MESSAGE("skipped: this kernel has no seccomp filters");
      return;
    }
    INFO(fallback);
    CHECK(begins(fallback, "asio|asio: io_uring: "));
    auto const insisted = denied(io::backend_choice::uring);
    INFO(insisted);
    CHECK(begins(insisted, "error|io_uring: "));
    CHECK(has(insisted, "(asked for"));
#if defined(KADORO_WITH_URING)
    // Where there are no rings anyway, nobody gets as far as to use one.
    if (!has_rings && each.call != __NR_io_uring_setup) {
      pass_over("uring", each.text);
      continue;
    }
    CHECK(has(fallback, each.text));
    CHECK(has(insisted, each.text));
#else
    CHECK(has(fallback, "built without liburing"));
#endif
  }
}

#if defined(KADORO_WITH_URING)
TEST_CASE("open: where only a part of io_uring is denied, it is taken without that part, and says so") {
  environment const none(nullptr);
  auto const whole = in_child([] { return opened_and_used({}); });
  if (!has(whole, "multishot recvmsg, buffer ring,")) {
    if (!begins(whole, "io_uring|")) pass_over("uring", whole);
    MESSAGE("skipped: this kernel has no multishot recvmsg");
    return;
  }
  auto const said = in_child([] {
    bool const denied = deny(__NR_io_uring_register, unsigned{IORING_REGISTER_PBUF_RING}, EPERM);
    return denied ? opened_and_used({}) : "no filters";
  });
  if (said == "no filters") {
    MESSAGE("skipped: this kernel has no seccomp filters");
    return;
  }
  INFO(said);
  CHECK(begins(said, "io_uring|io_uring: poll and recvmmsg (multishot recvmsg into a buffer ring: "));
  CHECK(has(said, "Operation not permitted"));
}
#endif

TEST_CASE("open: a process that may open nothing more is told so") {
  if (!coro::frame_pool::enabled) {
    MESSAGE("skipped: a sanitizer needs descriptors of its own");
    return;
  }
  environment const none(nullptr);
  auto const said = in_child([] {
    rlimit const nothing{0, 0};
    return ::setrlimit(RLIMIT_NOFILE, &nothing) == 0 ? opened_and_used({}) : "not to be had";
  });
  INFO(said);
  CHECK(begins(said, "error|asio: "));
  CHECK(has(said, "Too many open files"));
}

namespace {

/// No memory may be locked from now on, and nobody who may do it all the same. False: see errno.
bool give_up_locked_memory() {
  rlimit const nothing{0, 0};
  if (::setrlimit(RLIMIT_MEMLOCK, &nothing) != 0) return false;
  if (::geteuid() != 0) return true;
  static constexpr unsigned nobody = 65534;
  return ::setgroups(0, nullptr) == 0 && ::setgid(nobody) == 0 && ::setuid(nobody) == 0;
}

}  // namespace

TEST_CASE("open: without memory that may be locked there is a context that works, and says why it is no other") {
  environment const none(nullptr);
  auto const without = [](io::backend_choice what) {
    return in_child([what] { return give_up_locked_memory() ? opened_and_used(wanting(what)) : "not to be had"; });
  };
  auto const taken = without(io::backend_choice::automatic);
  if (taken == "not to be had") {
    MESSAGE("skipped: this system does not let a process give up its rights");
    return;
  }
  auto const insisted = without(io::backend_choice::uring);
  CAPTURE(taken);
  CAPTURE(insisted);
  if (begins(taken, "io_uring|io_uring: ")) {  // kernels from 5.12 on count its queues elsewhere
    CHECK(insisted.substr(0, insisted.rfind("; ")) == taken.substr(0, taken.rfind("; ")));
    return;
  }
  REQUIRE(begins(taken, "asio|asio: io_uring: "));
  std::string const why = taken.substr(0, taken.rfind("; ")).substr(std::string("asio|asio: ").size());
  CHECK(begins(insisted, "error|" + why));
  CHECK(has(insisted, "(asked for"));
}
