#pragma once

#include <cstddef>
#include <map>

#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"

namespace kadoro::inline KADORO_ABI::transport::datagram {

/// To which addresses something has gone lately. A NAT or a firewall lets in whoever was written to, by address or by
/// address and port: only who is not in here can prove that others get through. It forgets nobody too early: where it
/// is full, it knows everybody for a while.
class contact_memory {
 public:
  static constexpr std::size_t max_addresses = 4096;
  static constexpr duration life = std::chrono::minutes(10);  ///< longer than a NAT remembers

  void note(io::endpoint const& to, time_point now) {
    if (addresses_.size() == max_addresses && !addresses_.contains(host_of(to))) {
      std::erase_if(addresses_, [now](auto const& entry) { return now - entry.second >= life; });
      if (addresses_.size() == max_addresses) {
        blind_until_ = now + life;
        return;
      }
    }
    addresses_[host_of(to)] = now;
  }

  bool knows(io::endpoint const& who, time_point now) const {
    if (now < blind_until_) return true;
    auto const at = addresses_.find(host_of(who));
    return at != addresses_.end() && now - at->second < life;
  }

  static io::endpoint host_of(io::endpoint where) noexcept {
    where.set_port(0);
    return where;
  }

 private:
  std::map<io::endpoint, time_point> addresses_;  // without their ports
  time_point blind_until_{};
};

}  // namespace kadoro::inline KADORO_ABI::transport::datagram
