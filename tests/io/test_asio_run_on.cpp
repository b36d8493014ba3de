#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "kadoro/coro/event.hpp"
#include "kadoro/coro/scope.hpp"
#include "kadoro/coro/sleep.hpp"
#include "kadoro/io/asio/context.hpp"
#include "kadoro/io/asio/run_on.hpp"

// After the standard headers, as everywhere.
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/co_spawn.hpp>
#endif

using namespace kadoro;
using namespace std::chrono_literals;

// Tasks of kadoro inside a program of Asio, on the program's own io_context.

namespace {

coro::task<std::unique_ptr<int>> seven() {
  co_await coro::sleep_for(1us);
  co_return std::make_unique<int>(7);
}

coro::task<void> throwing() {
  co_await coro::sleep_for(1us);
  throw std::runtime_error("on purpose");
}

coro::task<result<void>> wait_for_ever() {
  coro::event never;
  co_return co_await never.wait();
}

}  // namespace

TEST_CASE("asio run_on: a callback gets the outcome, on the program's io_context, outside of a turn") {
  ::asio::io_context loop;
  io::asio::context context(loop);
  int value = 0;
  std::string thrown;
  bool ran_inside = false;
  io::asio::run_on(context, seven(), [&](coro::outcome<std::unique_ptr<int>> out) {
    value = *out.take();
    loop.poll();  // runs turns: refused inside of one
    ran_inside = true;
  });
  io::asio::run_on(context, throwing(), [&](coro::outcome<void> out) {
    try {
      out.take();
    } catch (std::runtime_error const& e) {
      thrown = e.what();
    }
  });
  CHECK(value == 0);  // never inside the call
  loop.run();         // returns when nothing is left
  CHECK(value == 7);
  CHECK(ran_inside);
  CHECK(thrown == "on purpose");
}

TEST_CASE("asio run_on: a cancellation slot cancels the task") {
  ::asio::io_context loop;
  io::asio::context context(loop);
  ::asio::cancellation_signal stop;
  std::optional<result<void>> ended;
  auto const note = [&](coro::outcome<result<void>> out) { ended = out.take(); };
  io::asio::run_on(context, wait_for_ever(), ::asio::bind_cancellation_slot(stop.slot(), note));
  loop.poll();
  CHECK_FALSE(ended.has_value());
  stop.emit(::asio::cancellation_type::terminal);
  CHECK_FALSE(ended.has_value());
  loop.restart();
  loop.run();
  REQUIRE(ended.has_value());
  REQUIRE_FALSE(ended->has_value());
  CHECK(ended->error() == errc::cancelled);
  stop.emit(::asio::cancellation_type::terminal);  // too late: no effect
}

TEST_CASE("asio run_on: a context that dies destroys the handlers that wait, uncalled") {
  ::asio::io_context loop;
  auto const alive = std::make_shared<int>(0);
  {
    io::asio::context context(loop);
    io::asio::run_on(context, wait_for_ever(), [alive](coro::outcome<result<void>>) { FAIL("called after the end"); });
    loop.poll();
    CHECK(alive.use_count() == 2);
  }
  CHECK(alive.use_count() == 1);
  loop.restart();
  loop.run();  // returns: nothing keeps it at work
  CHECK(loop.stopped());
}

TEST_CASE("asio: a timer that is disarmed outside of a turn does not keep the io_context at work") {
  ::asio::io_context loop;
  io::asio::context context(loop);
  {
    coro::scope children(context);
    auto const wait_long = []() -> coro::task<void> { co_await coro::sleep_for(1h); };
    children.spawn(wait_long());
    loop.poll();
    children.abandon();
  }
  loop.restart();
  loop.run();  // returns
  CHECK(loop.stopped());
}

#if defined(ASIO_HAS_CO_AWAIT)

namespace {

coro::task<result<int>> refused() {
  co_await coro::sleep_for(1us);
  co_return fail(errc::refused, "on purpose");
}

struct seen {
  int value = 0;
  errc error{};
  std::string thrown;
};

::asio::awaitable<void> program(io::asio::context& context, seen& into) {
  auto const value = co_await io::asio::as_awaitable(context, seven());
  into.value = *value;
  auto const failed = co_await io::asio::as_awaitable(context, refused());
  if (!failed && failed.error() == errc::refused) into.error = errc::refused;
  try {
    co_await io::asio::as_awaitable(context, throwing());
  } catch (std::runtime_error const& e) {
    into.thrown = e.what();
  }
}

::asio::awaitable<void> wait_in_vain(io::asio::context& context, std::optional<result<void>>& ended) {
  ended = co_await io::asio::as_awaitable(context, wait_for_ever());
}

}  // namespace

TEST_CASE("asio run_on: an awaitable gets values, errors and exceptions") {
  ::asio::io_context loop;
  io::asio::context context(loop);
  seen what;
  std::exception_ptr failed;
  ::asio::co_spawn(loop, program(context, what), [&](std::exception_ptr e) { failed = e; });
  loop.run();
  CHECK(failed == nullptr);
  CHECK(what.value == 7);
  CHECK(what.error == errc::refused);
  CHECK(what.thrown == "on purpose");
}

TEST_CASE("asio run_on: cancelling an awaitable cancels the task that it waits for") {
  ::asio::io_context loop;
  io::asio::context context(loop);
  ::asio::cancellation_signal stop;
  std::optional<result<void>> ended;
  bool over = false;
  ::asio::co_spawn(loop, wait_in_vain(context, ended),
                   ::asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) { over = true; }));
  loop.poll();
  CHECK_FALSE(over);
  stop.emit(::asio::cancellation_type::terminal);
  loop.restart();
  loop.run();
  CHECK(over);
  REQUIRE(ended.has_value());
  REQUIRE_FALSE(ended->has_value());
  CHECK(ended->error() == errc::cancelled);
}

TEST_CASE("asio run_on: an awaitable that waits dies with its context") {
  ::asio::io_context loop;
  std::optional<result<void>> ended;
  {
    io::asio::context context(loop);
    ::asio::co_spawn(loop, wait_in_vain(context, ended), [](std::exception_ptr) { FAIL("it was never over"); });
    loop.poll();
  }
  loop.restart();
  loop.run();
  CHECK_FALSE(ended.has_value());
}

#endif
