#pragma once

#include "run.hpp"

namespace kadoro_sim {

/// Makes trouble with the network, the hosts and their disks: one fault after another, each of a kind that the plan
/// allows, each undone some time later.
class chaos {
 public:
  explicit chaos(run& in) noexcept : run_(in) {}

  /// What is there from the first moment on: links, NATs, clocks.
  void prepare();
  /// How a member is made: what some of them have from the first moment on.
  void shape(member::options& how);
  /// Begins, and goes on as long as the run is in trouble.
  void begin();
  /// Undoes everything at once.
  void end();

 private:
  void next();
  void strike(fault what);
  void until_later(kadoro::duration mean, std::function<void()> undo);
  void heal_later(kadoro::duration mean, member& m, std::function<void(member&)> heal);
  member* victim();
  member* anybody();
  void break_pairs();
  void block(kadoro::io::endpoint const& a, kadoro::io::endpoint const& b, bool blocked);
  void split(std::size_t islands);
  void join_islands();
  void flap(int times);
  void power_off(member& m, fault what, std::function<void(member&)> before);
  void change_link(fault what, std::function<void(kadoro::io::sim::link_policy&)> change,
                   std::function<void(kadoro::io::sim::link_policy&)> back);

  run& run_;
  kadoro::io::sim::link_policy link_;  ///< as it is now
  std::vector<kadoro::io::sim::nat*> nats_;
  std::vector<fault> nat_faults_;  ///< which each of them is
  std::vector<fault> kinds_;
  std::map<std::uint64_t, std::function<void()>> undo_;  ///< what is still to be undone
  std::uint64_t next_undo_ = 0;
  std::uint64_t moves_ = 0;
};

}  // namespace kadoro_sim
