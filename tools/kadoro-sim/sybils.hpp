#pragma once

#include <memory>
#include <vector>

#include "malice.hpp"
#include "run.hpp"

namespace kadoro_sim {

/// Many identities of one owner: real nodes with the swarm key, in one address range or at one address, that know only
/// each other when they are asked for contacts.
class sybils final {
 public:
  sybils(run& in, errands& when, kadoro::random_source& random) noexcept;
  ~sybils();

  void begin();
  /// All say goodbye, and are gone soon after.
  void end();

 private:
  class one;

  void start(std::size_t index);
  void remove();

  run& run_;
  errands& when_;
  kadoro::random_source& random_;
  bool together_ = false;  // at one address
  std::vector<std::unique_ptr<kadoro::io::sim::context>> hosts_;
  std::vector<std::unique_ptr<one>> all_;
};

}  // namespace kadoro_sim
