#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "kadoro/base/bytes.hpp"
#include "kadoro/base/result.hpp"

namespace kadoro::inline KADORO_ABI::io {

/// An IPv4 or IPv6 address with a port. Value type, 24 bytes, ordered.
class endpoint {
 public:
  endpoint() noexcept = default;

  static endpoint v4(byte_array<4> const& address, std::uint16_t port) noexcept {
    endpoint out;
    std::copy(address.begin(), address.end(), out.address_.begin());
    out.port_ = port;
    return out;
  }
  static endpoint v6(byte_array<16> const& address, std::uint16_t port, std::uint32_t scope = 0) noexcept {
    endpoint out;
    out.address_ = address;
    out.scope_ = scope;
    out.port_ = port;
    out.v6_ = true;
    return out;
  }

  /// Reads `1.2.3.4:5` or `[::1]:5`. Fails with `invalid_argument`, naming the text.
  KADORO_DECL static result<endpoint> parse(std::string_view text);

  bool is_v6() const noexcept { return v6_; }
  std::uint16_t port() const noexcept { return port_; }
  std::uint32_t scope() const noexcept { return scope_; }
  /// 4 or 16 bytes, network order; valid as long as the endpoint.
  bytes_view address() const noexcept { return {address_.data(), v6_ ? std::size_t{16} : std::size_t{4}}; }

  void set_port(std::uint16_t port) noexcept { port_ = port; }

  /// 0.0.0.0 or ::.
  KADORO_DECL bool is_unspecified() const noexcept;
  KADORO_DECL bool is_loopback() const noexcept;
  /// Loopback, RFC 1918, RFC 6598, link-local, unique-local: addresses whose ranges say nothing about ownership.
  KADORO_DECL bool is_private() const noexcept;
  /// The range that one owner usually holds: the first 3 bytes of IPv4, the first 6 of IPv6, as a number.
  KADORO_DECL std::uint64_t range() const noexcept;

  /// The reverse of `parse`.
  KADORO_DECL std::string to_string() const;

  friend bool operator==(endpoint const&, endpoint const&) noexcept = default;
  friend auto operator<=>(endpoint const&, endpoint const&) noexcept = default;

 private:
  byte_array<16> address_{};
  std::uint32_t scope_ = 0;
  std::uint16_t port_ = 0;
  bool v6_ = false;
};

}  // namespace kadoro::inline KADORO_ABI::io

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/impl/endpoint.ipp"
#endif
