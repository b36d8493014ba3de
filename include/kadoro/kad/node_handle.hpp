#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <utility>

#include "kadoro/coro/task.hpp"
#include "kadoro/io/inbox.hpp"
#include "kadoro/kad/node.hpp"
#include "kadoro/kad/watch_reader.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

/// What the copies of a handle share.
struct handle_state {
  std::shared_ptr<io::inbox> inbox;
  io::context* context = nullptr;  ///< for its own thread
  std::weak_ptr<node_core> core;   ///< likewise
  std::size_t limit = 0;
  std::atomic<std::size_t> under_way = 0;
};

/// Who waits for the outcome of one request.
template <class T>
class handle_reply {
 public:
  virtual ~handle_reply() = default;
  virtual void deliver(result<T> outcome) = 0;
};

template <class T>
class future_reply final : public handle_reply<T> {
 public:
  void deliver(result<T> outcome) override { promise_.set_value(std::move(outcome)); }
  std::future<result<T>> future() { return promise_.get_future(); }

 private:
  std::promise<result<T>> promise_;
};

template <class T, class Then>
class callback_reply final : public handle_reply<T> {
 public:
  explicit callback_reply(Then then) : then_(std::move(then)) {}
  void deliver(result<T> outcome) override { then_(std::move(outcome)); }

 private:
  Then then_;
};

/// One request under way: delivers exactly once, `closed` if it is destroyed before.
template <class T>
class pending_reply {
 public:
  pending_reply(std::shared_ptr<handle_state> of, std::unique_ptr<handle_reply<T>> to) noexcept
      : of_(std::move(of)), to_(std::move(to)) {}
  pending_reply(pending_reply&& other) noexcept = default;
  pending_reply& operator=(pending_reply&&) = delete;
  ~pending_reply() {
    if (to_) deliver(fail(errc::closed, "the node or its context ended before the answer"));
  }

  handle_state& of() const noexcept { return *of_; }

  void deliver(result<T> outcome) {
    std::unique_ptr<handle_reply<T>> const to = release();
    to->deliver(std::move(outcome));
  }
  /// Nobody hears of it any more.
  std::unique_ptr<handle_reply<T>> release() noexcept {
    of_->under_way.fetch_sub(1, std::memory_order_relaxed);
    return std::move(to_);
  }

 private:
  std::shared_ptr<handle_state> of_;
  std::unique_ptr<handle_reply<T>> to_;
};

template <class T>
using handle_operation = std::function<coro::task<result<T>>(std::shared_ptr<node_core>)>;

template <class T>
coro::task<void> carry_out(coro::task<result<T>> work, pending_reply<T> reply) {
  auto outcome = co_await std::move(work);
  reply.deliver(std::move(outcome));
}

/// A request in the inbox of the context.
template <class T>
class handle_request final : public io::inbox::work {
 public:
  handle_request(handle_operation<T> operation, pending_reply<T> reply)
      : operation_(std::move(operation)), reply_(std::move(reply)) {}

  void run() override {
    handle_state& of = reply_.of();
    std::shared_ptr<node_core> core = of.core.lock();
    if (!core) return;  // and so it is closed
    io::context& context = *of.context;
    coro::task<result<T>> begun = operation_(std::move(core));
    context.spawn(carry_out<T>(std::move(begun), std::move(reply_)));
  }

  std::unique_ptr<handle_reply<T>> release() noexcept { return reply_.release(); }

 private:
  handle_operation<T> operation_;
  pending_reply<T> reply_;
};

/// Sends a request on its way, or leaves `to` as it is and says why not.
template <class T>
result<void> submit(std::shared_ptr<handle_state> const& of, handle_operation<T> operation,
                    std::unique_ptr<handle_reply<T>>& to) {
  if (of->under_way.fetch_add(1, std::memory_order_relaxed) >= of->limit) {
    of->under_way.fetch_sub(1, std::memory_order_relaxed);
    return fail(errc::queue_full, "too many requests of other threads are under way");
  }
  auto request = std::make_unique<handle_request<T>>(std::move(operation), pending_reply<T>(of, std::move(to)));
  handle_request<T>& made = *request;
  std::unique_ptr<io::inbox::work> work = std::move(request);
  auto const taken = of->inbox->post(work);
  if (taken) return {};
  to = made.release();
  if (taken.error() == errc::closed) return fail(errc::closed, "the node's context has ended");
  return fail(taken.error());
}

template <class T>
std::future<result<T>> submit(std::shared_ptr<handle_state> const& of, handle_operation<T> operation) {
  auto reply = std::make_unique<future_reply<T>>();
  auto future = reply->future();
  std::unique_ptr<handle_reply<T>> to = std::move(reply);
  auto const taken = submit<T>(of, std::move(operation), to);
  if (!taken) to->deliver(fail(taken.error()));
  return future;
}

template <class T, class Then>
result<void> submit(std::shared_ptr<handle_state> const& of, handle_operation<T> operation, Then then) {
  std::unique_ptr<handle_reply<T>> to = std::make_unique<callback_reply<T, Then>>(std::move(then));
  return submit<T>(of, std::move(operation), to);
}

KADORO_DECL handle_operation<put_receipt> handle_put(bytes_view key, bytes_view value, put_options how,
                                                     std::uint32_t flags);
