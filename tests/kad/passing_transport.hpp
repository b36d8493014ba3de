#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kadoro/kad/node.hpp"

/// A transport that hands everything on to another one, for tests that change one thing about it.
class passing_transport : public kadoro::transport::transport {
 public:
  using message = kadoro::transport::message;
  using peer_ref = kadoro::transport::peer_ref;

  explicit passing_transport(std::unique_ptr<transport> inner) : inner_(std::move(inner)) {}

  /// Of an `Outer` around datagrams; `more` is what it is made of beside these.
  template <class Outer, class... More>
  static kadoro::kad::transport_factory around_datagrams(More... more) {
    return [more...](kadoro::io::context& context, kadoro::transport::peer_book& book,
                     kadoro::crypto::identity const& self,
                     kadoro::kad::node_options const& options) -> kadoro::result<std::unique_ptr<transport>> {
      auto inner = kadoro::kad::open_datagram(context, book, self, options);
      if (!inner) return kadoro::fail(inner.error());
      return std::unique_ptr<transport>(std::make_unique<Outer>(std::move(*inner), more...));
    };
  }

  kadoro::coro::task<kadoro::result<message>> request(peer_ref to, message const& what) override {
    return inner_->request(std::move(to), what);
  }
  void set_handler(kadoro::transport::handler* to) noexcept override { inner_->set_handler(to); }
  std::vector<kadoro::transport::multiaddr> listen_addresses() const override { return inner_->listen_addresses(); }
  kadoro::result<std::size_t> check_record_fits(kadoro::bytes_view key,
                                                kadoro::wire::record const& what) const override {
    return inner_->check_record_fits(key, what);
  }
  std::vector<kadoro::transport::observation> observations() const override { return inner_->observations(); }
  std::optional<kadoro::io::endpoint> session_address(peer_ref const& who) const override {
    return inner_->session_address(who);
  }
  bool receiving(peer_ref const& who) const override { return inner_->receiving(who); }
  bool knock(peer_ref const& who, kadoro::io::endpoint const& where, kadoro::bytes_view nonce) override {
    return inner_->knock(who, where, nonce);
  }
  int first_contact_round_trips() const noexcept override { return inner_->first_contact_round_trips(); }
  std::string counters_text() const override { return inner_->counters_text(); }
  kadoro::coro::task<void> close() override { return inner_->close(); }

 protected:
  std::unique_ptr<transport> inner_;
};
