#pragma once

#include <memory>

#include "kadoro/transport/transport.hpp"

namespace kadoro_sim {

using kadoro::transport::message;
using kadoro::transport::message_type;
using kadoro::transport::peer_ref;

/// Sees everything that a node asks and answers, below the node and above the wire.
class witness {
 public:
  using reply = kadoro::transport::handler::reply;

  /// A request leaves; gives the number under which it ends.
  virtual std::uint64_t on_asked(peer_ref const& to, message const& what) = 0;
  virtual void on_answered(std::uint64_t number, kadoro::result<message> const& answer) = 0;
  /// Whoever asked is gone, with everything it waited for.
  virtual void on_abandoned(std::uint64_t number) = 0;

  /// A request comes in. True: `answer` and `how` are made up here, and the node never hears of it.
  virtual bool on_request(peer_ref const& from, message const& request, message& answer, reply& how) = 0;
  /// A request was answered by the node itself.
  virtual void on_served(peer_ref const& from, message const& request, message const& answer, reply how) = 0;
  virtual void on_confirmed(peer_ref const& who) = 0;

 protected:
  ~witness() = default;
};

/// Looks at nothing and answers nothing: for those that want to see one thing only, or to make up their answers.
class idle_witness : public witness {
 public:
  std::uint64_t on_asked(peer_ref const&, message const&) override { return 0; }
  void on_answered(std::uint64_t, kadoro::result<message> const&) override {}
  void on_abandoned(std::uint64_t) override {}
  bool on_request(peer_ref const&, message const&, message&, reply&) override { return false; }
  void on_served(peer_ref const&, message const&, message const&, reply) override {}
  void on_confirmed(peer_ref const&) override {}

 protected:
  ~idle_witness() = default;
};

/// A transport that passes everything on to another and lets a witness see it.
class observed_transport final : public kadoro::transport::transport, private kadoro::transport::handler {
 public:
  observed_transport(std::unique_ptr<kadoro::transport::transport> inner, witness& eyes) noexcept
      : inner_(std::move(inner)), eyes_(eyes) {}

  kadoro::coro::task<kadoro::result<message>> request(peer_ref to, message const& what) override;
  void set_handler(handler* to) noexcept override;
  std::vector<kadoro::transport::multiaddr> listen_addresses() const override { return inner_->listen_addresses(); }
  kadoro::result<std::size_t> check_record_fits(kadoro::bytes_view key,
                                                kadoro::wire::record const& what) const override {
    return inner_->check_record_fits(key, what);
  }
  std::string counters_text() const override { return inner_->counters_text(); }
  std::vector<kadoro::transport::observation> observations() const override { return inner_->observations(); }
  std::optional<kadoro::io::endpoint> session_address(peer_ref const& who) const override {
    return inner_->session_address(who);
  }
  bool knock(peer_ref const& who, kadoro::io::endpoint const& where, kadoro::bytes_view nonce) override {
    return inner_->knock(who, where, nonce);
  }
  bool receiving(peer_ref const& who) const override { return inner_->receiving(who); }
  int first_contact_round_trips() const noexcept override { return inner_->first_contact_round_trips(); }
  kadoro::coro::task<void> close() override { return inner_->close(); }

  kadoro::transport::transport& inner() noexcept { return *inner_; }

 private:
  reply on_request(peer_ref const& from, message const& request, message& answer) override;
  void on_peer_confirmed(peer_ref const& who) override;
  void on_peer_lost(peer_ref const& who, kadoro::error const& why) override;

  std::unique_ptr<kadoro::transport::transport> inner_;
  witness& eyes_;
  handler* handler_ = nullptr;
};

}  // namespace kadoro_sim