KADORO_DECL handle_operation<get_result> handle_get(bytes_view key, get_options how);
KADORO_DECL handle_operation<content_result> handle_get_content(bytes_view key, get_options how);
KADORO_DECL handle_operation<put_receipt> handle_provide(multihash const& content, put_options how, bool withdraw);
KADORO_DECL handle_operation<providers_result> handle_get_providers(multihash const& content, get_options how);

}  // namespace detail

/// A node for other threads. Everything else of a node belongs to its context's thread; what is called here, from any
/// thread, runs there, and the outcome comes back as a future or by a callback. Cheap to copy; copies share one limit.
///
///     kad::node_handle handle(*node);                                   // on the context's thread
///     auto receipt = handle.put(as_bytes("key"), as_bytes("value"));    // on any thread
///     if (receipt.get()) ...
///
/// Keys and values are copied. Outcomes are those of the functions of `node` with the same names, as they are when they
/// are decided (a put with `read_back`: when it has been read); nothing changes them any more. Beside their errors:
/// `queue_full` (`limit` requests are under way), and `closed` if the node closes or goes first, or its context does.
/// A handle may live longer than both. Requests wait while nobody runs the context.
///
/// A future must not be waited for on the context's thread: it would wait for itself. A callback is called there,
/// exactly once, and must not throw; as the context ends it is called with `closed` by who ends it. Where the call
/// itself returns an error, the callback is dropped.
class node_handle {
 public:
  static constexpr std::size_t default_limit = 4096;

  /// On the thread of the node's context. `limit`: how many requests may be under way.
  KADORO_DECL explicit node_handle(node& of, std::size_t limit = default_limit);

  std::future<result<put_receipt>> put(bytes_view key, bytes_view value, put_options how = {}) const {
    return detail::submit<put_receipt>(state_, detail::handle_put(key, value, how, 0));
  }
  template <class Then>
  result<void> put(bytes_view key, bytes_view value, put_options how, Then then) const {
    return detail::submit<put_receipt>(state_, detail::handle_put(key, value, how, 0), std::move(then));
  }

  std::future<result<put_receipt>> withdraw(bytes_view key, put_options how = {}) const {
    return detail::submit<put_receipt>(state_, detail::handle_put(key, {}, how, record::flag_tombstone));
  }
  template <class Then>
  result<void> withdraw(bytes_view key, put_options how, Then then) const {
    return detail::submit<put_receipt>(state_, detail::handle_put(key, {}, how, record::flag_tombstone),
                                       std::move(then));
  }

  std::future<result<get_result>> get(bytes_view key, get_options how = {}) const {
    return detail::submit<get_result>(state_, detail::handle_get(key, how));
  }
  template <class Then>
  result<void> get(bytes_view key, get_options how, Then then) const {
    return detail::submit<get_result>(state_, detail::handle_get(key, how), std::move(then));
  }

  std::future<result<put_receipt>> put_content(bytes_view value, put_options how = {}) const {
    return detail::submit<put_receipt>(state_,
                                       detail::handle_put(content_key(value), value, how, record::flag_content));
  }
  template <class Then>
  result<void> put_content(bytes_view value, put_options how, Then then) const {
    return detail::submit<put_receipt>(state_, detail::handle_put(content_key(value), value, how, record::flag_content),
                                       std::move(then));
  }

  std::future<result<content_result>> get_content(bytes_view key, get_options how = {}) const {
    return detail::submit<content_result>(state_, detail::handle_get_content(key, how));
  }
  template <class Then>
  result<void> get_content(bytes_view key, get_options how, Then then) const {
    return detail::submit<content_result>(state_, detail::handle_get_content(key, how), std::move(then));
  }

  std::future<result<put_receipt>> provide(multihash const& content, put_options how = {}) const {
    return detail::submit<put_receipt>(state_, detail::handle_provide(content, how, false));
  }
  template <class Then>
  result<void> provide(multihash const& content, put_options how, Then then) const {
    return detail::submit<put_receipt>(state_, detail::handle_provide(content, how, false), std::move(then));
  }

  std::future<result<put_receipt>> unprovide(multihash const& content, put_options how = {}) const {
    return detail::submit<put_receipt>(state_, detail::handle_provide(content, how, true));
  }
  template <class Then>
  result<void> unprovide(multihash const& content, put_options how, Then then) const {
    return detail::submit<put_receipt>(state_, detail::handle_provide(content, how, true), std::move(then));
  }

  std::future<result<providers_result>> get_providers(multihash const& content,
                                                      get_options how = {quorum::majority()}) const {
    return detail::submit<providers_result>(state_, detail::handle_get_providers(content, how));
  }
  template <class Then>
  result<void> get_providers(multihash const& content, get_options how, Then then) const {
    return detail::submit<providers_result>(state_, detail::handle_get_providers(content, how), std::move(then));
  }

  /// The records under `key` as they come and go, to read in another thread. Up to `bound` events wait for the reader.
  /// Errors: `closed`, `queue_full`, `invalid_argument`; those of `node::watch` come out of the reader.
  KADORO_DECL result<watch_reader> watch(bytes_view key, std::size_t bound = watch_reader::default_bound) const;

  /// Requests of all copies that have no outcome yet.
  std::size_t under_way() const noexcept { return state_->under_way.load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<detail::handle_state> state_;
};

}  // namespace kadoro::inline KADORO_ABI::kad

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/kad/impl/node_handle.ipp"
#endif
