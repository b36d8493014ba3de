#pragma once

#include <memory>
#include <utility>

#include "kadoro/io/asio/socket_state.hpp"
#include "kadoro/io/impl/handles.hpp"
#include "kadoro/io/tcp_acceptor.hpp"

namespace kadoro::inline KADORO_ABI::io::asio::detail {

/// A TCP connection on an asio loop. Its system calls are those of io/posix; asio says when to repeat them.
class tcp_state final : public socket_state {
 public:
  /// Takes over `descriptor`, which is connected or on its way.
  KADORO_DECL tcp_state(context& owner, int descriptor, endpoint const& remote, bool is_connected);

  void set_owner(tcp_connection::owner& to) noexcept { told_ = &to; }
  KADORO_DECL result<bool> connected();
  KADORO_DECL result<tcp_read> try_read(bytes_span into);
  KADORO_DECL result<std::size_t> try_write(bytes_view data);
  KADORO_DECL void shutdown_send() noexcept;
  KADORO_DECL void abort() noexcept;
  /// `close`, and no word to the owner afterwards.
  KADORO_DECL static void release(std::shared_ptr<tcp_state> self) noexcept;

  endpoint const& local() const noexcept { return local_; }
  endpoint const& remote() const noexcept { return remote_; }
  tcp_counters const& counters() const noexcept { return counters_; }

 private:
  KADORO_DECL void on_ready_to_read() override;
  KADORO_DECL void on_ready_to_write() override;
  KADORO_DECL error gone(char const* doing) const;

  tcp_connection::owner* told_ = nullptr;
  endpoint local_;
  endpoint remote_;
  tcp_counters counters_;
  bool connected_;
};

/// A listening socket on an asio loop.
class acceptor_state final : public socket_state {
 public:
  KADORO_DECL acceptor_state(context& owner, int descriptor);
  void set_owner(tcp_acceptor::owner& to) noexcept { told_ = &to; }
  KADORO_DECL result<std::unique_ptr<tcp_connection>> try_accept();
  KADORO_DECL void release() noexcept;
  endpoint const& local() const noexcept { return local_; }

 private:
  KADORO_DECL void on_ready_to_read() override;
  void on_ready_to_write() override {}

  tcp_acceptor::owner* told_ = nullptr;
  endpoint local_;
};

/// What `listen_tcp` gives to the program.
class acceptor final : public tcp_acceptor {
 public:
  explicit acceptor(std::shared_ptr<acceptor_state> state) noexcept : state_(std::move(state)) {}
  ~acceptor() override { state_->release(); }
  void set_owner(owner& to) noexcept override { state_->set_owner(to); }
  result<std::unique_ptr<tcp_connection>> try_accept() override { return state_->try_accept(); }
  endpoint local() const noexcept override { return state_->local(); }

 private:
  std::shared_ptr<acceptor_state> state_;
};

}  // namespace kadoro::inline KADORO_ABI::io::asio::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/asio/context.hpp"  // its end has the bodies
#endif
