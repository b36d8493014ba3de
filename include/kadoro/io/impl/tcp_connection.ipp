#pragma once

#include <string>

#include "kadoro/io/tcp_connection.hpp"

namespace kadoro::inline KADORO_ABI::io {

namespace detail {

/// What happened, and what helps.
inline char const* tcp_explanation(errc code) noexcept {
  switch (code) {
    case errc::connection_refused: return "nobody listens there; check the port, and whether that program runs";
    case errc::reset: return "the other end broke the connection; connect again";
    case errc::no_answer: return "no answer; it is gone, or the network drops its packets; try again later";
    case errc::unreachable: return "no way there; check the address and this machine's network";
    case errc::address_in_use: return "another socket has that port; end its program or take another port";
    case errc::out_of_descriptors: return "too many open files; close some or raise the limit (ulimit -n)";
    case errc::closed: return "it was closed on this side";
    default: return "";
  }
}

}  // namespace detail

KADORO_DECL error tcp_error(errc code, char const* what, endpoint const& where, char const* doing,
                            std::string_view cause) {
  std::string text = std::string(what) + ' ' + where.to_string() + ": " + doing;
  std::string_view const explanation = detail::tcp_explanation(code);
  if (!explanation.empty()) text.append(": ").append(explanation);
  if (!cause.empty()) text.append(explanation.empty() ? ": " : " (").append(cause);
  if (!cause.empty() && !explanation.empty()) text += ')';
  return error(code, std::move(text));
}

}  // namespace kadoro::inline KADORO_ABI::io
