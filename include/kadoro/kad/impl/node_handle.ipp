#pragma once

#include "kadoro/kad/impl/node_core.hpp"
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

}  // namespace detail

KADORO_DECL node_handle::node_handle(node& of, std::size_t limit) : state_(std::make_shared<detail::handle_state>()) {
  state_->context = &of.core_->context_;
  state_->inbox = of.core_->context_.inbox();
  state_->core = of.core_;
  state_->limit = limit;
}

}  // namespace kadoro::inline KADORO_ABI::kad
