#pragma once

#include "kadoro/coro/deadline.hpp"
#include "kadoro/kad/impl/node_core.hpp"

namespace kadoro::inline KADORO_ABI::kad::detail {

inline coro::task<result<void>> wait_until_set(coro::event& what) { co_return co_await what.wait(); }

inline node_core::node_core(io::context& context, crypto::identity const& self, node_options const& options)
    : context_(context),
      self_(self),
      id_(peer_id::of_ed25519(self.public_key())),
      options_(options),
      table_(id_, options.table),
      store_(options.store, verified_, crypto::hmac_sha256(self.x25519().secret, as_bytes("kadoro record store"))),
      watchers_(options.watches),
      gate_(options.requests),
      members_(id_, options.mode == peer_mode::server, options.table),
      validators_(options.validators),
      jobs_(context) {
  store_.set_change_handler(
      [this](bytes_view key, peer_id const& publisher, bool ended) { on_store_change(key, publisher, ended); });
}

KADORO_DECL result<std::shared_ptr<node_core>> node_core::open(io::context& context, crypto::identity const& self,
                                                               node_options const& options) {
  if (options.replicas == 0 || options.replicas > options.table.k)
    return fail(errc::invalid_argument,
                "replicas " + std::to_string(options.replicas) + ": must be 1 to " + std::to_string(options.table.k));
  std::shared_ptr<node_core> core(new node_core(context, self, options));
  for (multiaddr const& where : options.bootstrap) {
    auto const who = where.peer();
    if (!who || !where.is_datagram())
      return fail(errc::invalid_argument, "bootstrap address " + where.to_string() +
                                              ": must look like /ip4/1.2.3.4/udp/4001/kadoro/p2p/12D3Koo...");
    if (*who == core->id_) continue;  // a list of seeds may well name this node
    peer_ref const seed = core->book_.intern(*who);
    seed->add_address(where.without_peer(), false);
    if (std::find(core->seeds_.begin(), core->seeds_.end(), seed) == core->seeds_.end()) core->seeds_.push_back(seed);
  }
  core->named_seeds_ = core->seeds_.size();
  core->opened_at_ = context.now();
  if (options.database != nullptr) {
    auto kept = persistence::open(context, core->store_, core->book_,
                                  {options.database, options.database_trouble, options.database_gather});
    if (!kept) return fail(kept.error());
    core->kept_ = std::move(*kept);
    for (peer_ref& known : core->kept_->take_contacts())
      if (std::find(core->seeds_.begin(), core->seeds_.end(), known) == core->seeds_.end() && known->id() != core->id_)
        core->seeds_.push_back(std::move(known));
  }
  auto const sequences = core->open_sequences();
  if (!sequences) return fail(sequences.error());
  auto transport = options.transport(context, core->book_, self, options);
  if (!transport) return fail(transport.error());
  core->transport_ = std::move(*transport);
  core->transport_->set_handler(core.get());
  core->next_refresh_ = context.now() + std::chrono::minutes(10);
  core->arm_tick();
  return core;
}

/// The database has the sequence if there is one that works, and takes over what the storage says.
KADORO_DECL result<void> node_core::open_sequences() {
  io::storage* const blobs = kept_ ? kept_->blobs() : nullptr;
  result<sequencer> old = options_.storage != nullptr ? sequencer::open(*options_.storage, options_.sequence_blob)
                                                      : result<sequencer>(sequencer());
  if (!old) return fail(old.error());
  if (blobs == nullptr) {
    sequences_ = std::move(*old);
    return {};
  }
  auto kept = sequencer::open(*blobs, "sequence/" + id_.to_string());
  if (!kept) return fail(kept.error());
  sequences_ = std::move(*kept);
  sequences_.adopt(old->last());
  return {};
}

KADORO_DECL node_core::~node_core() {
  if (transport_) transport_->set_handler(nullptr);
  jobs_.abandon();  // none is left after a close; if the context dies first, they die with the node
}

KADORO_DECL coro::task<void> node_core::close(time_point hand_over_until) {
  if (!leaving_) {
    leaving_ = true;
    for (auto const& [key, of] : watching_) of->close_readers();
    if (context_.now() < hand_over_until) {
      auto const in_time = co_await coro::with_deadline(hand_over(*this, hand_over_until), hand_over_until);
      static_cast<void>(in_time);  // what was not passed on lives on with the others that hold it
    }
    closed_ = true;
    context_.disarm(tick_);
    context_.disarm(verify_);
    context_.disarm(views_);
    context_.disarm(push_);
    if (kept_) kept_->note_contacts(table_, true);
    jobs_.request_cancel();
    co_await transport_->close();
    co_await jobs_.join();
    if (kept_) kept_->close();
    nothing_left_.set();
  }
  auto const done = co_await nothing_left_.wait();  // whoever began it
  static_cast<void>(done);
}

KADORO_DECL void node_core::close_behind() { context_.spawn(close_and_release(shared_from_this(), context_.now())); }

KADORO_DECL coro::task<void> node_core::close_and_release(std::shared_ptr<node_core> core, time_point hand_over_until) {
  co_await core->close(hand_over_until);
}

KADORO_DECL coro::task<result<void>> node_core::close_within(std::shared_ptr<node_core> core, duration limit) {
  time_point const due = coro::detail::after(core->context_.now(), limit);
  core->context_.spawn(close_until(core, due));  // whatever of it does not listen goes on alone
  auto const ended = co_await coro::with_deadline(wait_until_set(core->nothing_left_), due);
  if (!ended && ended.error() == errc::timed_out)
    co_return fail(errc::timed_out, "close of " + core->id_.to_string() + ": not everything was said within " +
                                        std::to_string(std::chrono::floor<std::chrono::milliseconds>(limit).count()) +
                                        " ms; the rest was abandoned");
  co_return ended;
}

KADORO_DECL coro::task<void> node_core::close_until(std::shared_ptr<node_core> core, time_point due) {
  time_point const now = core->context_.now();
  time_point const hand_over_until = now + std::min((due - now) / 2, max_hand_over);
  auto const in_time = co_await coro::with_deadline(core->close(hand_over_until), due);
  static_cast<void>(in_time);
}

KADORO_DECL coro::task<result<void>> node_core::ping(peer_ref to) {
  transport::message request;
  request.type = transport::message_type::ping;
  auto const answer = co_await transport_->request(std::move(to), request);
  if (!answer) co_return fail(answer.error());
  if (answer->refusal) co_return fail(*answer->refusal);
  co_return result<void>();
}

}  // namespace kadoro::inline KADORO_ABI::kad::detail
