#pragma once

#include "run.hpp"

namespace kadoro_sim {

/// Those who do not keep to the protocol: members that lie, and strangers who have no swarm key but ears and a voice.
/// It judges invariant 8 and the bound on amplification.
class adversary {
 public:
  explicit adversary(run& in);
  ~adversary();

  /// Before anybody starts: makes the hosts of strangers and victims.
  void prepare();
  /// Begins, and goes on as long as the run is in trouble.
  void begin();
  /// Everybody is honest again.
  void end();

  /// Every datagram of the world, with its fate.
  void on_datagram(kadoro::io::endpoint const& from, kadoro::io::endpoint const& to, kadoro::bytes_view data,
                   kadoro::io::sim::fate what);
  /// A member has confirmed a session with a peer.
  void on_confirmed(member const& at, peer_ref const& who);

 private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

}  // namespace kadoro_sim
