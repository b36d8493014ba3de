#pragma once

#include <cstdio>

#include "kadoro/kad/impl/node_core.hpp"
#include "kadoro/kad/node.hpp"

namespace kadoro::inline KADORO_ABI::kad {

KADORO_DECL result<std::unique_ptr<node>> node::open(io::context& context, crypto::identity const& self,
                                                     node_options const& options) {
  auto core = detail::node_core::open(context, self, options);
  if (!core) return fail(core.error());
  return std::unique_ptr<node>(new node(std::move(*core)));
}

KADORO_DECL node::~node() {
  core_->observers_.clear();  // a close may still be passing on what the node holds
  if (core_->closed() || core_->context_.dead()) return;
  std::fprintf(stderr, "kadoro: node %s destroyed while open; it leaves without waiting\n",
               core_->id_.to_string().c_str());
  core_->close_behind();
}

// The views are copied here, before anything can suspend.
KADORO_DECL coro::task<result<put_receipt>> node::put(bytes_view key, bytes_view value, put_options how) {
  return core_->put(to_bytes(key), to_bytes(value), how, 0);
}

KADORO_DECL coro::task<result<put_receipt>> node::withdraw(bytes_view key, put_options how) {
  return core_->put(to_bytes(key), kadoro::bytes(), how, record::flag_tombstone);
}

KADORO_DECL coro::task<result<get_result>> node::get(bytes_view key, get_options how) {
  return core_->get(to_bytes(key), how);
}

KADORO_DECL coro::task<result<put_receipt>> node::put_content(bytes_view value, put_options how) {
  return core_->put(to_bytes(content_key(value)), to_bytes(value), how, record::flag_content);
}

KADORO_DECL coro::task<result<content_result>> node::get_content(bytes_view key, get_options how) {
  return core_->get_content(to_bytes(key), how);
}

KADORO_DECL bool node::release_content(bytes_view key) { return core_->release_content(key); }

KADORO_DECL coro::task<result<put_receipt>> node::provide(multihash const& content, put_options how) {
  return core_->provide(content, how);
}

KADORO_DECL coro::task<result<put_receipt>> node::unprovide(multihash const& content, put_options how) {
  return core_->unprovide(content, how);
}

KADORO_DECL coro::task<result<providers_result>> node::get_providers(multihash const& content, get_options how) {
  return core_->get_providers(content, how);
}

KADORO_DECL coro::task<result<peer_list>> node::find_closest(bytes_view key) {
  return core_->find_closest(to_bytes(key));
}

KADORO_DECL result<kad::watch> node::watch(bytes_view key) { return core_->watch_key(key); }

KADORO_DECL coro::task<result<void>> node::join() { return core_->join(); }
KADORO_DECL coro::task<result<void>> node::ping(peer_ref to) { return core_->ping(std::move(to)); }
KADORO_DECL coro::task<void> node::close() {
  return detail::node_core::close_and_release(core_, core_->context_.now() + detail::node_core::max_hand_over);
}
KADORO_DECL coro::task<result<void>> node::close(duration limit) {
  return detail::node_core::close_within(core_, limit);
}

KADORO_DECL peer_id const& node::id() const noexcept { return core_->id_; }
KADORO_DECL peer_mode node::mode() const noexcept { return core_->options_.mode; }
KADORO_DECL std::size_t node::replicas() const noexcept { return core_->options_.replicas; }
KADORO_DECL std::vector<multiaddr> node::addresses() const { return core_->transport_->listen_addresses(); }
KADORO_DECL io::context& node::context() const noexcept { return core_->context_; }
KADORO_DECL routing_table const& node::table() const noexcept { return core_->table_; }
KADORO_DECL record_store& node::store() noexcept { return core_->store_; }
KADORO_DECL std::vector<peer_id> node::holders(bytes_view key) const { return core_->holders(key); }
KADORO_DECL peer_ref node::peer_of(peer_id const& id) { return core_->book_.intern(id); }

KADORO_DECL std::size_t node::servers() const noexcept {
  std::size_t n = 0;
  core_->table_.for_each([&n](contact const& c) { n += c.peer->unanswered == 0 ? 1u : 0u; });
  return n;
}

KADORO_DECL bool node::settled() const noexcept { return core_->settled(); }

KADORO_DECL validator_counters const& node::validator_counts() const noexcept { return core_->validators_.counters(); }

KADORO_DECL persistence_status node::persistence() const {
  return core_->kept_ ? core_->kept_->status() : persistence_status();
}

KADORO_DECL kad::reachability node::reachability() const { return core_->reachability_now(); }

KADORO_DECL std::string node::counters_text() const {
  return core_->transport_->counters_text() + context().counters_text() + core_->refusals_text();
}

KADORO_DECL void node::add_observer(node_observer& who) { core_->observers_.push_back(&who); }
KADORO_DECL void node::remove_observer(node_observer& who) noexcept { std::erase(core_->observers_, &who); }

}  // namespace kadoro::inline KADORO_ABI::kad
