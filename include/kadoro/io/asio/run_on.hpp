#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "kadoro/coro/cancel.hpp"
#include "kadoro/coro/outcome.hpp"
#include "kadoro/coro/task.hpp"
#include "kadoro/io/asio/context.hpp"

// Asio last: see context.hpp.
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/bind_executor.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#if defined(ASIO_HAS_CO_AWAIT)
#include <asio/awaitable.hpp>
#include <asio/use_awaitable.hpp>
#endif

/// @file
/// The way from Asio's world into kadoro's: tasks of kadoro as asynchronous operations of Asio.

namespace kadoro::inline KADORO_ABI::io::asio {

namespace detail {

/// What the cancellation slot of a handler holds on to.
struct cancel_link {
  coro::cancel_source source;
};

/// Runs `work` and hands its outcome to `handler`, later, on the handler's executor: nothing of the user's runs inside
/// a turn of the context. If the context dies before, so does the handler, uncalled.
template <class T, class Handler>
coro::task<void> run_for_handler(coro::task<T> work, Handler handler, std::shared_ptr<cancel_link> link,
                                 ::asio::io_context& loop) {
  auto const executor = ::asio::get_associated_executor(handler, loop.get_executor());
  auto const guard = ::asio::make_work_guard(executor);
  coro::environment const outer = co_await coro::this_environment();
  coro::environment const inner(outer.sched(), link->source.token());
  work.set_environment(inner);
  coro::outcome<T> out;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(work);
      out.set_value();
    } else {
      T value = co_await std::move(work);
      out.set_value(std::move(value));
    }
  } catch (...) {
    out.set_exception(std::current_exception());
  }
  auto slot = ::asio::get_associated_cancellation_slot(handler);
  if (slot.is_connected()) slot.clear();
  ::asio::post(executor,
               [call = std::move(handler), out = std::move(out)]() mutable { std::move(call)(std::move(out)); });
}

/// What asio calls to begin, when the token says so.
template <class T>
class start_run {
 public:
  explicit start_run(context& on) noexcept : on_(on) {}

  template <class Handler>
  void operator()(Handler&& handler, coro::task<T> work) const {
    auto link = std::make_shared<cancel_link>();
    auto slot = ::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([asked = std::weak_ptr<cancel_link>(link)](::asio::cancellation_type) {
        if (auto const alive = asked.lock()) alive->source.request();
      });
    }
    using handler_type = std::decay_t<Handler>;
    on_.spawn(run_for_handler<T, handler_type>(std::move(work), std::forward<Handler>(handler), std::move(link),
                                               on_.native()));
  }

 private:
  context& on_;
};

}  // namespace detail

/// Runs `work` on `on` and completes as any operation of Asio does, with a callback, a future, or whatever `token`
/// asks for. Signature: `void(coro::outcome<T>)`; `outcome::take` gives the value, or throws what the task threw.
///
/// Call it on the thread that runs the io_context. Cancelling by the handler's cancellation slot cancels the task,
/// which still completes, mostly with `errc::cancelled`. The handler runs by its own executor (else that of the
/// io_context), never inside this call. If `on` is destroyed first, the handler is destroyed without being called.
template <class T, class CompletionToken>
auto run_on(context& on, coro::task<T> work, CompletionToken&& token) {
  return ::asio::async_initiate<CompletionToken, void(coro::outcome<T>)>(detail::start_run<T>(on), token,
                                                                         std::move(work));
}

#if defined(ASIO_HAS_CO_AWAIT)
/// The same for a coroutine of Asio, on the io_context of `on`:
///
///     ::asio::awaitable<void> program(io::asio::context& context, kad::node& node) {
///       auto const receipt = co_await io::asio::as_awaitable(context, node.put(key, value));
///     }
///
/// Gives what the task gives, and throws what it throws. Cancelling the coroutine cancels the task.
template <class T>
::asio::awaitable<T> as_awaitable(context& on, coro::task<T> work) {
  coro::outcome<T> out = co_await run_on(on, std::move(work), ::asio::use_awaitable);
  co_return out.take();
}
#endif

}  // namespace kadoro::inline KADORO_ABI::io::asio
