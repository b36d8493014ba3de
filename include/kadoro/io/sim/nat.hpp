#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "kadoro/io/sim/flow_table.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// Whether a NAT treats all remotes alike, or each remote address and port for itself (RFC 4787, sections 4.1 and 5).
enum class nat_behaviour { endpoint_independent, endpoint_dependent };

struct nat_policy {
  nat_behaviour mapping = nat_behaviour::endpoint_independent;  ///< dependent: a "symmetric" NAT
  nat_behaviour filtering = nat_behaviour::endpoint_dependent;  ///< independent: a "full cone"
  duration mapping_timeout = std::chrono::minutes(2);           ///< after the latest datagram outwards
};

/// A NAT: the hosts behind it (`context::set_nat`) share its public address. Datagrams between them do not pass it.
/// What is sent to the public address from behind it is dropped (no hairpin), and it says nothing by ICMP.
class nat {
 public:
  static constexpr std::size_t max_mappings = 16384;

  nat(endpoint const& public_address, nat_policy const& policy) : address_(public_address), policy_(policy) {}
  nat(nat const&) = delete;
  nat& operator=(nat const&) = delete;

  /// The public address, port 0.
  endpoint const& address() const noexcept { return address_; }
  nat_policy const& policy() const noexcept { return policy_; }

  /// How a datagram from `inside` to `remote` looks outside. Makes or refreshes the mapping; empty if there is no room.
  KADORO_DECL std::optional<endpoint> outbound(endpoint const& inside, endpoint const& remote, time_point now);

  /// Who gets what came from `remote` to the public `port`; empty: nobody.
  KADORO_DECL std::optional<endpoint> inbound(std::uint16_t port, endpoint const& remote, time_point now) const;

  /// The box restarts: all mappings are gone, and new ones get new ports.
  KADORO_DECL void restart() noexcept;

 private:
  using key = std::pair<endpoint, endpoint>;  // inside and, if the mapping depends on it, remote

  struct mapping {
    endpoint inside;
    std::uint16_t port = 0;
    time_point until;
  };

  KADORO_DECL mapping* new_mapping(key const& flow, time_point now);
  KADORO_DECL void forget_expired(time_point now);

  endpoint address_;
  nat_policy policy_;
  std::map<key, mapping> mappings_;
  std::map<std::uint16_t, key> ports_;
  detail::flow_table flows_;
  std::uint16_t next_port_ = 1024;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/nat.ipp"
#endif
