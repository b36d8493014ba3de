#pragma once

#include <map>

#include "kadoro/transport/datagram/packet.hpp"
#include "malice.hpp"
#include "run.hpp"
#include "stream_packet.hpp"

namespace kadoro_sim {

/// Somebody with the swarm key who sends a member far more than it can use, and nothing that makes sense.
class flood final {
 public:
  flood(run& in, errands& when, eavesdropper& ear, kadoro::random_source& random)
      : run_(in), when_(when), ear_(ear), random_(random), keys_(in.swarm_key()), sealer_(in.swarm_key()) {}

  void begin() { next(); }
  /// A member says something to it. In one run out of two it lives where it says that it does: it takes cookies.
  void on_told(kadoro::io::endpoint const& from, kadoro::io::endpoint const& to, kadoro::bytes_view data);

 private:
  static constexpr std::size_t most = 4000;  ///< datagrams in a run

  void next();
  void burst();
  void judge(member& of, std::uint64_t life, std::uint64_t before);
  kadoro::bytes junk();
  kadoro::bytes damaged();
  kadoro::bytes stamped();

  run& run_;
  errands& when_;
  eavesdropper& ear_;
  kadoro::random_source& random_;
  kadoro::transport::datagram::swarm_keys keys_;
  stream_sealer sealer_;
  std::size_t sent_ = 0;
  std::map<std::uint16_t, kadoro::bytes> flights_;  ///< of the last burst, by their ports
};

}  // namespace kadoro_sim
