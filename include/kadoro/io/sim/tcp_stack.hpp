#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kadoro/io/impl/handles.hpp"
#include "kadoro/io/sim/stream.hpp"
#include "kadoro/io/tcp_acceptor.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

class context;

namespace detail {

/// The TCP of a simulated host: its streams, also those that its programs have closed and that still deliver, and who
/// listens.
class tcp_stack {
 public:
  static constexpr std::size_t max_streams = 65536;

  explicit tcp_stack(context& host) noexcept : host_(host) {}
  tcp_stack(tcp_stack const&) = delete;
  tcp_stack& operator=(tcp_stack const&) = delete;

  KADORO_DECL result<std::unique_ptr<tcp_connection>> connect(endpoint const& from, endpoint const& remote);
  KADORO_DECL result<std::unique_ptr<tcp_acceptor>> listen(endpoint const& bound, std::size_t backlog);

  /// A packet that has come in.
  KADORO_DECL void take(endpoint const& local, endpoint const& remote, bytes_view packet);
  /// The power is cut: nobody is told, but the program.
  KADORO_DECL void drop_all();
  /// The host has another address: who listens at the old one listens at the new one.
  KADORO_DECL void rebind(endpoint const& from, endpoint const& to);

 private:
  friend class stream;
  friend class listener;
  using key = std::pair<std::uint64_t, bool>;  // the number, and whether it is the calling end

  KADORO_DECL bool out_of_descriptors();
  KADORO_DECL void take_call(endpoint const& local, endpoint const& remote, segment const& in);
  KADORO_DECL void send(endpoint const& local, endpoint const& remote, segment const& out);
  KADORO_DECL void refuse(endpoint const& local, endpoint const& remote, segment const& in);
  void forget(stream const& one) { streams_.erase({one.number(), one.is_caller()}); }

  context& host_;
  std::map<key, std::shared_ptr<stream>> streams_;
  std::map<endpoint, listener*> listeners_;
  std::uint16_t next_port_ = 49152;
  bytes packet_;
};

/// A listening port of a simulated host.
class listener final : public tcp_acceptor {
 public:
  KADORO_DECL listener(tcp_stack& stack, endpoint const& local, std::size_t backlog);
  KADORO_DECL ~listener() override;
  void set_owner(owner& to) noexcept override { told_ = &to; }
  KADORO_DECL result<std::unique_ptr<tcp_connection>> try_accept() override;
  endpoint local() const noexcept override { return local_; }

 private:
  friend class tcp_stack;
  friend class stream;

  bool full() const noexcept { return calls_.size() + waiting_.size() >= backlog_; }
  KADORO_DECL void on_open(stream& one);
  void on_over(stream const& one) noexcept { std::erase(calls_, &one); }

  tcp_stack* stack_;  // null once the host is gone
  endpoint local_;
  std::size_t backlog_;
  owner* told_ = nullptr;
  std::vector<stream const*> calls_;             // not open yet
  std::deque<std::shared_ptr<stream>> waiting_;  // to be accepted
};

}  // namespace detail
}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/context.hpp"  // its end has the bodies
#endif
