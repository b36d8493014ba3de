#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::io::sim::detail {

/// What a stateful filter remembers: through which port was which remote spoken to, until when does that count.
class flow_table {
 public:
  static constexpr std::size_t max_flows = 16384;

  /// False if there is no room.
  KADORO_DECL bool note(std::uint16_t port, endpoint const& remote, time_point now, time_point until);

  bool allows(std::uint16_t port, endpoint const& remote, time_point now) const {
    auto const found = flows_.find({port, remote});
    return found != flows_.end() && found->second > now;
  }
  void clear() noexcept { flows_.clear(); }

 private:
  std::map<std::pair<std::uint16_t, endpoint>, time_point> flows_;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim::detail

#if !defined(KADORO_SEPARATE_COMPILATION)
#include "kadoro/io/sim/impl/flow_table.ipp"
#endif
