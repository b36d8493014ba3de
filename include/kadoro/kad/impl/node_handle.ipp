#pragma once

#include "kadoro/kad/impl/node_core.hpp"
#include "kadoro/kad/impl/watch_feed.hpp"
#include "kadoro/kad/node_handle.hpp"

namespace kadoro::inline KADORO_ABI::kad {

namespace detail {

// What a receipt or a result shows changes on the context's thread; what leaves it are copies. The core stays for as
// long as a request of it runs.

inline coro::task<result<put_receipt>> detached_put(std::shared_ptr<node_core> core,
                                                    coro::task<result<put_receipt>> work, bool read_back) {
  auto receipt = co_await std::move(work);
  if (!receipt) co_return fail(receipt.error());
  if (read_back) {
    auto const settled = co_await receipt->settled();
    static_cast<void>(settled);
  }
  if (!receipt->ok() && core->closed()) co_return fail(errc::closed, "the node closed: " + receipt->explain());
  co_return receipt->snapshot();
}

template <class T>
coro::task<result<T>> detached_get(std::shared_ptr<node_core> core, coro::task<result<T>> work) {
  auto got = co_await std::move(work);
  static_cast<void>(core);
  if (!got) co_return fail(got.error());
  co_return got->snapshot();
}

KADORO_DECL handle_operation<put_receipt> handle_put(bytes_view key, bytes_view value, put_options how,
                                                     std::uint32_t flags) {
  return [key = to_bytes(key), value = to_bytes(value), how, flags](std::shared_ptr<node_core> core) mutable {
    auto work = core->put(std::move(key), std::move(value), how, flags);
    return detached_put(std::move(core), std::move(work), how.read_back);
  };
}

KADORO_DECL handle_operation<get_result> handle_get(bytes_view key, get_options how) {
  return [key = to_bytes(key), how](std::shared_ptr<node_core> core) mutable {
    auto work = core->get(std::move(key), how);
    return detached_get(std::move(core), std::move(work));
  };
}

KADORO_DECL handle_operation<content_result> handle_get_content(bytes_view key, get_options how) {
  return [key = to_bytes(key), how](std::shared_ptr<node_core> core) mutable {
    auto work = core->get_content(std::move(key), how);
    return detached_get(std::move(core), std::move(work));
  };
}

KADORO_DECL handle_operation<put_receipt> handle_provide(multihash const& content, put_options how, bool withdraw) {
  return [content, how, withdraw](std::shared_ptr<node_core> core) {
    auto work = withdraw ? core->unprovide(content, how) : core->provide(content, how);
    return detached_put(std::move(core), std::move(work), how.read_back);
  };
}

KADORO_DECL handle_operation<providers_result> handle_get_providers(multihash const& content, get_options how) {
  return [content, how](std::shared_ptr<node_core> core) {
    auto work = core->get_providers(content, how);
    return detached_get(std::move(core), std::move(work));
  };
}

/// Begins a watch on the node's thread. If it is dropped before, the reader hears of that.
class watch_request final : public io::inbox::work {
 public:
  watch_request(std::weak_ptr<node_core> core, kadoro::bytes key, std::shared_ptr<watch_channel> to,
                std::shared_ptr<std::weak_ptr<watch_feed>> place) noexcept
      : core_(std::move(core)), key_(std::move(key)), to_(std::move(to)), place_(std::move(place)) {}
  watch_request(watch_request const&) = delete;
  watch_request& operator=(watch_request const&) = delete;
  ~watch_request() override {
    if (to_) to_->end(errc::closed);
  }

  void run() override {
    std::shared_ptr<node_core> const core = core_.lock();
    if (!core) return;
    auto changes = core->watch_key(key_);
    if (!changes) return to_->end(changes.error());
    auto feed = std::make_shared<watch_feed>(std::move(*changes), std::move(to_));
    *place_ = feed;
    core->run_job(feed_watch(std::move(feed)));
  }

 private:
  std::weak_ptr<node_core> core_;
  kadoro::bytes key_;
  std::shared_ptr<watch_channel> to_;
  std::shared_ptr<std::weak_ptr<watch_feed>> place_;
};

}  // namespace detail

KADORO_DECL node_handle::node_handle(node& of, std::size_t limit) : state_(std::make_shared<detail::handle_state>()) {
  state_->context = &of.core_->context_;
  state_->inbox = of.core_->context_.inbox();
  state_->core = of.core_;
  state_->limit = limit;
}

KADORO_DECL result<watch_reader> node_handle::watch(bytes_view key, std::size_t bound) const {
  if (bound == 0) return fail(errc::invalid_argument, "watch: a bound of 0 lets nothing through");
  auto channel = std::make_shared<detail::watch_channel>(bound);
  auto place = std::make_shared<std::weak_ptr<detail::watch_feed>>();
  std::unique_ptr<io::inbox::work> request =
      std::make_unique<detail::watch_request>(state_->core, to_bytes(key), channel, place);
  auto const taken = state_->inbox->post(request);
  if (!taken && taken.error() == errc::closed) return fail(errc::closed, "watch: the node's context has ended");
  if (!taken) return fail(taken.error());
  return watch_reader(state_->inbox, std::move(channel), std::move(place));
}

}  // namespace kadoro::inline KADORO_ABI::kad
