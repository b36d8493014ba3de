#pragma once

#include <memory>
#include <utility>

#include "kadoro/io/tcp_connection.hpp"
#include "kadoro/io/udp_port.hpp"

/// @file
/// What programs hold where a backend keeps the state of a socket by itself, because its loop may need it longer: all
/// is passed on, and the end of the handle lets go.

namespace kadoro::inline KADORO_ABI::io::detail {

/// Shares `State` with the loop, and closes it.
template <class State>
class udp_handle final : public udp_port {
 public:
  explicit udp_handle(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
  ~udp_handle() override { state_->close(); }
  void set_receiver(receiver* to) noexcept override { state_->set_receiver(to); }
  void send(endpoint const& to, bytes_view data) noexcept override { state_->send(to, data); }
  endpoint local() const noexcept override { return state_->local(); }
  udp_counters const& counters() const noexcept override { return state_->counters(); }

 private:
  std::shared_ptr<State> state_;
};

/// Holds or shares a state by `Pointer`, and gives that to the state's `release`.
template <class Pointer>
class tcp_handle final : public tcp_connection {
 public:
  explicit tcp_handle(Pointer state) noexcept : state_(std::move(state)) {}
  ~tcp_handle() override { Pointer::element_type::release(std::move(state_)); }
  void set_owner(owner& to) noexcept override { state_->set_owner(to); }
  result<bool> connected() override { return state_->connected(); }
  result<tcp_read> try_read(bytes_span into) override { return state_->try_read(into); }
  result<std::size_t> try_write(bytes_view data) override { return state_->try_write(data); }
  void shutdown_send() noexcept override { state_->shutdown_send(); }
  void abort() noexcept override { state_->abort(); }
  endpoint local() const noexcept override { return state_->local(); }
  endpoint remote() const noexcept override { return state_->remote(); }
  tcp_counters const& counters() const noexcept override { return state_->counters(); }

 private:
  Pointer state_;
};

}  // namespace kadoro::inline KADORO_ABI::io::detail
