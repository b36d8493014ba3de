#pragma once

#include <memory>
#include <utility>

#include "kadoro/io/impl/handles.hpp"
#include "kadoro/io/tcp_acceptor.hpp"
#include "kadoro/io/uring/stream_operations.hpp"

namespace kadoro::inline KADORO_ABI::io::uring {

class context;

namespace detail {

/// A TCP connection on a uring context.
///
///     connecting --> connected --release--> gone        nothing is under way
///                        |                    ^
///                        +------release--> leaving      what was taken goes out first; the context owns it now
class tcp_state final : public coro::list_node {
 public:
  /// Takes over `descriptor`, a blocking socket, and connects it unless it is connected already.
  KADORO_DECL tcp_state(context& owner, int descriptor, endpoint const& remote, bool is_connected);
  KADORO_DECL ~tcp_state();

  void set_owner(tcp_connection::owner& to) noexcept { told_ = &to; }
  KADORO_DECL result<bool> connected() const;
  KADORO_DECL result<tcp_read> try_read(bytes_span into);
  KADORO_DECL result<std::size_t> try_write(bytes_view data);
  KADORO_DECL void shutdown_send() noexcept;
  KADORO_DECL void abort() noexcept;

  /// The program is done with it. No word to its owner afterwards.
  KADORO_DECL static void release(std::unique_ptr<tcp_state> self) noexcept;

  /// Lets go of the socket. What has not gone out is lost, and then the other end hears a reset.
  KADORO_DECL void close() noexcept;

  /// No word to the owner any more.
  void silence() noexcept { told_ = nullptr; }
  /// Something was taken that the kernel has not.
  bool unsent() const noexcept { return cause_ == 0 && send_ != nullptr && send_->unsent(); }

  endpoint const& local() const noexcept { return local_; }
  endpoint const& remote() const noexcept { return remote_; }
  tcp_counters const& counters() const noexcept { return counters_; }

  // Completions.
  KADORO_DECL void connect_ended(int result) noexcept;
  KADORO_DECL void received(int result) noexcept;
  KADORO_DECL void sent(int result) noexcept;

 private:
  KADORO_DECL error failure(int cause, char const* doing) const;
  KADORO_DECL void go_on_sending() noexcept;
  KADORO_DECL void end_sending() noexcept;
  KADORO_DECL bool must_stay() const noexcept;
  KADORO_DECL void leave() noexcept;
  KADORO_DECL void settle() noexcept;

  /// The other end does not take the last bytes of a connection that the program has closed.
  class patience final : public coro::timer_node {
   public:
    explicit patience(tcp_state& of) noexcept : timer_node(&patience::on_due), of_(of) {}

   private:
    KADORO_DECL static void on_due(timer_node& node);
    tcp_state& of_;
  };

  context* owner_;  // null once closed
  int descriptor_;
  operation_ptr<connect_operation> connect_;  // null once closed, as the next two
  operation_ptr<stream_receive> receive_;
  operation_ptr<stream_send> send_;
  tcp_connection::owner* told_ = nullptr;
  endpoint local_;
  endpoint remote_;
  tcp_counters counters_;
  patience patience_;
  int cause_ = 0;  // of the first failure
  bool connected_ = false;
  bool end_ = false;         // the other end has finished, behind what is unread
  bool broken_in_ = false;   // nothing more will come, because of `cause_`
  bool wants_room_ = false;  // somebody found no room to write
  bool send_ended_ = false;  // nothing will be written any more
  bool leaving_ = false;
};

/// A listening socket on a uring context. One accept is under way while somebody wants a connection; what comes when
/// nobody does waits in the backlog, but for the one that an accept brings too late.
class acceptor_state final : public tcp_acceptor, public coro::list_node {
 public:
  /// Takes over `descriptor`, a blocking socket.
  KADORO_DECL acceptor_state(context& on, int descriptor);
  ~acceptor_state() override { close(); }

  void set_owner(owner& to) noexcept override { told_ = &to; }
  KADORO_DECL result<std::unique_ptr<tcp_connection>> try_accept() override;
  endpoint local() const noexcept override { return local_; }

  /// Lets go of the socket. No callback afterwards.
  KADORO_DECL void close() noexcept;
  void accepted() noexcept { told_->on_acceptable(); }

 private:
  context* owner_;  // null once closed
  int descriptor_;
  operation_ptr<accept_operation> accept_;  // null once closed
  owner* told_ = nullptr;
  endpoint local_;
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::uring

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/uring/context.hpp"  // its end has the bodies
#endif
