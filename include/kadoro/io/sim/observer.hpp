#pragma once

#include "kadoro/base/time.hpp"
#include "kadoro/io/endpoint.hpp"
#include "kadoro/io/sim/fate.hpp"

namespace kadoro::inline KADORO_ABI::io::sim {

/// Sees what a world does with every datagram: `world::set_observer`. It must not change the world.
class observer {
 public:
  /// `now` is the world's time. The addresses are those on the wire: behind a NAT, its public one. Some datagrams are
  /// seen more than once: `departed` and then `delivered`, say.
  virtual void on_datagram(time_point now, endpoint const& from, endpoint const& to, bytes_view data, fate what) = 0;

 protected:
  ~observer() = default;
};

}  // namespace kadoro::inline KADORO_ABI::io::sim
