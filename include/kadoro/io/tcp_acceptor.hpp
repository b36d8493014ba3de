#pragma once

#include <memory>

#include "kadoro/io/tcp_connection.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// How many connections may wait to be accepted, unless said otherwise. The system may allow fewer (Linux: somaxconn).
inline constexpr std::size_t default_tcp_backlog = 128;
inline constexpr std::size_t max_tcp_backlog = 65535;

/// A listening TCP port, as `io::context::listen_tcp` gives it: the seam itself. Programs use `tcp_listener`.
class tcp_acceptor {
 public:
  /// As `tcp_connection::owner`.
  class owner {
   public:
    virtual void on_acceptable() = 0;

   protected:
    ~owner() = default;
  };

  virtual ~tcp_acceptor() = default;

  /// Before anything else; `to` must outlive the acceptor.
  virtual void set_owner(owner& to) noexcept = 0;

  /// The connection that has waited longest; null: none, `on_acceptable` will be called. Errors that pass: `reset` (it
  /// was gone before it was accepted), `out_of_descriptors`. Any other is final: `io_failure`.
  virtual result<std::unique_ptr<tcp_connection>> try_accept() = 0;

  /// The bound address, with the real port.
  virtual endpoint local() const noexcept = 0;
};

}  // namespace kadoro::inline KADORO_ABI::io
